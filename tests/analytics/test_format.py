from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.reports import a_contract, a_long_call, a_vertical
from wsb_core.analytics import format as fmt
from wsb_core.domain.calendar import NEW_YORK, Session
from wsb_core.domain.contracts import Right, Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.structures import Structure, StructureLeg, single


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (Decimal("1234.56"), True, "+$1,234.56"),
        (Decimal("1234.56"), False, "$1,234.56"),
        (Decimal("-3148.76"), False, "−$3,148.76"),
        (Decimal("0"), True, "$0.00"),
        (Decimal("-0.004"), True, "$0.00"),
        (Decimal("0.005"), False, "$0.01"),
        (1e9, False, "$1,000,000,000.00"),
    ],
)
def test_money_has_cents_thousands_and_a_real_minus_sign(value, signed, text):
    assert fmt.money(value, signed=signed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4.1", "4.10"),
        ("-1.83333", "−1.8333"),
        ("0.0123", "0.0123"),
        ("2.345", "2.345"),
        ("1234", "1,234.00"),
    ],
)
def test_a_price_has_cents_and_up_to_four_decimals_when_it_needs_them(value, text):
    assert fmt.price(Decimal(value)) == text


def test_percent_takes_a_ratio():
    assert fmt.percent(0.125) == "12.5%"
    assert fmt.percent(Decimal("-0.4153"), places=2) == "−41.53%"
    assert fmt.percent(0.031, signed=True) == "+3.1%"


def test_a_quantity_has_no_trailing_zeros():
    assert fmt.quantity(Decimal("3.000")) == "3"
    assert fmt.quantity(Decimal("-0.50"), signed=True) == "−0.5"
    assert fmt.quantity(100, signed=True) == "+100"


@pytest.mark.parametrize(
    "show", [fmt.money, fmt.price, fmt.percent, fmt.number, fmt.quantity, fmt.age, fmt.et_time]
)
def test_what_is_not_known_is_a_dash_with_its_reason(show):
    assert show(None, why="no two-sided quote") == "— (no two-sided quote)"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")])
@pytest.mark.parametrize("show", [fmt.money, fmt.price, fmt.percent, fmt.number])
def test_a_nan_is_refused_because_it_lost_its_reason(show, value):
    with pytest.raises(ValueError, match="pass None and say why"):
        show(value)


def test_an_unknown_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="needs a reason"):
        fmt.unknown("")


@pytest.mark.parametrize("text", ["nan", "None", " NULL ", "undefined", "", None, "NaT"])
def test_text_that_only_spells_nothing_becomes_a_dash(text):
    assert fmt.words(text, why="not set") == "— (not set)"


def test_other_text_stays_as_it_is():
    assert fmt.words(" order null is unknown ") == "order null is unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42, "42 s"),
        (185, "3 min"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
        (-3, "3 s in the future"),
    ],
)
def test_an_age_has_two_units_at_most(seconds, text):
    assert fmt.age(timedelta(seconds=seconds)) == text


def test_times_are_printed_on_the_exchange_clock_winter_and_summer():
    assert fmt.et_stamp(datetime(2021, 7, 6, 19, 40, 3, tzinfo=UTC)) == "2021-07-06 15:40:03 ET"
    assert fmt.et_time(datetime(2021, 12, 6, 20, 40, 3, tzinfo=UTC)) == "15:40:03 ET"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="timezone-aware"):
        fmt.et_stamp(datetime(2021, 7, 6, 15, 40))


def test_a_half_day_says_so():
    day = date(2024, 11, 29)
    opens, closes = (
        datetime(2024, 11, 29, hour, minute, tzinfo=NEW_YORK) for hour, minute in ((9, 30), (13, 0))
    )

    assert fmt.closing(Session(day, opens, closes)) == "closes 13:00 ET (half day)"
    assert fmt.closing(Session(day, opens, closes + timedelta(hours=3))) == "closes 16:00 ET"


def test_structures_are_called_what_a_trader_calls_them():
    short_put = single(a_contract("AAPL", "250.5", Right.PUT), -1)
    calendar = Structure(
        (
            StructureLeg(a_contract("IBM", "125"), -1),
            StructureLeg(a_contract("IBM", "125", expiry=date(2010, 7, 16)), 1),
        )
    )
    covered = Structure(
        (StructureLeg(Share(Underlying("IBM")), 100), StructureLeg(a_contract("IBM", "130"), -1))
    )

    assert fmt.structure_name(a_long_call()) == "AAPL 18 JUN 10 260C long"
    assert fmt.structure_name(short_put) == "AAPL 18 JUN 10 250.5P short"
    assert fmt.structure_name(a_vertical()) == "IBM 18 JUN 10 +125C −130C vertical"
    assert fmt.structure_name(calendar) == "IBM −18 JUN 10 125C +16 JUL 10 125C calendar"
    assert fmt.structure_name(covered) == "IBM 18 JUN 10 +100 shares −130C covered call"
    assert fmt.structure_name(single(Share(Underlying("HPQ")))) == "HPQ long shares"


@settings(max_examples=100)
@given(st.decimals(-(10**12), 10**12, places=6))
def test_money_reads_back_to_the_nearest_cent(value):
    text = fmt.money(value, signed=True)

    read = Decimal(text.replace("$", "").replace(",", "").replace("−", "-"))
    assert abs(read - value) <= Decimal("0.005")
    assert text.startswith(("+", "−")) or read == 0

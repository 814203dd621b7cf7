"""The capability matrix: each thing that a broker does not take refuses an order, alone and in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.builders import AAPL, SESSION, a_call, a_key, a_proposal, a_put, at
from wsb_core.brokers import BROKERS, RULES, rules_of
from wsb_core.domain.contracts import ExerciseStyle, OptionContract, Right, Settlement, Share
from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.orders import Effect, Order
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.execution.rules import (
    CAUTIOUS,
    ROWS,
    BrokerRules,
    Moment,
    Need,
    OrderClass,
    need_of,
    unsupported,
)

NOON = Moment(at(SESSION, 12), 3)
VERTICAL = Structure((StructureLeg(a_call("105"), 1), StructureLeg(a_call("110"), -1)))
STRANGLE = Structure((StructureLeg(a_put("95"), -1), StructureLeg(a_call("105"), -1)))
CONDOR = Structure(
    tuple(
        StructureLeg(leg, ratio)
        for leg, ratio in ((a_put("90"), 1), (a_put("95"), -1), (a_call("105"), -1), (a_call("110"), 1))
    )
)
COVERED_CALL = Structure((StructureLeg(Share(AAPL), 100), StructureLeg(a_call("105"), -1)))
ADJUSTED = replace(a_call(), root="AAPL1", standard=False)
INDEX = OptionContract(
    "SPXW", date(2024, 6, 14), Right.CALL, Decimal(5300), Underlying("SPX"), style=ExerciseStyle.EUROPEAN
)


def an_order(
    structure: Structure | OptionContract | None = None, limit: str = "-4.00", effect: Effect = Effect.OPEN
) -> Order:
    proposal = a_proposal(structure, limit=limit, effect=effect)
    return Order(a_key(proposal), proposal.structure, effect, 2, Price(Decimal(limit)))


def with_quantity(order: Order, quantity: object) -> Order:
    object.__setattr__(order, "quantity", quantity)
    return order


def expiring(day: date) -> OptionContract:
    return a_call(expiry=day)


REFUSED: dict[str, tuple[Order, BrokerRules, Moment]] = {
    "order_class": (an_order(COVERED_CALL, "-98.00"), CAUTIOUS, NOON),
    "order_type": (an_order(), replace(CAUTIOUS, order_types=frozenset({"market"})), NOON),
    "time_in_force": (an_order(), replace(CAUTIOUS, times_in_force=frozenset({"gtc"})), NOON),
    "client_order_id": (an_order(), replace(CAUTIOUS, client_order_id="[a-z]{1,20}"), NOON),
    "legs": (an_order(CONDOR, "1.00"), replace(CAUTIOUS, max_legs=2), NOON),
    "whole_quantity": (with_quantity(an_order(), Decimal("1.5")), CAUTIOUS, NOON),
    "adjusted_contracts": (an_order(ADJUSTED), CAUTIOUS, NOON),
    "index_options": (an_order(INDEX), CAUTIOUS, NOON),
    "covered_legs": (an_order(STRANGLE, "2.00"), CAUTIOUS, NOON),
    "sign": (an_order(limit="4.00"), CAUTIOUS, NOON),
    "tick": (an_order(limit="-4.01"), CAUTIOUS, NOON),
    "options_level": (an_order(), CAUTIOUS, replace(NOON, options_level=1)),
    "regular_hours": (an_order(), CAUTIOUS, replace(NOON, at=at(SESSION, 16))),
    "expiring": (an_order(expiring(SESSION)), CAUTIOUS, Moment(at(SESSION, 15, 30), 3)),
}


@pytest.mark.parametrize("row", REFUSED)
def test_each_row_refuses_alone_and_says_what_would_be_taken(row: str) -> None:
    order, rules, moment = REFUSED[row]

    refusal = unsupported(order, rules, moment)

    assert refusal is not None
    assert (refusal.stage, refusal.rule) == ("gate", f"broker_{row}")
    assert refusal.value
    assert refusal.bound in refusal.detail


def test_every_row_is_seen_to_refuse_but_the_one_that_no_structure_can_break() -> None:
    unseen = set(ROWS) - set(REFUSED)

    assert unseen == {"ratios"}
    with pytest.raises(ValueError, match="common divisor"):
        Structure((StructureLeg(a_call("105"), 2), StructureLeg(a_call("110"), -2)))


@pytest.mark.parametrize(
    ("structure", "limit"),
    [
        (single(a_call()), "-4.00"),
        (single(a_put(), -1), "2.50"),
        (VERTICAL, "-1.23"),
        (CONDOR, "1.01"),
        (single(Share(AAPL)), "-100.01"),
    ],
)
@pytest.mark.parametrize("rules", [CAUTIOUS, *RULES.values()])
def test_an_order_that_the_broker_takes_passes(structure: Structure, limit: str, rules: BrokerRules) -> None:
    assert unsupported(an_order(structure, limit), rules, NOON) is None


def test_every_broker_has_its_row() -> None:
    assert RULES.keys() == BROKERS.keys()
    with pytest.raises(ConfigError, match="alpaca"):
        rules_of("acme")


@pytest.mark.parametrize("odd", [ADJUSTED, INDEX])
def test_fm_39_what_may_not_be_opened_may_always_be_closed(odd: OptionContract) -> None:
    close = an_order(odd, "4.00", Effect.CLOSE)

    assert unsupported(close, rules_of("alpaca"), NOON) is None


@pytest.mark.parametrize(("hour", "minute"), [(9, 29), (16, 0), (20, 0)])
def test_fm_15_an_order_outside_the_session_is_not_sent(hour: int, minute: int) -> None:
    refusal = unsupported(an_order(), rules_of("alpaca"), replace(NOON, at=at(SESSION, hour, minute)))

    assert refusal is not None
    assert refusal.rule == "broker_regular_hours"


def test_fm_15_on_a_half_day_the_session_ends_at_one() -> None:
    half = date(2024, 7, 3)
    call = a_call(expiry=date(2024, 7, 19))

    found = [
        unsupported(an_order(call), CAUTIOUS, Moment(at(half, *clock), 3)) for clock in ((12, 59), (13, 0))
    ]

    assert [refusal and refusal.rule for refusal in found] == [None, "broker_regular_hours"]


def test_fm_15_a_day_without_a_session_takes_no_order() -> None:
    refusal = unsupported(an_order(), CAUTIOUS, Moment(at(date(2024, 5, 18), 12), 3))

    assert refusal is not None
    assert "Sat" in refusal.value


def test_fm_14_the_one_time_in_force_is_one_that_every_broker_takes() -> None:
    assert all("day" in rules.times_in_force for rules in RULES.values())


@pytest.mark.parametrize("quantity", [Decimal("1.5"), 1.0, "1", True])
def test_fm_16_a_quantity_that_is_no_whole_number_is_not_sent(quantity: object) -> None:
    refusal = unsupported(
        with_quantity(an_order(), quantity), replace(CAUTIOUS, fractional_shares=True), NOON
    )

    assert refusal is not None
    assert refusal.rule == "broker_whole_quantity"


@pytest.mark.parametrize(
    ("structure", "need"),
    [
        (single(Share(AAPL)), None),
        (single(a_put(), -1), Need.SECURED),
        (COVERED_CALL, Need.SECURED),
        (single(a_call()), Need.LONG),
        (VERTICAL, Need.SPREAD),
        (CONDOR, Need.SPREAD),
    ],
)
def test_each_structure_asks_for_its_options_level(structure: Structure, need: Need | None) -> None:
    assert need_of(structure) is need


@pytest.mark.parametrize(
    ("structure", "limit", "level"),
    [(single(a_put(), -1), "2.50", 1), (single(a_call()), "-4.00", 2), (VERTICAL, "-1.23", 3)],
)
def test_one_level_less_than_needed_is_refused_and_the_needed_one_is_not(
    structure, limit, level: int
) -> None:
    order = an_order(structure, limit)

    below, enough = (unsupported(order, CAUTIOUS, replace(NOON, options_level=n)) for n in (level - 1, level))

    assert below is not None
    assert below.rule == "broker_options_level"
    assert enough is None


def test_an_unknown_level_opens_nothing_and_closes_everything() -> None:
    unknown = replace(NOON, options_level=None)

    opened = unsupported(an_order(), CAUTIOUS, unknown)
    closed = unsupported(an_order(limit="4.00", effect=Effect.CLOSE), CAUTIOUS, unknown)

    assert opened is not None
    assert "unknown" in opened.value
    assert closed is None


@pytest.mark.parametrize(
    ("settlement", "last"), [(Settlement.PM, date(2024, 5, 15)), (Settlement.AM, date(2024, 5, 14))]
)
def test_fm_37_a_contract_is_closed_up_to_the_end_of_its_own_last_session(
    settlement: Settlement, last: date
) -> None:
    contract = replace(INDEX, expiry=SESSION, settlement=settlement)
    close = an_order(contract, "4.00", Effect.CLOSE)
    rules = replace(CAUTIOUS, extended_hours=True)

    moments = [Moment(at(last, 15, 59), 3), Moment(at(last, 16, 0), 3)]

    assert [refusal and refusal.rule for refusal in (unsupported(close, rules, m) for m in moments)] == [
        None,
        "broker_expiring",
    ]


def test_fm_36_a_contract_dated_on_a_holiday_ends_with_the_session_before() -> None:
    good_friday = date(2024, 3, 29)
    close = an_order(expiring(good_friday), "4.00", Effect.CLOSE)
    rules = replace(CAUTIOUS, extended_hours=True)

    before, after = (unsupported(close, rules, Moment(at(date(2024, 3, 28), hour), 3)) for hour in (15, 16))

    assert before is None
    assert after is not None
    assert "2024-03-28 16:00" in after.bound


def test_openings_end_half_an_hour_before_the_last_close_and_closes_with_it() -> None:
    contract, early, late = expiring(SESSION), at(SESSION, 15, 29), at(SESSION, 15, 30)

    opening = [unsupported(an_order(contract), CAUTIOUS, Moment(when, 3)) for when in (early, late)]
    closing = unsupported(an_order(contract, "4.00", Effect.CLOSE), CAUTIOUS, Moment(late, 3))

    assert opening[0] is None
    assert opening[1] is not None
    assert closing is None


def test_a_contract_that_expires_in_years_is_not_looked_up_in_the_calendar() -> None:
    far = expiring(SESSION + timedelta(days=5000))

    assert unsupported(an_order(far), CAUTIOUS, NOON) is None


def test_a_calendar_is_covered_by_its_later_leg_and_not_the_other_way() -> None:
    near, far = a_call("105"), a_call("105", date(2024, 7, 19))
    calendar = Structure((StructureLeg(near, -1), StructureLeg(far, 1)))

    assert unsupported(an_order(calendar, "-1.00"), CAUTIOUS, NOON) is None


def test_what_is_closed_needs_no_cover() -> None:
    long_strangle = Structure((StructureLeg(a_put("95"), 1), StructureLeg(a_call("105"), 1)))

    assert unsupported(an_order(long_strangle, "3.00", Effect.CLOSE), CAUTIOUS, NOON) is None


def test_without_a_moment_the_order_alone_is_judged() -> None:
    order, rules, _ = REFUSED["regular_hours"]
    night = datetime(2024, 5, 18, 3, tzinfo=NOON.at.tzinfo)

    assert unsupported(order, rules) is None
    assert unsupported(order, rules, Moment(night, None)) is not None


def test_fm_20_legs_are_one_order_or_none() -> None:
    assert OrderClass.SHARES_AND_OPTIONS not in rules_of("alpaca").order_classes
    assert unsupported(an_order(CONDOR, "1.00"), rules_of("alpaca"), NOON) is None

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from tests.analytics.reports import (
    DIP_BOT,
    SESSIONS,
    a_decision,
    a_report,
    a_vertical,
    an_order,
    at,
    some_orders,
)
from wsb_core.analytics import tables
from wsb_core.analytics.figures import key_figures
from wsb_core.domain.ids import AccountId, Cash, ClientOrderId, Price, Underlying
from wsb_core.domain.orders import OrderState
from wsb_core.domain.positions import Position
from wsb_core.domain.quotes import FeedClass


def printed(what, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(what)
    return out.getvalue()


def a_row(**changes) -> tables.PositionRow:
    entry = Price(Decimal("-1.85"))
    held = Position(AccountId("a"), DIP_BOT, a_vertical(), 3, entry, at(SESSIONS[0]), SESSIONS[0])
    base = {
        "position": held,
        "mark": Price(Decimal("2.10")),
        "profit": Cash(Decimal("75")),
        "feed": FeedClass.MODELLED,
        "quote_age": timedelta(seconds=4),
        "nearest_exit": "50% target: at 41%",
    }
    return tables.PositionRow(**{**base, **changes})


def all_tables():
    report = a_report()
    return (
        tables.summary(report),
        tables.decisions(report.decisions),
        tables.orders(some_orders()),
        tables.positions([a_row(), a_row(mark=None, profit=None, feed=None)]),
        tables.doctor([tables.DoctorLine("ledger", "good", "at head")]),
    )


def test_no_table_is_wider_than_a_hundred_columns_or_cuts_a_word():
    text = "".join(printed(table) for table in all_tables())

    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text


def test_the_summary_prints_the_very_strings_of_the_report():
    text = printed(tables.summary(a_report()))

    known = [figure.value for figure in key_figures(a_report()) if not figure.value.startswith("—")]
    assert all(value in text for value in known)
    assert "REPLAYED shares" in text
    assert "difference $0.00" in text
    assert text.index("MODELLED chains") < text.index("Equity ")


def test_a_figure_without_a_value_keeps_its_reason():
    assert "—  (not enough data: 20 returns, needs 60)" in printed(tables.summary(a_report()))


def test_decisions_answer_why_with_value_and_bound():
    text = printed(tables.decisions(a_report().decisions))

    assert "screen: above_50_day_mean" in text
    assert "28.14  > 29.51" in text
    assert "nan" not in text


def test_an_order_in_doubt_comes_first():
    rows = (an_order(), an_order(state=OrderState.UNKNOWN, client_order_id=ClientOrderId("wsb-doubt-1")))

    text = printed(tables.orders(rows))

    assert text.index("wsb-doubt-1") < text.index("wsb-20100506")


def test_a_client_order_id_fits_on_one_line():
    order = an_order(client_order_id=ClientOrderId("wsb-20100506-8c1f2a90d3b4e5f6a7b8c9d0-1"), average=None)

    assert order.client_order_id in printed(tables.orders((order,)))


def test_positions_are_summed_only_when_all_have_a_mark():
    whole = printed(tables.positions([a_row(), a_row()]))
    partial = printed(tables.positions([a_row(), a_row(mark=None, profit=None, feed=None)]))

    assert "Open profit +$150.00" in whole
    assert "1 of 2 without a mark: no total is printed." in partial
    assert "no two-sided quote" in partial
    assert "MODELLED, 4 s" in whole


def test_the_doctor_names_the_worst_first_with_its_remedy():
    lines = [
        tables.DoctorLine("ledger", "good", "at head", "never shown"),
        tables.DoctorLine("keys", "bad", "ALPACA_KEY is not set", "set ALPACA_KEY"),
        tables.DoctorLine("slack", "unknown", "not configured"),
    ]

    text = printed(tables.doctor(lines))

    assert text.index("keys") < text.index("slack") < text.index("ledger")
    assert "→ set ALPACA_KEY" in text
    assert "never shown" not in text


def test_a_probe_has_one_of_three_states():
    with pytest.raises(ValueError, match="good, bad or unknown"):
        tables.DoctorLine("ledger", "ok", "at head")


def test_markup_in_text_from_outside_is_printed_as_text():
    hostile = "[red]x[/red]"

    text = printed(tables.decisions([a_decision(underlying=Underlying(hostile), detail=hostile)]))
    text += printed(tables.doctor([tables.DoctorLine(hostile, "bad", hostile, hostile)]))

    assert text.count(hostile) == 5


def test_empty_tables_say_so():
    assert printed(tables.decisions(())) == "No candidate was recorded.\n"
    assert printed(tables.orders(())) == "No order was recorded.\n"
    assert printed(tables.positions(())) == "Nothing is held.\n"

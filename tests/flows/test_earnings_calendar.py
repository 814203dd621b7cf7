"""The refresh of the earnings calendar: two sources, what changed, who is told, what trading makes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from prefect.client.orchestration import get_client

from flows.earnings_calendar_refresh import earnings_calendar_refresh
from tests.flows.stage import AAPL, ACCOUNT, DIP, MSFT, PARAMS, Stage
from wsb_core.domain.calendar import shift
from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.exchange.server.almanac import Almanac

pytestmark = pytest.mark.prefect

KNOWN = Provenance("table", FeedClass.REPLAYED, datetime(2012, 1, 1, tzinfo=UTC))
FAR, SOON = shift(DIP, 14), shift(DIP, 2)
WATCHFUL = PARAMS.model_copy(update={"allow_unknown_earnings": False})


def a_date(day: date, time: ReportTime = ReportTime.AFTER_CLOSE, underlying=AAPL) -> EarningsDate:
    return EarningsDate(underlying, day, time, None, KNOWN)


@pytest.fixture
def table() -> dict:
    """What the vendors know; a test changes it between two refreshes."""
    return {AAPL: (a_date(FAR),), MSFT: (a_date(FAR, underlying=MSFT),)}


@pytest.fixture
def almanac(table) -> Almanac:
    return Almanac(earnings=table)


@pytest.fixture
def data_sources() -> tuple[str, ...]:
    return ("alpaca", "yahoo", "alpha_vantage")


def refresh(stage: Stage, *symbols: str):
    return earnings_calendar_refresh(symbols=list(symbols or ("AAPL", "MSFT")), return_state=True)


def shown_by(state, key: str) -> str:
    """The artifact that a run left under ``key``."""
    run = str(state.state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        of_run = {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}
        [found] = client.request("POST", "/artifacts/filter", json={"artifacts": of_run}).json()
    return found["data"]


def test_a_first_refresh_stores_what_both_sources_say_and_shows_it(stage: Stage) -> None:
    state = refresh(stage)

    assert state.is_completed(), state.message
    assert state.message == "2 reports of 2 names, 2 new, 0 changed"
    shown = shown_by(state, "earnings-calendar")
    assert '"sources": "alpha_vantage, yahoo"' in shown
    assert '"certain": "yes"' in shown


def test_a_moved_report_of_a_held_name_is_told_and_closes_the_position_in_time(stage: Stage, table) -> None:
    refresh(stage)
    stage.ready().decide()
    assert len(stage.ledger.positions(ACCOUNT)) == 1
    stage.at(DIP, "17:00")
    table[AAPL] = (a_date(shift(DIP, 2), ReportTime.BEFORE_OPEN),)

    moved = refresh(stage)

    assert moved.message == "2 reports of 2 names, 0 new, 1 changed"
    assert "Earnings dates changed, AAPL held" in stage.slack.titles()[-1]
    stage.at(shift(DIP, 1), "09:20").reconcile()
    stage.at(shift(DIP, 1), "15:46").manage()
    [trade] = stage.ledger.closed_trades(ACCOUNT)
    assert trade.exit_rule == "earnings"


def test_one_dead_source_leaves_a_calendar_that_says_who_is_missing(stage: Stage) -> None:
    stage.control.fault("status", status=503, path="^/query", times=50)

    state = refresh(stage)

    assert state.is_completed()
    assert "no answer from alpha_vantage" in state.message


def test_two_dead_sources_fail_the_run_and_leave_the_calendar_as_it_was(stage: Stage) -> None:
    refresh(stage)
    for path in ("^/query", "^/v10/"):
        stage.control.fault("status", status=503, path=path, times=50)

    state = refresh(stage)

    assert state.is_failed()
    assert "earnings-calendar-refresh failed" in stage.slack.titles()[-1]


def test_an_entry_needs_a_calendar_that_was_read_lately(stage: Stage) -> None:
    stage.ready()

    stage.decide(params=WATCHFUL)

    assert stage.orders_received() == 0
    assert "earnings" in {decided.rule for decided in stage.ledger.decisions(DIP)}


def test_an_entry_is_refused_by_a_report_that_the_calendar_knows(stage: Stage, table) -> None:
    table[AAPL] = (a_date(SOON),)
    refresh(stage.at(DIP, "07:00"))

    stage.ready().decide(params=PARAMS)

    [refused] = [one for one in stage.ledger.decisions(DIP) if one.rule == "earnings"]
    assert refused.value == f"{SOON} (after_close)"
    assert stage.orders_received() == 0

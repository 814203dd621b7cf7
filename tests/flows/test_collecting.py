"""Bars, chains, volatilities and corporate actions find their way into the history store, checked, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from flows.corporate_actions import corporate_actions
from flows.ingest_bars import ingest_bars
from flows.iv_history import iv_history
from flows.record_chains import record_chains
from tests.flows.stage import AAPL, ACCOUNT, DIP, FILLS, Stage, a_history
from wsb_core.domain.calendar import shift
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.feed import DailyBarFeed
from wsb_core.exchange.model import CorporateAction
from wsb_core.market.history import HistoryStore
from wsb_core.providers.replay import ReplayStore

pytestmark = pytest.mark.prefect

NAMES = ["AAPL", "MSFT"]
SPLIT_DAY = shift(DIP, 4)


@pytest.fixture
def feed() -> DailyBarFeed:
    """AAPL will split two for one in four sessions."""
    split = CorporateAction(AAPL, SPLIT_DAY, ratio=Decimal(2))
    return DailyBarFeed(replace(a_history(), actions=(split,)), seed=FILLS)


def store(stage: Stage) -> HistoryStore:
    return HistoryStore(stage.settings.history_dir)


def test_bars_are_kept_once_and_the_next_evening_adds_one_session(stage: Stage) -> None:
    first = ingest_bars(symbols=NAMES, return_state=True)
    again = ingest_bars(symbols=NAMES, return_state=True)
    stage.at(DIP, "18:15")
    next_day = ingest_bars(symbols=NAMES, return_state=True)

    assert first.is_completed(), first.message
    assert first.message.endswith("new bars of 2 names")
    assert again.message == "0 new bars of 2 names"
    assert next_day.message == "4 new bars of 2 names"
    kept = store(stage).read("daily", NAMES, DIP, DIP, stage.control.now())
    assert kept["symbol"].tolist() == NAMES


def test_a_recorded_chain_comes_back_as_it_was(stage: Stage) -> None:
    stage.at(DIP, "15:52")

    state = record_chains(symbols=NAMES, return_state=True)

    assert state.is_completed(), state.message
    source = ReplayStore(store(stage), stage.control.now)
    chain = source.chain(AAPL, ChainWindow(0, 120), DIP)
    assert len(chain) > 20
    assert all(quote.quote.provenance.source.endswith("replayed") for quote in chain)
    assert any(quote.quote.two_sided and quote.iv for quote in chain)


def test_a_closed_market_is_not_recorded(stage: Stage) -> None:
    stage.at(DIP, "17:00")

    states = [flow(symbols=NAMES, return_state=True) for flow in (record_chains, iv_history)]

    assert [state.name for state in states] == ["Skipped", "Skipped"]
    assert store(stage).read("chain", NAMES, DIP, DIP, stage.control.now()).empty


def test_the_volatility_of_the_day_is_kept_and_does_not_rank_itself_yet(stage: Stage) -> None:
    stage.at(DIP, "15:46")

    state = iv_history(symbols=NAMES, return_state=True)

    assert state.message == "30-day volatility of 2 names"
    kept = store(stage).read("iv", NAMES, DIP, DIP, stage.control.now())
    assert kept["symbol"].tolist() == NAMES
    assert kept["iv"].between(0.05, 1.5).all()


def test_a_split_of_a_held_name_is_told_before_its_contracts_change(stage: Stage) -> None:
    stage.ready().decide()
    assert [position.underlying for position in stage.ledger.positions(ACCOUNT)] == [AAPL]

    state = corporate_actions(symbols=NAMES, return_state=True)

    assert state.message == "1 actions of 2 names"
    assert "Contracts will change: AAPL: AAPL: split, 2 new for 1 old" in stage.slack.titles()[-1]
    kept = store(stage).read("splits", NAMES, date(2012, 1, 1), SPLIT_DAY, stage.control.now())
    assert kept[["symbol", "ratio"]].to_numpy().tolist() == [["AAPL", 2.0]]


def test_a_faulty_answer_keeps_nothing(stage: Stage) -> None:
    stage.at(DIP, "15:46")
    stage.control.fault("quotes_crossed", path="/v1beta1/options/snapshots", times=None)

    state = record_chains(symbols=NAMES, return_state=True)

    assert state.is_failed()
    assert store(stage).read("chain", NAMES, DIP, DIP, stage.control.now()).empty

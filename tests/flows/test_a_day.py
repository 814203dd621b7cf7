"""A whole day, from a scenario to a reconciled ledger, and what may stop it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.flows.stage import AAPL, ACCOUNT, CASH, DIP, DIP_BOT, NEVER_FILLS, PARAMS, Stage, a_feed, ny
from tests.postgres import postgres_url
from wsb_core.domain.calendar import shift
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.exchange.model import Settings as ExchangeSettings
from wsb_core.ledger import Outcome

pytestmark = pytest.mark.prefect


def the_decision(stage: Stage):
    [row] = [d for d in stage.ledger.decisions(DIP, DIP_BOT) if d.underlying == AAPL]
    return row


def test_one_dip_becomes_one_filled_order_one_position_inside_its_limits_and_clean_books(stage):
    state = stage.ready().decide()

    [intent] = [i for i in stage.ledger.intents(DIP) if i.filled]
    [position] = stage.ledger.positions(ACCOUNT)
    books = stage.at(DIP, "16:20").reconcile()
    assert state.is_completed()
    assert (the_decision(stage).outcome, the_decision(stage).rule) == (Outcome.ORDERED, "filled")
    assert intent.state is OrderState.FILLED
    assert (position.underlying, position.strategy) == (AAPL, DIP_BOT)
    assert 0 < -position.cost <= CASH / 100
    assert books.is_completed()
    assert stage.ledger.verify().ok
    assert stage.ledger.last_reconciliation(ACCOUNT).clean


class TestOnPostgres:
    """The same day with the ledger on a real PostgreSQL."""

    @pytest.fixture
    def ledger_url(self):
        with postgres_url() as url:
            yield url

    def test_one_dip_becomes_one_position_and_clean_books(self, stage):
        stage.ready().decide()
        stage.at(DIP, "16:20").reconcile()

        assert len(stage.ledger.positions(ACCOUNT)) == 1
        assert stage.ledger.verify().ok
        assert stage.ledger.last_reconciliation(ACCOUNT).clean


def test_the_position_is_sold_near_the_close_of_the_second_session_and_the_profit_is_booked(stage):
    stage.ready().decide()
    second = shift(DIP, 2)
    stage.at(second, "15:46").manage()

    [trade] = stage.ledger.closed_trades(ACCOUNT)
    stage.at(second, "16:20").reconcile()
    assert trade.exit_rule == "time_stop"
    assert stage.ledger.positions(ACCOUNT) == ()
    assert stage.ledger.last_reconciliation(ACCOUNT).clean
    assert stage.ledger.verify().ok


def test_a_data_check_that_fails_stops_the_run_before_any_order_and_sends_one_message(stage):
    stage.ready().control.fault(
        "quotes_crossed", method="GET", path="/v1beta1/options/snapshots/.*", times=50
    )

    state = stage.decide()

    assert state.is_failed()
    assert "CheckFailed" in state.message
    assert stage.orders_received() == 0
    assert stage.ledger.intents() == ()
    [title] = stage.slack.titles()
    assert title.startswith("CRITICAL: wsb-dip-bot failed")


def test_risk_refuses_what_does_not_fit_the_budget_and_says_which_rule(stage):
    tight = {"max_loss_per_trade": Decimal("0.0001")}
    stage.ready().ledger.set_limits(DIP_BOT, tight, "test", ny(DIP, "09:00"))

    state = stage.decide()

    assert state.is_completed()
    assert the_decision(stage).stage == "review"
    assert stage.orders_received() == 0


class TestPartialFill:
    @pytest.fixture
    def exchange_settings(self):
        return ExchangeSettings(starting_cash=CASH, partial_fill_every=1)

    def test_what_was_filled_is_kept_and_never_topped_up(self, stage):
        stage.ready().decide()

        opened = [i for i in stage.ledger.intents(DIP) if i.order.effect is Effect.OPEN and i.filled]
        [position] = stage.ledger.positions(ACCOUNT)
        books = stage.at(DIP, "16:20").reconcile()
        assert len(opened) == 1
        assert position.quantity == opened[0].filled
        assert books.is_completed()


@pytest.mark.parametrize(
    ("day", "clock", "reason"),
    [
        (DIP, "17:30", "market closed"),
        (DIP, "11:00", "outside the windows"),
        (DIP, "15:55", "outside the windows"),
    ],
)
def test_outside_its_window_the_run_completes_as_skipped_with_the_reason(stage, day, clock, reason):
    stage.at(DIP, "10:55").reconcile()

    state = stage.at(day, clock).decide()

    assert (state.name, state.is_completed()) == ("Skipped", True)
    assert reason in state.message
    assert stage.orders_received() == 0


def test_a_halt_stops_entries_and_leaves_exits_free(stage):
    stage.ready().decide()
    stage.ledger.set_halt("*", "pause", "fed day", "test", ny(DIP, "15:45"))
    second = shift(DIP, 2)
    stage.at(second, "15:36").reconcile()

    entry = stage.decide()
    stage.at(second, "15:46").manage()

    assert entry.name == "Skipped"
    assert "fed day" in entry.message
    assert len(stage.ledger.closed_trades(ACCOUNT)) == 1


def test_a_halt_that_comes_between_approval_and_sending_still_stops_the_order(stage, monkeypatch):
    from tasks import orders

    fetched = orders.read_chains

    def halt_then_fetch(*args, **named):
        stage.ledger.set_halt(DIP_BOT, "pause", "late", "test", ny(DIP, "15:37"))
        return fetched(*args, **named)

    monkeypatch.setattr(orders, "read_chains", halt_then_fetch)

    stage.ready().decide()

    assert the_decision(stage).rule == "halt"
    assert stage.orders_received() == 0


def test_without_a_fresh_clean_reconciliation_no_entry_is_made(stage):
    stage.at(DIP, "15:00").reconcile()

    state = stage.at(DIP, "15:36").decide()

    assert state.is_failed()
    assert "minutes old" in state.message
    assert stage.orders_received() == 0


class TestWhenItGoesOnFalling:
    @pytest.fixture
    def feed(self):
        return a_feed(after=-0.12)

    def test_the_stop_sells_after_a_second_look_half_a_minute_later(self, stage):
        stage.ready().decide()
        stage.at(shift(DIP, 1), "15:00")
        before = stage.control.now()

        stage.manage()

        [trade] = stage.ledger.closed_trades(ACCOUNT)
        assert trade.exit_rule == "premium_stop"
        assert stage.control.now() - before >= timedelta(seconds=PARAMS.confirm_seconds)


class TestWhenThePriceRunsAway:
    @pytest.fixture
    def feed(self):
        return a_feed(seed=NEVER_FILLS)

    def test_the_entry_is_walked_to_its_cap_cancelled_and_left(self, stage):
        stage.ready().decide()

        attempts = stage.ledger.intents(DIP)
        assert the_decision(stage).rule in {"unfilled", "price_cap"}
        assert [i.state for i in attempts] == [OrderState.CANCELED] * len(attempts)
        assert len(attempts) >= 1
        assert stage.ledger.positions(ACCOUNT) == ()


def test_a_dry_run_decides_and_records_and_sends_nothing(stage):
    state = stage.ready().decide(dry_run=True)

    assert state.is_completed()
    assert the_decision(stage).outcome is Outcome.SELECTED
    assert stage.orders_received() == 0


def test_parameters_that_are_not_known_are_refused_by_name(stage):
    from flows.run_strategy import FLOWS

    state = FLOWS[DIP_BOT](params={**PARAMS.model_dump(), "max_drawdwon": 1}, return_state=True)

    assert state.is_failed()
    assert "max_drawdwon" in state.message

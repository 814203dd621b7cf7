"""Trouble with orders: each class is recorded, acted on and told, as the table says."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.flows.stage import ACCOUNT, DIP, DIP_BOT, NEVER_FILLS, Stage, a_feed, ny
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.domain.calendar import shift
from wsb_core.domain.errors import ProviderUnavailable
from wsb_core.domain.orders import OrderState
from wsb_core.execution.recovery import HOLD_FOR

pytestmark = pytest.mark.prefect

POST = {"method": "POST", "path": "/v2/orders$"}
LOOK_UP = {"method": "GET", "path": "/v2/orders:by_client_order_id"}
SECOND = shift(DIP, 2)


def actions(stage: Stage) -> list[str]:
    """Every recovery the ledger has on record, in order."""
    rows = [json.loads(entry.payload) for entry in stage.ledger.audit_log() if entry.kind == "recovery"]
    return [row.get("trouble", row["remedy"]) for row in rows]


def halts(stage: Stage) -> list[tuple[str, str, str]]:
    return [(halt.scope, str(halt.kind), halt.by) for halt in stage.ledger.halts()]


def test_a_broker_that_answers_nothing_is_held_off_for_five_minutes_and_until_the_books_agree(
    stage: Stage,
) -> None:
    stage.ready().control.fault("accept_then_status", status=504, **POST)
    stage.control.fault("status", status=503, times=None, **LOOK_UP)
    first = stage.decide()
    held, told = halts(stage), stage.slack.titles()
    stage.control.clear_faults()

    stage.reconcile()
    too_early = halts(stage)
    again = stage.decide()
    stage.control.advance(HOLD_FOR.total_seconds())
    stage.reconcile()

    assert first.is_completed()
    assert held == too_early == [("*", "hold", "recovery")]
    assert (again.name, "hold" in again.message) == ("Skipped", True)
    assert halts(stage) == []
    assert actions(stage)[0] == "broker_unreachable"
    assert actions(stage)[-1] == "RESUME"
    assert sum("broker unreachable" in title for title in told) == 1
    assert set(stage.control.state()["sends"].values()) == {1}
    assert stage.ledger.verify().ok


@pytest.mark.parametrize(
    ("minutes", "sold"), [(HOLD_FOR + timedelta(minutes=1), 1), (timedelta(minutes=2), 0)]
)
def test_an_exit_waits_for_the_hold_and_then_asks_for_the_reconciliation_itself(
    stage: Stage, minutes: timedelta, sold: int
) -> None:
    stage.ready().decide()
    stage.at(SECOND, "15:46")
    since = ny(SECOND, "15:46") - minutes
    stage.ledger.set_halt("*", "hold", "no answer", "recovery", since)

    stage.manage()

    assert len(stage.ledger.closed_trades(ACCOUNT)) == sold
    assert halts(stage) == ([] if sold else [("*", "hold", "recovery")])


def test_a_refusal_in_unknown_words_stops_that_strategy_and_is_told(stage: Stage) -> None:
    body = {"code": 42210000, "message": "the moon is in the wrong house"}
    stage.ready().control.fault("status", status=422, body=body, **POST)

    state = stage.decide()
    again = stage.decide()

    [intent] = stage.ledger.intents(DIP)
    assert state.is_completed()
    assert intent.state is OrderState.REJECTED
    assert halts(stage) == [(DIP_BOT, "reduce_only", "recovery")]
    assert "wrong house" in stage.ledger.halts(DIP_BOT)[0].reason
    assert again.name == "Skipped"
    assert actions(stage) == ["refused_unlisted"]
    assert sum("refused unlisted" in title for title in stage.slack.titles()) == 1


def test_an_entry_without_buying_power_goes_out_once_more_smaller_and_halts_nothing(stage: Stage) -> None:
    body = {"code": 40310000, "message": "insufficient options buying power (required: 9, available: 1)"}
    stage.ready().control.fault("status", status=403, body=body, **POST)

    stage.decide()

    refused, *after = stage.ledger.intents(DIP)
    assert refused.state is OrderState.REJECTED
    assert {intent.order.quantity for intent in after} == {refused.order.quantity - 1}
    assert halts(stage) == []
    assert actions(stage) == ["buying_power"]


def test_quotes_that_fail_before_the_send_send_nothing_and_halt_nothing(stage: Stage, monkeypatch) -> None:
    from tasks import orders

    def fails(*args, **named):
        raise ProviderUnavailable("no source has the chain")

    monkeypatch.setattr(orders, "read_chains", fails)

    state = stage.ready().decide()

    assert state.is_completed()
    assert stage.orders_received() == 0
    assert halts(stage) == []
    assert actions(stage) == ["data_failing"]
    assert sum("data failing" in title for title in stage.slack.titles()) == 1


def test_an_error_that_nobody_foresaw_stops_the_strategy_fails_the_run_and_leaves_exits_free(
    stage: Stage, monkeypatch
) -> None:
    stage.ready().decide()
    stage.at(SECOND, "15:36").reconcile()
    submit = AlpacaBroker.submit

    def breaks(self, order):
        raise RuntimeError("a bug on the way")

    monkeypatch.setattr(AlpacaBroker, "submit", breaks)
    state = stage.at(SECOND, "15:46").manage()
    halted, [left] = halts(stage), [i for i in stage.ledger.intents(SECOND) if not i.state.terminal]
    monkeypatch.setattr(AlpacaBroker, "submit", submit)
    stage.at(SECOND, "15:52").manage()

    assert state.is_failed()
    assert "a bug on the way" in state.message
    assert halted == [(DIP_BOT, "reduce_only", "recovery")]
    assert left.state is OrderState.SENDING
    assert actions(stage) == ["unknown_error"]
    assert len(stage.ledger.closed_trades(ACCOUNT)) == 1


class TestWhileNobodySells:
    @pytest.fixture
    def feed(self):
        return a_feed(seed=NEVER_FILLS)

    def test_the_gates_are_asked_again_at_every_step_of_the_walk(self, stage: Stage, monkeypatch) -> None:
        from tasks import orders

        fetched, looks = orders.read_chains, []

        def tighten_then_fetch(*args, **named):
            looks.append(1)
            if len(looks) == 2:
                tight = {"max_loss_per_trade": Decimal("0.0001")}
                stage.ledger.set_limits(DIP_BOT, tight, "test", ny(DIP, "15:36"))
            return fetched(*args, **named)

        monkeypatch.setattr(orders, "read_chains", tighten_then_fetch)

        stage.ready().decide()

        [attempt] = stage.ledger.intents(DIP)
        [decision] = [d for d in stage.ledger.decisions(DIP) if d.client_order_id]
        assert attempt.state is OrderState.CANCELED
        assert decision.rule == "fits_budget"

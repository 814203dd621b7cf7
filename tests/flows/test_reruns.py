"""The same decision run again, twice at once, or after something broke: one order, and known to us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.flows.stage import ACCOUNT, DIP, Stage, sqlite_url
from wsb_core.domain.calendar import shift
from wsb_core.domain.orders import OrderState
from wsb_core.exchange.server import PRACTICE_KEYS
from wsb_core.ledger import open_ledger

pytestmark = pytest.mark.prefect

KEY, SECRET = next(iter(PRACTICE_KEYS.items()))
POST = {"method": "POST", "path": "/v2/orders$"}
LOOK_UP = {"method": "GET", "path": "/v2/orders:by_client_order_id"}
STRANGER = "Order at the broker that we did not send"


def sends(stage: Stage) -> dict[str, int]:
    return dict(stage.control.state()["sends"])


def assert_one_order_known_to_the_ledger(stage: Stage) -> None:
    """Every order at the exchange was sent once, the one that filled is in the books, and they agree."""
    [filled] = [intent for intent in stage.ledger.intents(DIP) if intent.filled]
    [position] = stage.ledger.positions(ACCOUNT)
    assert filled.state is OrderState.FILLED
    assert position.quantity == filled.filled
    assert set(sends(stage)) == {intent.client_order_id for intent in stage.ledger.intents(DIP)}
    assert set(sends(stage).values()) == {1}
    assert stage.ledger.orders(ACCOUNT, adopted=True) == ()
    assert stage.at(DIP, "16:20").reconcile().is_completed()
    assert stage.ledger.verify().ok


def test_the_same_decision_run_again_places_nothing_twice(stage: Stage) -> None:
    stage.ready().decide()
    before = sends(stage)

    again = stage.decide()

    assert again.is_completed()
    assert sends(stage) == before
    assert_one_order_known_to_the_ledger(stage)


def test_two_runs_of_the_same_decision_at_once_place_nothing_twice(stage: Stage) -> None:
    stage.ready()

    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda _: stage.decide(), range(2)))

    assert [state.is_completed() for state in states] == [True, True]
    assert_one_order_known_to_the_ledger(stage)


def test_an_order_taken_and_answered_with_504_is_found_by_its_id_in_the_same_run(stage: Stage) -> None:
    stage.ready().control.fault("accept_then_status", status=504, **POST)

    state = stage.decide()

    assert state.is_completed()
    assert_one_order_known_to_the_ledger(stage)


def test_an_order_whose_fate_no_look_up_could_tell_is_found_by_the_reconciler_and_not_sent_again(
    stage: Stage,
) -> None:
    stage.ready().control.fault("accept_then_status", status=504, **POST)
    stage.control.fault("status", status=503, times=None, **LOOK_UP)
    stage.decide()
    in_doubt = [intent.state for intent in stage.ledger.intents(DIP)]
    stage.control.clear_faults()

    again, reconciled = stage.decide(), stage.reconcile()

    [intent] = stage.ledger.intents(DIP)
    assert in_doubt == [OrderState.UNKNOWN]
    assert (again.name, reconciled.is_completed()) == ("Skipped", True)
    assert intent.state in (OrderState.WORKING, OrderState.FILLED)
    assert sends(stage) == {intent.client_order_id: 1}
    assert stage.at(DIP, "16:20").reconcile().is_completed()
    assert stage.ledger.verify().ok


def test_after_a_run_that_failed_before_it_traded_the_rerun_trades_once(stage: Stage) -> None:
    stage.ready().control.fault("status", status=403, times=None, method="GET", path="/v2/account$")
    failed = stage.decide()
    sent_by_the_failed_run = stage.orders_received()
    stage.control.clear_faults()

    again = stage.decide()

    assert (failed.is_failed(), sent_by_the_failed_run) == (True, 0)
    assert again.is_completed()
    assert_one_order_known_to_the_ledger(stage)


def order_behind_our_back(stage: Stage, **terms: str) -> None:
    """Somebody else with the account's keys buys a share of MSFT."""
    body = {"symbol": "MSFT", "qty": "1", "side": "buy", "time_in_force": "day", **terms}
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    requests.post(f"{stage.url}/v2/orders", json=body, headers=headers, timeout=5).raise_for_status()


def test_an_order_that_is_not_ours_halts_entries_leaves_exits_free_and_is_told_once(stage: Stage) -> None:
    stage.ready().decide()
    order_behind_our_back(stage, type="limit", limit_price="1.00")

    reconciled = [stage.reconcile(), stage.reconcile()]
    entry = stage.decide()
    stage.at(shift(DIP, 2), "15:46").manage()

    assert [state.is_completed() for state in reconciled] == [True, True]
    assert (entry.name, "not sent by us" in entry.message) == ("Skipped", True)
    assert [halt.kind for halt in stage.ledger.halts("*")] == ["reduce_only"]
    assert len(stage.ledger.closed_trades(ACCOUNT)) == 1
    assert sum(STRANGER in title for title in stage.slack.titles()) == 1


def test_an_order_that_is_not_ours_and_filled_at_once_is_booked_and_halts_entries_all_the_same(
    stage: Stage,
) -> None:
    stage.ready()
    order_behind_our_back(stage, type="market")

    reconciled = stage.reconcile()
    entry = stage.decide()

    assert reconciled.is_completed()
    assert [str(holding.quantity) for holding in stage.ledger.holdings(ACCOUNT)] == ["1"]
    assert "not sent by us" in entry.message
    assert sum(STRANGER in title for title in stage.slack.titles()) == 1


def test_a_lost_ledger_is_rebuilt_from_the_brokers_own_history(stage: Stage, tmp_path: Path) -> None:
    stage.ready().decide()
    stage.at(DIP, "16:20").reconcile()
    held, cash = stage.ledger.holdings(ACCOUNT), stage.ledger.cash(ACCOUNT)
    tmp_path = tmp_path / "anew"
    tmp_path.mkdir()
    anew = stage.settings.model_copy(update={"database_url": sqlite_url(tmp_path)})

    from tasks.wiring import wired

    with open_ledger(anew.database_url) as ledger, wired(anew):
        ledger.init()
        reconciled = stage.reconcile()
        rebuilt = ledger.holdings(ACCOUNT), ledger.cash(ACCOUNT)
        halts, verified = ledger.halts("*"), ledger.verify()

    assert reconciled.is_completed()
    assert held
    assert rebuilt == (held, cash)
    assert (halts, verified.ok) == ((), True)

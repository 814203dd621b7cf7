"""The reconciler over days: what the broker books a day later, and what nobody can explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tasks.wiring import wired, wiring
from tests.flows.stage import AAPL, ACCOUNT, DIP, DIP_BOT, Stage, sqlite_url
from tests.flows.test_reruns import order_behind_our_back
from wsb_core.brokers import rules_of
from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.calendar import shift
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.ids import Cash, Price, RunId
from wsb_core.domain.orders import Effect, IntentKey, Order, Review, Ruling
from wsb_core.domain.strategy import ChainWindow
from wsb_core.domain.structures import Structure, StructureLeg
from wsb_core.execution.submit import Sender, confirm, submit_once
from wsb_core.ledger import Ledger, open_ledger

pytestmark = pytest.mark.prefect
_slots = count(1)


def bull_put(width: int = 3) -> Structure:
    """A put sold near the money against one some strikes below, in the nearest expiry that is listed."""
    w = wiring()
    day = w.clock.now().date()
    spot = w.data.quotes([AAPL])[AAPL].mid
    chain = w.data.chain(AAPL, ChainWindow(1, 60, (Right.PUT,)), day)
    listed = chain.expiring(min(chain.expiries()))
    strikes = sorted((q.contract for q in listed if q.mid is not None), key=lambda one: one.strike)
    at = next(n for n, one in enumerate(strikes) if one.strike >= spot)
    return Structure((StructureLeg(strikes[at - width], 1), StructureLeg(strikes[at], -1)))


def open_position(structure: Structure, quantity: int) -> None:
    """Open ``structure`` as the dip bot, at whatever the market takes."""
    w = wiring()
    now, run = w.clock.now(), RunId("by-the-test")
    w.ledger.start_run(
        run,
        flow="test",
        strategy=DIP_BOT,
        session=DIP,
        slot="x",
        account=ACCOUNT,
        config_hash="",
        code_version="",
        at=now,
    )
    lease = w.ledger.acquire_lease(ACCOUNT, w.settings.trader, now, timedelta(hours=1))
    quotes = {q.contract: q.quote for q in w.data.chain(AAPL, ChainWindow(1, 60), now.date())}
    touch = Decimal(0)
    for leg in structure.legs:
        quote = quotes[leg.instrument]
        touch -= leg.ratio * (quote.ask if leg.ratio > 0 else quote.bid)
    key = IntentKey(ACCOUNT, DIP_BOT, DIP, f"test-{next(_slots)}", AAPL, "open")
    order = Order(key, structure, Effect.OPEN, quantity, Price(touch - Decimal("0.40")))
    review = Review(order, now, (Ruling("test", True, "1", "1"),), Cash(Decimal(1000)))
    to = Sender(run, w.broker, w.ledger, lease, w.clock, rules_of())
    intent = confirm(submit_once(review.approve("test", {}), to), to, 1800, poll=60)
    w.ledger.record_fills(ACCOUNT, w.broker.fills(now), w.clock.now())
    assert intent.filled == quantity, intent


def last_breaks(ledger: Ledger) -> list[dict[str, Any]]:
    last = ledger.last_reconciliation(ACCOUNT)
    return [] if last is None else [dict(row) for row in last.breaks]


def held(ledger: Ledger) -> dict[str, int]:
    return {str(p.structure.kind): p.quantity for p in ledger.positions(ACCOUNT)}


def anew_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "anew"
    folder.mkdir()
    return folder


def rebuilt(stage: Stage, folder: Path) -> tuple[Any, ...]:
    """Holdings, cash and whether all is in order, in a ledger made from the broker's history alone."""
    anew = stage.settings.model_copy(update={"database_url": sqlite_url(folder)})
    with open_ledger(anew.database_url) as ledger, wired(anew):
        ledger.init()
        assert stage.reconcile().is_completed()
        return ledger.holdings(ACCOUNT), ledger.cash(ACCOUNT), ledger.halts(), ledger.verify().ok


def test_fm_34_a_partial_assignment_is_explained_the_same_evening_and_booked_from_its_rows_the_next_day(
    stage: Stage, tmp_path: Path
) -> None:
    stage.at(DIP, "09:20").reconcile()
    stage.at(DIP, "11:00")
    spread = bull_put()
    open_position(spread, 5)
    short = spread.legs[1].instrument
    assert isinstance(short, OptionContract)
    stage.at(DIP, "18:00").control.assign(short.symbol, 2)
    evening = stage.reconcile()
    told = last_breaks(stage.ledger)
    before = held(stage.ledger)
    tomorrow = shift(DIP, 1)
    morning = stage.at(tomorrow, "09:20").reconcile()

    explained = {row["key"].strip(): row["explained_by"] for row in told}
    assert (evening.is_completed(), morning.is_completed()) == (True, True)
    assert "2 assigned" in explained[short.symbol]
    assert "delivery of 200 AAPL" in explained["AAPL"]
    assert before == {"vertical": 5}
    assert last_breaks(stage.ledger) == []
    assert stage.ledger.halts() == ()
    assert (
        held(stage.ledger) == {"vertical": 3, "single": 2, "shares": 200}
        or held(stage.ledger)["vertical"] == 3
    )
    assert {h.instrument: h.quantity for h in stage.ledger.holdings(ACCOUNT)}[Share(AAPL)] == 200
    assert stage.ledger.verify().ok
    again = rebuilt(stage, anew_folder(tmp_path))
    assert again == (stage.ledger.holdings(ACCOUNT), stage.ledger.cash(ACCOUNT), (), True)


def test_fm_35_contracts_that_expire_vanish_the_same_evening_and_their_rows_come_the_next_morning(
    stage: Stage, tmp_path: Path
) -> None:
    stage.at(DIP, "09:20").reconcile()
    stage.at(DIP, "11:00")
    spread = bull_put()
    open_position(spread, 2)
    expiry = spread.contracts[0].expiry
    stage.at(expiry, "09:40").reconcile()
    evening = stage.at(expiry, "20:00").reconcile()
    told = last_breaks(stage.ledger)
    morning = stage.at(shift(expiry, 1), "09:20").reconcile()

    assert (evening.is_completed(), morning.is_completed()) == (True, True)
    assert told
    assert all(row["explained_by"] for row in told)
    assert last_breaks(stage.ledger) == []
    assert stage.ledger.verify().ok
    again = rebuilt(stage, anew_folder(tmp_path))
    assert again == (stage.ledger.holdings(ACCOUNT), stage.ledger.cash(ACCOUNT), (), True)


def test_fm_45_money_that_nothing_explains_halts_entries_trades_nothing_and_is_booked_the_next_day(
    stage: Stage,
) -> None:
    stage.at(DIP, "09:20").reconcile()
    stage.at(DIP, "15:30").control.deposit("2500")
    state = stage.reconcile()
    entry = stage.at(DIP, "15:36").decide()
    sent = stage.orders_received()
    morning = stage.at(shift(DIP, 1), "09:20").reconcile()
    rows = stage.ledger.activities(ACCOUNT)

    assert state.is_failed()
    assert "difference 2500" in state.message
    assert "looked at expiries" in state.message
    assert (entry.name, sent) == ("Skipped", 0)
    assert morning.is_completed()
    assert [row.cash for row in rows if row.kind is ActivityKind.CASH] == [Decimal(2500)]
    assert [halt.scope for halt in stage.ledger.halts()] == ["*"]


def test_fm_44_a_difference_in_what_one_strategy_holds_halts_that_strategy_and_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.at(DIP, "09:20").reconcile()
    stage.at(DIP, "11:00")
    spread = bull_put()
    open_position(spread, 2)
    broker = wiring().broker
    there = broker.holdings()
    fewer = tuple(
        replace(one, quantity=one.quantity / 2) if one.instrument == spread.legs[0].instrument else one
        for one in there
    )
    monkeypatch.setattr(type(broker), "holdings", lambda _: fewer)
    state = stage.reconcile()
    [row] = [row for row in last_breaks(stage.ledger) if row["halts"] == "yes"]

    assert state.is_failed()
    assert (row["ours"], row["theirs"], row["scope"]) == ("2", "1", DIP_BOT)
    assert [halt.scope for halt in stage.ledger.halts()] == [DIP_BOT]
    assert stage.orders_received() == 1


def test_a_halt_for_a_strangers_order_stays_lifted_once_a_person_has_lifted_it(stage: Stage) -> None:
    stage.at(DIP, "09:20").reconcile()
    order_behind_our_back(stage.at(DIP, "11:00"), type="market")
    stage.reconcile()
    found = [halt.reason for halt in stage.ledger.halts()]
    stage.ledger.clear_halt("*", "me", wiring().clock.now(), why="it was me, by hand")
    stage.reconcile()

    assert ["not sent by us" in reason for reason in found] == [True]
    assert stage.ledger.halts() == ()


def test_every_request_and_answer_is_in_the_chain_and_no_key_is(stage: Stage) -> None:
    stage.ready().decide()
    log = stage.ledger.audit_log()
    text = "\n".join(entry.payload for entry in log)
    order = next(iter(stage.control.state()["sends"]))

    assert any(e.kind == "intent" and order in e.payload for e in log)
    assert any(e.kind == "exchange" and "POST /v2/orders" in e.payload and order in e.payload for e in log)
    assert "GET /v2/positions" in text
    assert not any(secret in text for secret in stage.settings.secrets())
    assert stage.ledger.verify().ok

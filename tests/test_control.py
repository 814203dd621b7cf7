"""Stopping what works, arming, and agreeing on a mode: the same functions for terminal and flows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import ACCOUNT, AS_OF
from tests.execution.scripted import Fate, ManualClock, ScriptedBroker
from tests.flows.stage import sqlite_url
from tests.ledger.build import DAY, DIP, LONG_CALL, RUN, VERTICAL, WHEEL, approved
from wsb_core.control import Stopped, arm, parse_span, require_mode, span_text, stop_entries, working_entries
from wsb_core.domain.errors import ConfigError, NotArmed
from wsb_core.domain.ids import cash
from wsb_core.domain.orders import ApprovedOrder, Effect, OrderState
from wsb_core.execution.submit import Sender, submit_once
from wsb_core.ledger import Ledger, open_ledger


@dataclass
class Room:
    """Orders of two strategies at a scripted broker, over a real ledger."""

    ledger: Ledger
    clock: ManualClock
    broker: ScriptedBroker
    sender: Sender

    def send(self, *orders: ApprovedOrder) -> None:
        for order in orders:
            submit_once(order, self.sender)

    def stop(self, scope: str = "*", patience: float = 30.0) -> Stopped:
        return stop_entries(self.ledger, self.broker, self.clock, ACCOUNT, scope, patience)

    def states(self) -> list[OrderState]:
        return [intent.state for intent in self.ledger.intents()]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    with open_ledger(sqlite_url(tmp_path)) as ledger:
        ledger.init()

        def make(*fates: Fate) -> Room:
            clock = ManualClock()
            ledger.open_account(ACCOUNT, "practice", cash("100000"), AS_OF)
            ledger.start_run(
                RUN,
                flow="test",
                strategy=DIP,
                session=DAY,
                slot="close-25m",
                account=ACCOUNT,
                config_hash="c",
                code_version="v",
                at=AS_OF,
            )
            lease = ledger.acquire_lease(ACCOUNT, "tests", AS_OF, timedelta(hours=1))
            broker = ScriptedBroker(clock, fates)
            return Room(ledger, clock, broker, Sender(RUN, broker, ledger, lease, clock))

        yield make


def entry(**words: object) -> ApprovedOrder:
    return approved(LONG_CALL, account=ACCOUNT, **words)  # type: ignore[arg-type]


def two(strategies: Sequence[object] = (DIP, WHEEL)) -> tuple[ApprovedOrder, ApprovedOrder]:
    one, other = strategies
    return entry(strategy=one), approved(VERTICAL, account=ACCOUNT, strategy=other)  # type: ignore[arg-type]


def test_every_working_entry_is_cancelled_and_seen_to_be_over(room):
    one = room()
    one.send(*two())

    stopped = one.stop()

    assert (len(stopped.found), stopped.left) == (2, ())
    assert stopped.text == "2 of 2 working entries are over"
    assert one.states() == [OrderState.CANCELED, OrderState.CANCELED]


def test_a_strategys_halt_ends_its_own_entries_and_no_others(room):
    one = room()
    one.send(*two())

    one.stop(WHEEL)

    assert [i.order.key.strategy for i in working_entries(one.ledger, ACCOUNT, "*")] == [DIP]


def test_a_fill_that_beats_the_cancel_is_a_fill_and_it_is_over(room):
    one = room(Fate(on_cancel=1))
    one.send(entry())

    assert one.stop().left == ()
    assert one.states() == [OrderState.FILLED]


@pytest.mark.parametrize("fate", [Fate(stubborn=True), Fate(silent=True)], ids=["stubborn", "unanswered"])
def test_an_entry_whose_end_nobody_confirms_is_named_and_not_waited_for_for_ever(room, fate):
    one = room(fate)
    one.send(entry())
    began = one.clock.now()

    stopped = one.stop(patience=10.0)

    assert stopped.left == stopped.found
    assert f"not confirmed: {stopped.left[0]}" in stopped.text
    assert one.clock.now() - began <= timedelta(seconds=15)


def test_where_nothing_works_the_broker_is_not_asked(room):
    one = room()
    one.broker.deaf = True

    assert one.stop() == Stopped()
    assert Stopped().text == "no entry was working"


def test_exits_are_left_to_work(room):
    one = room(Fate(at_once=1))
    one.send(entry())
    one.ledger.record_fills(ACCOUNT, one.broker.fills(AS_OF), one.clock.now())
    one.send(approved(LONG_CALL, Effect.CLOSE, account=ACCOUNT, slot="exit", limit="1.00"))

    assert one.stop() == Stopped()
    assert [(i.order.effect, i.state) for i in one.ledger.open_intents(ACCOUNT)] == [
        (Effect.CLOSE, OrderState.WORKING)
    ]


class Foreign(ScriptedBroker):
    """Its keys open another account than the settings name."""

    def account(self):
        raise NotArmed("the keys open account 'PA999'")


def test_arming_wants_keys_and_mode_that_agree(room):
    one = room()
    until = AS_OF + timedelta(hours=8)

    with pytest.raises(NotArmed, match="PA999"):
        arm(one.ledger, Foreign(one.clock, ()), ACCOUNT, until, "ann", AS_OF)
    assert one.ledger.armed_until(ACCOUNT) is None
    arm(one.ledger, one.broker, ACCOUNT, until, "ann", AS_OF)
    assert one.ledger.armed_until(ACCOUNT) == until


def test_arming_is_never_for_longer_than_a_day(room):
    one = room()

    with pytest.raises(ConfigError, match="at most 24h"):
        arm(one.ledger, one.broker, ACCOUNT, AS_OF + timedelta(hours=25), "ann", AS_OF)


def test_a_ledger_of_one_mode_is_not_used_in_another(room):
    one = room()

    require_mode(one.ledger, ACCOUNT, "practice")
    with pytest.raises(NotArmed, match="is a practice account in this ledger and the mode is live"):
        require_mode(one.ledger, ACCOUNT, "live")


@pytest.mark.parametrize(("text", "minutes"), [("8h", 480), ("90m", 90), (" 1h30m ", 90), ("24h", 1440)])
def test_a_span_is_hours_and_minutes(text: str, minutes: int):
    assert parse_span(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "0m", "25h", "1d", "8h30"])
def test_another_span_is_refused_with_the_forms_there_are(text: str):
    with pytest.raises(ConfigError, match="--for"):
        parse_span(text)


def test_a_span_is_said_as_it_is_typed():
    assert [span_text(parse_span(text)) for text in ("8h", "90m")] == ["8h", "1h30m"]

"""The product with one guard taken out: what the campaign must then find. Test builds only.

Each is a context manager that patches the real modules. A guard without which the campaign finds
nothing would be a guard that the campaign does not test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

import tasks.book
import tasks.decide
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.domain.errors import OutcomeUnknown, Transient
from wsb_core.domain.orders import OrderState
from wsb_core.execution import submit
from wsb_core.ledger import books, control, orders

from .days import Outcome, Scene, run_seed
from .wire import WireFault
from .world import Plan

Weaken = Callable[[], Any]


@contextmanager
def no_unique_key() -> Iterator[None]:
    """The key has the moment of the call in it, so the same decision asked twice is two decisions."""
    real, numbers = tasks.decide.intent_key, count(1)

    def keyed(*args: Any) -> Any:
        key = real(*args)
        return replace(key, slot=f"{key.slot}-call{next(numbers)}")

    with ExitStack() as stack:
        stack.enter_context(patch.object(tasks.decide, "intent_key", keyed))
        stack.enter_context(patch.object(orders, "_working_twin", lambda *_: None))
        yield


@contextmanager
def no_look_up() -> Iterator[None]:
    """An order whose outcome is not known is taken for one that the broker never had."""

    def given_up(intent: Any, to: Any, *, resend: bool) -> Any:
        name, evidence = intent.order.client_order_id, {"weakened": "not looked up"}
        to.ledger.move_order(name, OrderState.ABANDONED, at=to.clock.now(), evidence=evidence)
        return to.ledger.intent(name)

    with patch.object(submit, "resolve", given_up):
        yield


@contextmanager
def resend_on_504() -> Iterator[None]:
    """A request without a readable answer is sent once more, under another id."""
    real, numbers = AlpacaBroker.submit, count(1)

    def again(self: AlpacaBroker, order: Any) -> Any:
        try:
            return real(self, order)
        except OutcomeUnknown:
            key = replace(order.key, attempt=1000 + next(numbers))
            told = replace(order, key=key)
            _note(self, told)
            return replace(real(self, told), client_order_id=order.client_order_id)

    with patch.object(AlpacaBroker, "submit", again):
        yield


def _note(broker: AlpacaBroker, order: Any) -> None:
    broker._http._client._world.sent_for[str(order.client_order_id)] = order


@contextmanager
def given_up_in_flight() -> Iterator[None]:
    """An order whose request may still be on its way is given up as soon as its decision is stale."""
    with patch.object(submit, "IN_FLIGHT", timedelta(0)), patch.object(submit, "FRESH", timedelta(seconds=5)):
        yield


@contextmanager
def no_lease() -> Iterator[None]:
    """Anybody may trade at any time: the lease is given to all who ask, and never looked at."""
    real = control.acquire_lease

    def given(tx: Any, account: Any, holder: str, ttl: timedelta) -> Any:
        return real(tx, account, "anybody", ttl)

    with ExitStack() as stack:
        stack.enter_context(patch.object(control, "acquire_lease", given))
        stack.enter_context(patch.object(control, "renew_lease", lambda _tx, lease, _ttl: lease))
        stack.enter_context(patch.object(orders, "require_lease", lambda *_: None))
        yield


@contextmanager
def error_read_as_empty() -> Iterator[None]:
    """A read that failed is taken for "none": no such order, no fills, flat."""
    empty: Mapping[str, Any] = {
        "order_by_client_id": None,
        "holdings": (),
        "open_orders": (),
        "orders_since": (),
        "fills": (),
        "activities": (),
    }

    def forgiving(name: str, nothing: Any) -> Any:
        real = getattr(AlpacaBroker, name)

        def read(self: AlpacaBroker, *args: Any) -> Any:
            try:
                return real(self, *args)
            except Transient:
                return nothing

        return read

    with ExitStack() as stack:
        for name, nothing in empty.items():
            stack.enter_context(patch.object(AlpacaBroker, name, forgiving(name, nothing)))
        yield


@contextmanager
def no_second_read() -> Iterator[None]:
    """A difference that is seen once is believed."""
    with patch.object(tasks.book, "persistent", lambda first, second: first):
        yield


@contextmanager
def fills_not_idempotent() -> Iterator[None]:
    """An execution that is delivered again counts again."""
    numbers = count(1)
    real = books.record_fills

    def counted(tx: Any, account: Any, fills: Any) -> Any:
        return real(
            tx, account, [replace(f, execution_id=f"{f.execution_id}#{next(numbers)}") for f in fills]
        )

    with patch.object(books, "record_fills", counted):
        yield


@contextmanager
def terminal_means_unfilled() -> Iterator[None]:
    """What filled before a cancel is forgotten: a canceled order counts as never filled."""
    real = submit.note

    def forgetful(found: Any, *rest: Any) -> Any:
        if found.state is OrderState.CANCELED and found.filled:
            found = replace(found, filled=0, average=None)
        return real(found, *rest)

    with patch.object(submit, "note", forgetful):
        yield


@contextmanager
def no_confirmed_cancel() -> Iterator[None]:
    """The next attempt goes out without waiting for the last word on the one before."""

    def at_once(intent: Any, to: Any, patience: float = 30.0) -> Any:
        to.ledger.move_order(
            intent.order.client_order_id, OrderState.CANCELED, at=to.clock.now(), evidence={"weakened": "x"}
        )
        return to.ledger.intent(intent.order.client_order_id)

    from wsb_core.execution import working

    with patch.object(working, "cancel_and_confirm", at_once):
        yield


@dataclass(frozen=True)
class Guard:
    """A guard, how to take it out, and the trouble in which it is needed."""

    weaken: Weaken
    scene: Scene
    start: int = 0
    """A short seed in which its want is noticed; the test goes on from here when it no longer is."""


_ANSWERS = Plan(wire_on_path=0.5, wire_on_look_up=0.1, outage=0.3, late_seconds=30.0, switch=0.05)
_BLIND = Plan(
    wire_on_path=0.6,
    outage=1.0,
    outage_seconds=1500.0,
    outage_of=("GET /orders", "GET /positions", "GET /account/activities"),
    kinds=(WireFault.DONE_504, WireFault.DONE_DROP),
    switch=0.05,
)
_RACES = Plan(switch=0.5, stop=0.002)
_SLOW = Plan(wire=0.5, wire_on_look_up=0.3, kinds=(WireFault.SLOW,), switch=0.3)
_STOPS = Plan(switch=0.2, stop_before_send=0.9)
"""A sender is swapped out on the point of sending, while another machine decides the same minutes later."""
WEAKENED: Mapping[str, Guard] = {
    "no unique key": Guard(no_unique_key, Scene(_RACES, two=True, apart=0.5), start=2),
    "no look-up": Guard(no_look_up, Scene(_ANSWERS), start=2),
    "re-send on 504": Guard(resend_on_504, Scene(_ANSWERS), start=2),
    "no lease check": Guard(no_lease, Scene(_STOPS, two=True, one_desk=False, apart=180.0), start=6),
    "read error taken for empty": Guard(error_read_as_empty, Scene(_BLIND, two=True, apart=850.0), start=6),
    "given up while in flight": Guard(given_up_in_flight, Scene(_STOPS, two=True, apart=60.0), start=5),
    "no second read": Guard(no_second_read, Scene(_SLOW, two=True, watches=True), start=6),
    "fills not idempotent": Guard(fills_not_idempotent, Scene(_RACES), start=2),
    "fills before a cancel forgotten": Guard(terminal_means_unfilled, Scene(_RACES), start=2),
    "cancel not confirmed": Guard(no_confirmed_cancel, Scene(_ANSWERS), start=8),
}
"""Every guard that the campaign is shown to notice the want of."""


@dataclass(frozen=True)
class Noticed:
    """What a campaign of a guard's scene found with the guard in place, and without it."""

    guard: str
    seeds: int
    with_guard: Mapping[str, int]
    without: Mapping[str, int]
    first: int | None
    """The first seed that failed without the guard; None when none did."""


def notice(name: str, start: int, seeds: int) -> Noticed:
    """Run ``seeds`` seeds of the guard's scene, at most, until one fails without it."""
    guard = WEAKENED[name]
    whole: Counter[str] = Counter()
    for number, seed in enumerate(range(start, start + seeds), 1):
        whole += _counts(run_seed(seed, scene=guard.scene))
        with guard.weaken():
            weak = run_seed(seed, scene=guard.scene)
        if weak.failed:
            return Noticed(name, number, whole, _counts(weak), seed)
    return Noticed(name, seeds, whole, {}, None)


def _counts(outcome: Outcome) -> Counter[str]:
    found = {name: len(lines) for name, lines in outcome.found.lines.items()}
    return Counter(found | {"surprises": len(outcome.surprises)})

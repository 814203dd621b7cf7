"""The adapter against the practice exchange's server: real HTTP, real client library, no script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from queue import Empty, Queue

import pytest
import requests

from tests.brokers.conftest import KEY, SECRET
from tests.brokers.scripted import Reply, Scripted
from tests.exchange.server.market import SmallMarket, ny
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.brokers.alpaca_stream import TradeUpdate, TradeUpdates, parse_update, stream_url
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.errors import BadResponse, OrderRejected, OutcomeUnknown
from wsb_core.domain.ids import AccountId, ClientOrderId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, IntentKey, Order, OrderState
from wsb_core.domain.structures import Structure, StructureLeg
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread

AAPL = Underlying("AAPL")
DAY = date(2026, 3, 2)
EXCHANGE_KEY, EXCHANGE_SECRET = next(iter(PRACTICE_KEYS.items()))


def call(strike: int) -> OptionContract:
    return OptionContract("AAPL", date(2026, 3, 20), Right.CALL, Decimal(strike), AAPL)


@pytest.fixture
def url() -> Iterator[str]:
    with ServerThread(
        Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    ) as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def practice(url: str) -> AlpacaBroker:
    headers = {"APCA-API-KEY-ID": EXCHANGE_KEY, "APCA-API-SECRET-KEY": EXCHANGE_SECRET}
    number = requests.get(f"{url}/v2/account", headers=headers, timeout=5).json()["account_number"]
    return AlpacaBroker(AccountId(number), "practice", url, EXCHANGE_KEY, EXCHANGE_SECRET, deadline_seconds=5)


def an_order(*legs: tuple[int, int], limit: str, effect: Effect = Effect.OPEN, attempt: int = 1) -> Order:
    structure = Structure(tuple(StructureLeg(call(strike), ratio) for strike, ratio in legs))
    key = IntentKey(AccountId("A"), StrategyName("s"), DAY, "slot", AAPL, effect.value, attempt)
    return Order(key, structure, effect, 2, Price(Decimal(limit)))


def test_a_vertical_is_opened_filled_booked_and_closed(
    practice: AlpacaBroker, control: PracticeControl
) -> None:
    bought = practice.submit(an_order((100, 1), (105, -1), limit="-0.60"))
    practice.submit(an_order((100, 1), (105, -1), limit="0.05", effect=Effect.CLOSE))
    # Fees are booked at once and shown the next morning.
    control.advance_to(ny("2026-03-03 10:00"))

    fills = practice.fills(ny("2026-03-02 09:30"))

    assert bought.state is OrderState.FILLED
    assert bought.average == sum(-fill.price * fill.quantity for fill in fills[:2]) / 2
    assert {fill.client_order_id for fill in fills[:2]} == {bought.client_order_id}
    assert sum(fill.quantity for fill in fills) == 0
    assert practice.holdings() == ()
    assert practice.open_orders() == ()
    booked = [row for row in practice.activities(DAY) if row.raw_kind == "FILL"]
    assert {row.activity_id for row in booked} == {fill.execution_id for fill in fills}
    assert practice.account().cash == 100_000 + sum(row.cash for row in practice.activities(DAY))


@pytest.mark.parametrize("kind", ["accept_then_status", "accept_then_drop"])
def test_fm_01_an_order_accepted_and_not_answered_for_exists_once(
    kind: str, practice: AlpacaBroker, control: PracticeControl
) -> None:
    order = an_order((100, 1), limit="-0.10")
    control.fault(kind, method="POST", path="/v2/orders", status=504)

    with pytest.raises(OutcomeUnknown):
        practice.submit(order)

    found = practice.order_by_client_id(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.WORKING
    state = control.state()
    assert state["sends"][order.client_order_id] == 1
    assert len(practice.orders_since(ny("2026-03-02 09:30"))) == 1


def test_fm_03_the_same_id_again_is_for_the_look_up(practice: AlpacaBroker) -> None:
    order = an_order((100, 1), limit="-0.10")
    practice.submit(order)

    with pytest.raises(OutcomeUnknown, match="look it up"):
        practice.submit(order)

    assert len(practice.open_orders()) == 1


def test_an_order_is_canceled_and_then_told_so(practice: AlpacaBroker) -> None:
    working = practice.submit(an_order((100, 1), limit="-0.10"))

    practice.cancel(working.broker_order_id)
    practice.cancel(working.broker_order_id)

    found = practice.order_by_client_id(working.client_order_id)
    assert found is not None
    assert found.state is OrderState.CANCELED


def test_an_unknown_id_is_none_and_a_close_of_nothing_is_refused(practice: AlpacaBroker) -> None:
    assert practice.order_by_client_id(ClientOrderId("never-sent")) is None

    with pytest.raises(OrderRejected):
        practice.submit(an_order((100, 1), limit="1.00", effect=Effect.CLOSE))


def test_the_broker_and_our_calendar_agree_on_a_session(practice: AlpacaBroker) -> None:
    from wsb_core.domain.calendar import session_on

    assert practice.session(DAY) == session_on(DAY)
    assert practice.session(date(2026, 3, 1)) is None


Collected = tuple["Queue[TradeUpdate]", "Queue[str]", TradeUpdates]


@pytest.fixture
def streaming(practice: AlpacaBroker) -> Iterator[Collected]:
    """Updates and gaps of a stream that is known to listen, and the stream."""
    updates: Queue[TradeUpdate] = Queue()
    gaps: Queue[str] = Queue()
    stream = practice.stream_trade_updates(updates.put, gaps.put)
    attempt = 1
    while not heard(updates):
        practice.submit(an_order((100, 1), limit="-0.01", attempt=attempt))
        attempt += 1
    yield updates, gaps, stream
    stream.stop()
    assert not stream.running


def heard(updates: Queue[TradeUpdate]) -> bool:
    try:
        updates.get(timeout=0.2)
    except Empty:
        return False
    return True


def until(updates: Queue[TradeUpdate], wanted: Callable[[TradeUpdate], bool]) -> TradeUpdate:
    while True:
        update = updates.get(timeout=10)
        if wanted(update):
            return update


def test_a_fill_of_a_package_comes_over_the_stream_with_its_legs(
    practice: AlpacaBroker, streaming: Collected
) -> None:
    updates, _, _ = streaming
    order = an_order((100, 1), (105, -1), limit="-0.60", attempt=99)

    practice.submit(order)
    update = until(updates, lambda u: u.event == "fill")

    assert update.order.client_order_id == order.client_order_id
    assert update.order.average == sum(-fill.price * fill.quantity for fill in update.fills) / 2
    assert [fill.quantity for fill in update.fills] == [2, -2]
    assert {fill.client_order_id for fill in update.fills} == {order.client_order_id}


def test_fm_05_an_execution_delivered_twice_is_told_once(
    practice: AlpacaBroker, control: PracticeControl, streaming: Collected
) -> None:
    updates, _, _ = streaming
    control.fault("stream_duplicate", times=2)
    order = an_order((100, 1), limit="-2.00", attempt=99)

    practice.submit(order)
    told = [until(updates, lambda u: u.event == "fill") for _ in range(2)]

    assert [len(update.fills) for update in told] == [1, 0]


def test_fm_07_a_reconnect_is_told_as_a_gap(streaming: Collected) -> None:
    _, gaps, stream = streaming
    inner = stream._stream
    inner._reconnect_min_backoff = 0.01

    asyncio.run_coroutine_threadsafe(inner._ws.close(), inner._loop).result(10)

    assert gaps.get(timeout=20) == "reconnected"


def test_an_update_that_was_not_handled_is_told_as_a_gap(practice: AlpacaBroker) -> None:
    gaps: Queue[str] = Queue()

    def fail(update: TradeUpdate) -> None:
        raise RuntimeError("no room")

    stream = practice.stream_trade_updates(fail, gaps.put)
    attempt, told = 1, ""
    while not told:
        practice.submit(an_order((100, 1), limit="-0.01", attempt=attempt))
        attempt += 1
        with suppress(Empty):
            told = gaps.get(timeout=0.2)
    stream.stop()

    assert "no room" in told


def single_fill() -> dict[str, object]:
    from tests.brokers.conftest import order_row

    return {
        "event": "fill",
        "timestamp": "2024-12-10T16:15:53.694Z",
        "execution_id": "e-1",
        "price": "1.25",
        "qty": "2",
        "position_qty": "-2",
        "order": order_row(side="sell", position_intent="sell_to_open", status="filled", filled_qty="2"),
    }


def test_a_single_fill_is_signed_by_the_side_of_its_order() -> None:
    update = parse_update(single_fill())

    assert [fill.quantity for fill in update.fills] == [-2]


@pytest.mark.parametrize("field", ["event", "order", "qty", "price"])
def test_an_event_that_cannot_be_read_is_an_error(field: str) -> None:
    with pytest.raises(BadResponse):
        parse_update({**single_fill(), field: None})


@pytest.mark.parametrize(
    ("base", "stream"),
    [
        ("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets/stream"),
        ("http://127.0.0.1:8765", "ws://127.0.0.1:8765/stream"),
    ],
)
def test_the_stream_is_on_the_trading_host(base: str, stream: str) -> None:
    assert stream_url(base) == stream


def test_refused_credentials_end_the_stream_and_say_so(
    url: str, practice: AlpacaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    gaps: Queue[str] = Queue()
    wrong = AlpacaBroker(practice.account_id, "practice", url, KEY, SECRET)

    stream = wrong.stream_trade_updates(lambda update: None, gaps.put)
    told = gaps.get(timeout=10)
    stream._thread.join(10)

    assert "refused" in told
    assert not stream.running
    assert SECRET not in caplog.text


def test_a_stream_that_never_connected_can_be_stopped(server: Scripted) -> None:
    server.on("GET", "/stream", Reply({"message": "no stream here"}, 404))
    broker = AlpacaBroker(AccountId("A"), "practice", server.url, KEY, SECRET)

    stream = broker.stream_trade_updates(lambda update: None, lambda reason: None)
    stream.stop()

    assert not stream.running

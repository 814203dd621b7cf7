"""The streams: with the vendor's own stream clients, and frame by frame."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from alpaca.data.live import OptionDataStream, StockDataStream
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, OptionLegRequest
from alpaca.trading.stream import TradingStream
from websockets.sync.client import ClientConnection, connect

from tests.exchange.server.conftest import KEY, PATIENCE, SECRET, eventually
from tests.exchange.server.market import ny
from wsb_core.exchange.client import PracticeControl

CALL, HIGHER_CALL = "AAPL260313C00100000", "AAPL260313C00105000"


def ws(url: str, path: str) -> str:
    return url.replace("http://", "ws://") + path


@contextmanager
def running(stream: Any, control: PracticeControl, path: str) -> Iterator[None]:
    """The vendor's stream on a thread of its own, from when the server has its subscription."""
    thread = threading.Thread(target=lambda: asyncio.run(stream._run_forever()), daemon=True)
    thread.start()
    eventually(lambda: control.state()["streams"].get(path) == 1)
    yield
    stream.stop()
    # Its loop looks for the stop only when something arrives.
    asyncio.run_coroutine_threadsafe(stream._ws.close(), stream._loop)
    thread.join(PATIENCE)


def shares(qty: int = 1) -> MarketOrderRequest:
    return MarketOrderRequest(symbol="AAPL", qty=qty, side="buy", time_in_force="day")


def test_the_vendors_trading_stream_hears_of_a_fill(url, control, trading):
    heard: queue.Queue[Any] = queue.Queue()

    async def note(update: Any) -> None:
        heard.put(update)

    stream = TradingStream(KEY, SECRET, url_override=ws(url, "/stream"))
    stream.subscribe_trade_updates(note)
    with running(stream, control, "/stream"):
        order = trading.submit_order(shares(5))
        first, second = heard.get(timeout=PATIENCE), heard.get(timeout=PATIENCE)

    assert (first.event, second.event) == ("new", "fill")
    assert (second.order.id, second.qty, second.price, second.position_qty) == (order.id, 5.0, 100.31, 5.0)


def test_the_vendors_option_stream_hears_a_quote_when_the_clock_moves(url, control):
    heard: queue.Queue[Any] = queue.Queue()

    async def note(quote: Any) -> None:
        heard.put(quote)

    stream = OptionDataStream(KEY, SECRET, url_override=ws(url, "/v1beta1/indicative"))
    stream.subscribe_quotes(note, CALL)
    with running(stream, control, "/v1beta1/indicative"):
        control.advance(60)
        quote = heard.get(timeout=PATIENCE)

    assert (quote.symbol, quote.bid_price, quote.ask_price) == (CALL, 0.98, 1.08)
    assert quote.timestamp == ny("2026-03-02 10:01")


def test_the_vendors_stock_stream_hears_quotes_trades_and_bars(url, control):
    heard: queue.Queue[Any] = queue.Queue()

    async def note(thing: Any) -> None:
        heard.put(type(thing).__name__)

    stream = StockDataStream(KEY, SECRET, url_override=ws(url, "/v2/iex"))
    stream.subscribe_quotes(note, "AAPL")
    stream.subscribe_trades(note, "AAPL")
    stream.subscribe_bars(note, "AAPL")
    with running(stream, control, "/v2/iex"):
        control.advance(60)
        told = [heard.get(timeout=PATIENCE) for _ in range(3)]

    assert told == ["Quote", "Trade", "Bar"]


def hear(line: ClientConnection) -> Any:
    """The next frame of the trading stream, which are binary frames of JSON."""
    frame = line.recv(timeout=PATIENCE)
    return json.loads(frame) if isinstance(frame, bytes) else pytest.fail(f"text frame {frame!r}")


@contextmanager
def trade_updates(url: str) -> Iterator[ClientConnection]:
    with connect(ws(url, "/stream")) as line:
        line.send(json.dumps({"action": "auth", "key": KEY, "secret": SECRET}))
        hear(line)
        line.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates", "other"]}}))
        hear(line)
        yield line


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        {"action": "auth", "key": KEY, "secret": SECRET},
        {"action": "authenticate", "data": {"key_id": KEY, "secret_key": SECRET}},
    ],
)
def test_both_spellings_of_authentication_are_taken_as_text_and_as_bytes(url, words, as_bytes):
    with connect(ws(url, "/stream")) as line:
        text = json.dumps(words)
        line.send(text.encode() if as_bytes else text)

        assert hear(line)["data"]["status"] == "authorized"


def test_wrong_keys_are_unauthorized_on_the_trading_stream(url):
    with connect(ws(url, "/stream")) as line:
        line.send(json.dumps({"action": "auth", "key": KEY, "secret": "wrong"}))

        assert hear(line)["data"]["status"] == "unauthorized"


def test_listening_before_authentication_is_an_error_and_the_end(url):
    with connect(ws(url, "/stream")) as line:
        line.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))

        assert hear(line) == {"action": "error", "data": {"error_message": "not authenticated"}}


def test_a_stream_that_does_not_exist_is_left_out_of_the_answer(url):
    with connect(ws(url, "/stream")) as line:
        line.send(json.dumps({"action": "auth", "key": KEY, "secret": SECRET}))
        hear(line)
        line.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates", "other"]}}))

        assert hear(line) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def test_a_spreads_fill_names_its_legs_in_an_envelope_of_its_own(url, trading):
    legs = [
        OptionLegRequest(symbol=CALL, ratio_qty=1, side="buy", position_intent="buy_to_open"),
        OptionLegRequest(symbol=HIGHER_CALL, ratio_qty=1, side="sell", position_intent="sell_to_open"),
    ]
    with trade_updates(url) as line:
        trading.submit_order(
            LimitOrderRequest(qty=2, limit_price=0.6, time_in_force="day", order_class="mleg", legs=legs)
        )
        hear(line)
        fill = hear(line)["data"]

    assert (fill["event"], fill["position_qtys"]) == ("fill", {CALL: "2", HIGHER_CALL: "-2"})
    assert [leg["order_id"] for leg in fill["legs"]] == [leg["id"] for leg in fill["order"]["legs"]]
    assert "execution_id" not in fill
    assert fill["order"]["asset_id"] == "00000000-0000-0000-0000-000000000000"


def test_a_cancel_is_told(url, trading):
    with trade_updates(url) as line:
        order = trading.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=1, side="buy", limit_price=50, time_in_force="day")
        )
        hear(line)
        trading.cancel_order_by_id(order.id)

        assert hear(line)["data"]["event"] == "canceled"


def events(url: str, trading: Any, count: int, orders: int) -> list[tuple[str, str]]:
    """Event and quantity of ``count`` messages heard while ``orders`` orders of 1, 2... shares fill."""
    with trade_updates(url) as line:
        for qty in range(1, orders + 1):
            trading.submit_order(shares(qty))
        heard = [hear(line)["data"] for _ in range(count)]
    return [(one["event"], one["order"]["qty"]) for one in heard]


def test_an_event_can_come_twice(url, control, trading):
    control.fault("stream_duplicate", path="/stream", nth=2)

    assert events(url, trading, 3, orders=1) == [("new", "1"), ("fill", "1"), ("fill", "1")]


def test_an_event_can_be_lost(url, control, trading):
    control.fault("stream_lose", path="/stream", nth=2)

    assert events(url, trading, 3, orders=2) == [("new", "1"), ("new", "2"), ("fill", "2")]


def test_events_can_come_in_the_wrong_order(url, control, trading):
    control.fault("stream_reorder", path="/stream")

    assert events(url, trading, 2, orders=1) == [("fill", "1"), ("new", "1")]


def test_a_mute_stream_stays_open_and_says_nothing_until_it_is_cured(url, control, trading):
    control.fault("stream_mute", path="/stream", times=None)
    with trade_updates(url) as line:
        trading.submit_order(shares(1))
        control.clear_faults()
        trading.submit_order(shares(2))
        first = hear(line)["data"]

    assert (first["event"], first["order"]["qty"]) == ("new", "2")


@contextmanager
def market_line(url: str, path: str = "/v2/iex") -> Iterator[ClientConnection]:
    with connect(ws(url, path), additional_headers={"Content-Type": "application/msgpack"}) as line:
        msgpack.unpackb(line.recv(timeout=PATIENCE))
        line.send(msgpack.packb({"action": "auth", "key": KEY, "secret": SECRET}))
        yield line


def unpacked(line: ClientConnection) -> Any:
    return msgpack.unpackb(line.recv(timeout=PATIENCE))


def test_a_second_connection_to_an_endpoint_is_refused(url):
    with market_line(url) as first, market_line(url) as second:
        unpacked(first)

        assert unpacked(second) == [{"T": "error", "code": 406, "msg": "connection limit exceeded"}]


def test_a_connection_that_ended_makes_room_for_the_next(url):
    with market_line(url) as first:
        unpacked(first)

    with market_line(url) as second:
        assert unpacked(second) == [{"T": "success", "msg": "authenticated"}]


def test_market_frames_carry_msgpack_timestamps(url, control):
    with market_line(url) as line:
        unpacked(line)
        line.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL", "NOPE"]}))
        told = unpacked(line)
        control.advance(60)
        [quote] = unpacked(line)

    assert told == [{"T": "subscription", "trades": [], "quotes": ["AAPL", "NOPE"], "bars": []}]
    assert isinstance(quote["t"], msgpack.Timestamp)
    assert (quote["S"], quote["bp"]) == ("AAPL", 100.3)


def test_a_client_that_does_not_ask_for_msgpack_gets_json(url, control):
    with connect(ws(url, "/v2/sip")) as line:
        hello = json.loads(line.recv(timeout=PATIENCE))
        line.send(json.dumps({"action": "auth", "key": KEY, "secret": SECRET}))
        line.recv(timeout=PATIENCE)
        line.send(json.dumps({"action": "subscribe", "trades": ["*"]}))
        line.recv(timeout=PATIENCE)
        control.advance(60)
        [trade] = json.loads(line.recv(timeout=PATIENCE))

    assert hello == [{"T": "success", "msg": "connected"}]
    assert datetime.fromisoformat(trade["t"]) == ny("2026-03-02 10:01")
    assert Decimal(str(trade["p"])) == Decimal("100.31")


def test_wrong_keys_fail_on_the_market_stream(url):
    with connect(ws(url, "/v2/iex"), additional_headers={"Content-Type": "application/msgpack"}) as line:
        unpacked(line)
        line.send(msgpack.packb({"action": "auth", "key": KEY, "secret": "wrong"}))

        assert unpacked(line)[0]["code"] == 402


def test_a_market_quote_can_be_crossed_on_the_stream_too(url, control):
    control.fault("quotes_crossed", method="WS", path="/v2/iex")
    with market_line(url) as line:
        unpacked(line)
        line.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL"]}))
        unpacked(line)
        control.advance(60)
        [quote] = unpacked(line)

    assert quote["bp"] > quote["ap"]


def test_an_unsubscribed_symbol_is_quiet(url, control):
    with market_line(url) as line:
        unpacked(line)
        line.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL", "MSFT"]}))
        unpacked(line)
        line.send(msgpack.packb({"action": "unsubscribe", "quotes": ["AAPL"]}))
        told = unpacked(line)
        control.advance(60)
        [quote] = unpacked(line)

    assert told[0]["quotes"] == ["MSFT"]
    assert quote["S"] == "MSFT"

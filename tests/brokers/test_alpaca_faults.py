"""What the adapter says when the wire misbehaves: never "empty", never "rejected" when it may be working."""

from __future__ import annotations

import io
import json
import logging
import traceback
from collections.abc import Callable

import pytest

from tests.brokers.conftest import KEY, LONG, SECRET, an_order, mleg_row, order_row
from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.domain.errors import (
    BadResponse,
    InsufficientBuyingPower,
    OrderRejected,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    WsbError,
)

ORDER = an_order((LONG, 1), limit="-1.25")
HTML = Reply(b"<html><h1>502 Bad Gateway</h1></html>", 502)

UNKNOWN = {
    "stall": Reply(fault="stall"),
    "drop": Reply(fault="drop"),
    "truncated body": Reply(order_row(client_order_id=ORDER.client_order_id), fault="truncate"),
    "dripping body": Reply(order_row(client_order_id=ORDER.client_order_id), fault="drip"),
    "empty body": Reply(b""),
    "html with status 200": Reply(b"<html>maintenance</html>"),
    "500": Reply({"code": 50010000, "message": "internal server error occurred"}, 500),
    "502 html": HTML,
    "503": Reply({"message": "service unavailable"}, 503),
    "504": Reply({"message": "gateway timeout"}, 504),
    "429": Reply({"code": 42910000, "message": "rate limit exceeded"}, 429),
    "408": Reply({"message": "request timeout"}, 408),
    "duplicate id by code": Reply({"code": 40010001, "message": "already used"}, 422),
    "duplicate id by text": Reply({"code": 42210000, "message": "client_order_id must be unique"}, 422),
    "an order without an id": Reply({**order_row(client_order_id=ORDER.client_order_id), "id": None}),
    "another order's id": Reply(order_row(client_order_id="someone-else")),
    "a list": Reply([]),
    "redirect": Reply(b"moved", 307, headers={"Location": "http://127.0.0.1:9/"}),
}


@pytest.mark.parametrize("fault", UNKNOWN)
def test_fm_01_an_order_without_a_readable_answer_is_unknown_and_was_sent_once(
    fault: str, server: Scripted, broker_for: Callable[[Reply], AlpacaBroker]
) -> None:
    broker = broker_for(UNKNOWN[fault])
    server.on("POST", "/v2/orders", UNKNOWN[fault])

    with pytest.raises(OutcomeUnknown, match=ORDER.client_order_id):
        broker.submit(ORDER)

    assert server.count("POST", "/v2/orders") == 1


REJECTED = {
    "wash trade": (403, 40310000, "potential wash trade detected. use complex orders"),
    "not enough to sell": (
        403,
        40310000,
        "insufficient qty available for order (requested: 2, available: 0)",
    ),
    "uncovered": (403, 40310000, "account not eligible to trade uncovered option contracts"),
    "expires soon": (
        422,
        42210000,
        'contract "AAPL241220C00200000" expires soon, unable to open new positions',
    ),
    "intent mismatch": (
        422,
        42210000,
        "position intent mismatch, inferred: sell_to_open, specified: sell_to_close",
    ),
    "a code nobody listed": (418, 41899999, "something new"),
}


@pytest.mark.parametrize("reason", REJECTED)
def test_fm_09_a_refusal_keeps_the_brokers_own_words(
    reason: str, server: Scripted, broker: AlpacaBroker
) -> None:
    status, code, text = REJECTED[reason]
    server.on("POST", "/v2/orders", Reply({"code": code, "message": text}, status))

    with pytest.raises(OrderRejected) as refusal:
        broker.submit(ORDER)

    assert (refusal.value.status, refusal.value.code) == (status, code)
    assert text in refusal.value.text
    assert type(refusal.value) is OrderRejected


@pytest.mark.parametrize(
    "text",
    [
        "insufficient options buying power for cash-secured put (required: 19000, available: 120)",
        "insufficient buying power",
    ],
)
def test_want_of_buying_power_is_told_apart(text: str, server: Scripted, broker: AlpacaBroker) -> None:
    server.on("POST", "/v2/orders", Reply({"code": 40310000, "message": text}, 403))

    with pytest.raises(InsufficientBuyingPower):
        broker.submit(ORDER)


READ_FAULTS: dict[str, tuple[Reply, type[WsbError]]] = {
    "stall": (Reply(fault="stall"), ProviderUnavailable),
    "drop": (Reply(fault="drop"), ProviderUnavailable),
    "drip": (Reply([order_row()], fault="drip"), ProviderUnavailable),
    "429": (Reply({"message": "too many requests"}, 429), ProviderUnavailable),
    "504": (Reply({"message": "gateway timeout"}, 504), ProviderUnavailable),
    "502 html": (HTML, ProviderUnavailable),
    "truncated": (Reply([order_row()], fault="truncate"), BadResponse),
    "half a list that is valid bytes": (Reply(b'[{"id": "1"'), BadResponse),
    "empty body": (Reply(b""), BadResponse),
    "null": (Reply(b"null"), BadResponse),
    "an object for a list": (Reply({"orders": []}), BadResponse),
    "a list of something else": (Reply(["x"]), BadResponse),
    "401": (Reply({"message": "unauthorized."}, 401), ProviderRefused),
    "403": (Reply({"code": 40310000, "message": "forbidden."}, 403), ProviderRefused),
    "404": (Reply({"code": 40410000, "message": "not found"}, 404), ProviderRefused),
}


@pytest.mark.parametrize("fault", READ_FAULTS)
@pytest.mark.parametrize("read", ["holdings", "open_orders"])
def test_fm_41_a_read_that_failed_is_an_error_and_never_flat(
    read: str, fault: str, server: Scripted, broker_for: Callable[[Reply], AlpacaBroker]
) -> None:
    reply, expected = READ_FAULTS[fault]
    path = {"holdings": "/v2/positions", "open_orders": "/v2/orders"}[read]
    broker = broker_for(reply)
    server.on("GET", path, reply)

    with pytest.raises(expected):
        getattr(broker, read)()

    assert server.count("GET", path) == 1


def test_fm_63_a_call_that_is_not_answered_ends_by_its_own_deadline(
    server: Scripted, broker_for: Callable[[Reply], AlpacaBroker]
) -> None:
    silence = Reply(fault="stall")
    server.on("GET", "/v2/clock", silence)

    with pytest.raises(ProviderUnavailable, match=r"read timeout=1\.0"):
        broker_for(silence).clock()


def test_fm_01_no_call_is_ever_sent_again_by_the_client_library(
    server: Scripted, broker: AlpacaBroker
) -> None:
    for path in ("/v2/clock", "/v2/positions", "/v2/orders/o-1"):
        method = "DELETE" if path.endswith("o-1") else "GET"
        server.on(method, path, Reply({"message": "gateway timeout"}, 504))

    for call in (broker.clock, broker.holdings, lambda: broker.cancel("o-1")):
        with pytest.raises(ProviderUnavailable):
            call()

    assert len(server.sent) == 3


def test_accepted_then_504_is_found_again_by_its_own_id(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("POST", "/v2/orders", Reply({"message": "gateway timeout"}, 504))
    server.on(
        "GET",
        "/v2/orders:by_client_order_id",
        lambda sent: Reply(order_row(client_order_id=sent.query["client_order_id"])),
    )
    with pytest.raises(OutcomeUnknown):
        broker.submit(ORDER)

    found = broker.order_by_client_id(ORDER.client_order_id)

    assert found is not None
    assert found.client_order_id == ORDER.client_order_id
    assert server.count("POST", "/v2/orders") == 1


def test_an_order_the_broker_says_it_has_not_is_none(server: Scripted, broker: AlpacaBroker) -> None:
    server.on(
        "GET", "/v2/orders:by_client_order_id", Reply({"code": 40410000, "message": "order not found"}, 404)
    )

    assert broker.order_by_client_id(ORDER.client_order_id) is None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>404 Not Found</html>", 404),
        Reply({"message": "Not Found"}, 404),
        Reply({"code": 40410001, "message": "endpoint not found"}, 404),
        Reply(b"", 404),
    ],
)
def test_a_404_in_other_words_than_the_brokers_is_no_answer(
    reply: Reply, server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/orders:by_client_order_id", reply)

    with pytest.raises(ProviderRefused):
        broker.order_by_client_id(ORDER.client_order_id)


@pytest.mark.parametrize("reply", [Reply(b""), Reply(b"null"), Reply({})])
def test_an_empty_answer_to_a_look_up_is_not_that_there_is_no_order(
    reply: Reply, server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/orders:by_client_order_id", reply)

    with pytest.raises(BadResponse):
        broker.order_by_client_id(ORDER.client_order_id)


def test_a_look_up_that_answers_for_another_order_is_unreadable(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/orders:by_client_order_id", Reply(order_row(client_order_id="another")))

    with pytest.raises(BadResponse, match="another"):
        broker.order_by_client_id(ORDER.client_order_id)


def test_a_look_up_that_leaves_out_the_legs_asks_for_them(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/orders:by_client_order_id", Reply(mleg_row(client_order_id="w", legs=None)))
    server.on("GET", "/v2/orders/p-1", Reply(mleg_row(client_order_id="w")))

    found = broker.order_by_client_id("w")

    assert found is not None
    assert len(found.legs) == 2
    assert server.to("GET", "/v2/orders/p-1")[0].query == {"nested": "true"}


def test_a_cancel_that_came_too_late_is_for_the_look_up_to_tell(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on(
        "DELETE",
        "/v2/orders/o-1",
        Reply(status=204),
        Reply({"code": 42210000, "message": 'order is already in "filled" state'}, 422),
    )

    broker.cancel("o-1")
    broker.cancel("o-1")

    assert server.count("DELETE", "/v2/orders/o-1") == 2


def test_a_cancel_of_an_order_nobody_knows_is_an_error(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("DELETE", "/v2/orders/o-1", Reply({"code": 40410000, "message": "order not found"}, 404))

    with pytest.raises(ProviderRefused, match="order not found"):
        broker.cancel("o-1")


def test_a_compressed_answer_is_read_whole(server: Scripted, broker: AlpacaBroker) -> None:
    row = {"symbol": "AAPL", "qty": "1", "side": "long"}
    server.on("GET", "/v2/positions", Reply([{**row, "symbol": f"A{n}"} for n in range(5000)], zipped=True))

    assert len(broker.holdings()) == 5000


def test_fm_69_no_error_log_or_repr_shows_a_key(
    server: Scripted, broker: AlpacaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"message": f"no account for {KEY} with {SECRET}"}
    server.on("POST", "/v2/orders", Reply(echo, 403))
    server.on("GET", "/v2/positions", Reply(echo, 401))
    server.on("GET", "/v2/clock", Reply(json.dumps(echo).encode() + b"}"))
    told = io.StringIO()

    for call in (lambda: broker.submit(ORDER), broker.holdings, broker.clock):
        with pytest.raises(WsbError) as error:
            call()
        told.write(repr(error.value) + "".join(traceback.format_exception(error.value)))
    told.write(repr(broker) + str(broker) + repr(broker._http) + caplog.text)

    assert "***" in told.getvalue()
    assert KEY not in told.getvalue()
    assert SECRET not in told.getvalue()

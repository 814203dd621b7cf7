"""The practice exchange from outside: clock, counts, assignment, and the thread it runs on."""

from __future__ import annotations

import socket
import threading

import pytest
import requests
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.exchange.server.market import SmallMarket, ny
from wsb_core.domain.errors import BadResponse, ProviderUnavailable, Terminal
from wsb_core.exchange.client import PracticeClock, PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.server import ServerThread, run_forever

SHORT = "AAPL260313C00105000"


def an_exchange() -> Exchange:
    return Exchange(SmallMarket(), ny("2026-03-02 10:00"))


def test_the_clock_moves_by_seconds_and_to_an_instant(control):
    by = control.advance(90)
    to = control.advance_to(ny("2026-03-03 09:30"))

    assert (by, to) == (ny("2026-03-02 10:01").replace(second=30), ny("2026-03-03 09:30"))
    assert control.now() == to


def test_the_clock_does_not_go_back(control):
    with pytest.raises(Terminal, match="forward"):
        control.advance_to(ny("2026-03-01 10:00"))


def test_a_naive_instant_is_refused_before_it_is_sent(control):
    with pytest.raises(ValueError, match="aware"):
        control.advance_to(ny("2026-03-03 09:30").replace(tzinfo=None))


@pytest.mark.parametrize("body", [{}, {"advance": -1}, {"advance": "soon"}, {"to": "tomorrow"}, {"to": 5}])
def test_the_clock_refuses_what_it_cannot_read(url, body):
    assert requests.post(f"{url}/control/clock", json=body, timeout=60).status_code == 422


def test_a_flows_sleep_is_simulated_time(control):
    clock = PracticeClock(control)
    before = clock.now()

    clock.sleep(3600)

    assert (clock.now() - before).total_seconds() == 3600


def test_a_resting_order_fills_when_time_reaches_its_price(control, trading):
    order = trading.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=1, side="sell", limit_price=100.60, time_in_force="day")
    )

    control.advance(3600)

    assert trading.get_order_by_id(order.id).status.value == "filled"


def test_a_short_call_is_assigned_on_demand(control, trading):
    trading.submit_order(MarketOrderRequest(symbol="AAPL", qty=100, side="buy", time_in_force="day"))
    trading.submit_order(
        LimitOrderRequest(
            symbol=SHORT,
            qty=1,
            side="sell",
            limit_price=0.5,
            time_in_force="day",
            position_intent="sell_to_open",
        )
    )

    control.assign(SHORT, 1)

    assert trading.get_all_positions() == []


def test_what_is_not_short_cannot_be_assigned(control):
    with pytest.raises(Terminal, match="not found"):
        control.assign(SHORT, 1)


def test_a_deposit_is_cash(control, trading):
    control.deposit("2500.50")

    assert trading.get_account().cash == "102500.5"


def test_the_state_counts_requests_by_path(control, trading):
    trading.get_account()
    trading.get_account()

    assert control.state()["requests"] == {"GET /v2/account": 2}


def test_an_unknown_fault_is_refused(control):
    with pytest.raises(Terminal, match="kind"):
        control.fault("nonsense")


def test_a_fault_can_be_ordered_listed_and_cleared(url, control):
    control.fault("drop", path="/v2/account")
    listed = requests.get(f"{url}/control/faults", timeout=60).json()

    control.clear_faults()

    assert [fault["kind"] for fault in listed] == ["drop"]
    assert control.state()["faults"] == []


def test_an_exchange_that_is_gone_is_unavailable():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"

        with pytest.raises(ProviderUnavailable, match="did not answer"):
            PracticeControl(nobody, deadline_seconds=2).now()


def test_an_answer_without_an_instant_is_no_instant(url):
    class Elsewhere(PracticeControl):
        def _call(self, method, path, body=None):
            return {}

    with pytest.raises(BadResponse, match="no instant"):
        Elsewhere(url).now()


def test_an_unknown_path_is_not_found(url, trading):
    reply = requests.get(f"{url}/v2/nothing", headers=trading._get_default_headers(), timeout=60)

    assert reply.status_code == 404


def test_a_stopped_server_takes_no_more_connections():
    server = ServerThread(an_exchange())
    url = server.start()
    server.stop()

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/control/state", timeout=2)


def test_a_port_that_is_taken_is_an_error_at_start():
    with ServerThread(an_exchange()) as url:
        second = ServerThread(an_exchange(), port=int(url.rsplit(":", 1)[1]))

        with pytest.raises(OSError, match="address already in use"):
            second.start()


def test_two_servers_do_not_share_anything():
    with ServerThread(an_exchange()) as one, ServerThread(an_exchange()) as other:
        PracticeControl(one).advance(60)

        assert PracticeControl(other).now() == ny("2026-03-02 10:00")


def test_the_server_runs_until_it_is_told_to_stop(monkeypatch):
    """The signal handlers need the main thread, so the loop's own hook stands in for the signal."""
    import asyncio

    handlers: dict[int, object] = {}
    monkeypatch.setattr(
        asyncio.SelectorEventLoop,
        "add_signal_handler",
        lambda loop, name, act: handlers.update({name: (loop, act)}),
    )
    started = threading.Event()
    told: list[str] = []

    def ready(url: str) -> None:
        told.append(url)
        started.set()

    thread = threading.Thread(target=run_forever, args=(an_exchange(),), kwargs={"ready": ready})
    thread.start()
    started.wait(10)
    answered = requests.get(f"{told[0]}/control/clock", timeout=60).status_code
    for loop, act in set(handlers.values()):
        loop.call_soon_threadsafe(act)
    thread.join(10)

    assert answered == 200
    assert not thread.is_alive()

"""The plan of faults: on which request each falls due, and what it does to a body."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsb_core.exchange.server import faults
from wsb_core.exchange.server.faults import Fault, FaultKind, FaultPlan, alter, with_faults


def a_fault(kind: str = "status", **details) -> Fault:
    return Fault(kind=FaultKind(kind), **details)


def a_plan(*faults: Fault) -> FaultPlan:
    plan = FaultPlan()
    for fault in faults:
        plan.add(fault)
    return plan


def hits(plan: FaultPlan, requests: int, method: str = "GET", path: str = "/v2/account") -> list[int]:
    """The ordinal numbers (from 1) of the requests on which anything falls due."""
    return [n for n in range(1, requests + 1) if plan.take(method, path)]


def test_a_fault_falls_due_on_the_first_match_once_unless_told_otherwise():
    assert hits(a_plan(a_fault()), 4) == [1]


def test_nth_and_times_say_which_matches_and_how_many():
    assert hits(a_plan(a_fault(nth=2, times=2)), 5) == [2, 3]


def test_without_a_number_of_times_it_stays_until_cleared():
    plan = a_plan(a_fault(nth=3, times=None))
    before = hits(plan, 5)
    plan.clear()

    assert (before, hits(plan, 5)) == ([3, 4, 5], [])


@given(nth=st.integers(1, 6), times=st.none() | st.integers(1, 6), requests=st.integers(0, 15))
@settings(max_examples=50)
def test_a_fault_fires_exactly_in_its_window(nth, times, requests):
    found = hits(a_plan(a_fault(nth=nth, times=times)), requests)

    last = requests if times is None else min(requests, nth + times - 1)
    assert found == list(range(nth, last + 1))


def test_requests_that_do_not_match_are_not_counted():
    plan = a_plan(a_fault(method="POST", path="^/v2/orders$", nth=2))
    others = [
        plan.take("GET", "/v2/orders"),
        plan.take("POST", "/v2/orders/x"),
        plan.take("POST", "/v2/orders"),
    ]

    assert others == [(), (), ()]
    assert len(plan.take("post", "/v2/orders")) == 1


def test_several_faults_can_fall_due_together_in_the_order_given():
    plan = a_plan(a_fault("stall", seconds=0), a_fault("status"))

    assert [fault.kind for fault in plan.take("GET", "/")] == [FaultKind.STALL, FaultKind.STATUS]


def test_stream_faults_match_streams_only_and_request_faults_requests_only():
    plan = a_plan(a_fault("stream_lose", times=None), a_fault("status", times=None))

    assert [fault.kind for fault in plan.take("GET", "/stream")] == [FaultKind.STATUS]
    assert [fault.kind for fault in plan.take("WS", "/stream")] == [FaultKind.STREAM_LOSE]


def test_the_report_tells_what_was_seen_and_what_fired():
    plan = a_plan(a_fault(nth=2))
    hits(plan, 3)

    [told] = plan.report()

    assert (told["kind"], told["seen"], told["fired"]) == ("status", 3, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nonsense"},
        {"kind": "drop", "vendor": "polygon"},
        {"kind": "drop", "path": "("},
        {"kind": "drop", "nth": 0},
        {"kind": "drop", "patth": "/v2"},
        {"kind": "stall", "when": "sometime"},
        {"kind": "status", "status": 200},
    ],
)
def test_an_order_for_a_fault_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Fault.model_validate(wrong)


@pytest.mark.parametrize(("when", "order"), [("before", ["waited", "acted"]), ("after", ["acted", "waited"])])
def test_a_stall_waits_before_acting_or_after(monkeypatch, when, order):
    done: list[str] = []

    async def act(request: web.Request) -> web.Response:
        done.append("acted")
        return web.Response()

    async def wait(seconds: float) -> None:
        done.append("waited")

    monkeypatch.setattr(faults.asyncio, "sleep", wait)
    asyncio.run(with_faults((a_fault("stall", when=when),), act)(make_mocked_request("GET", "/")))

    assert done == order


BODY = {
    "snapshots": {
        "X": {
            "latestQuote": {"bp": 1.0, "bs": 3, "ap": 1.1, "as": 4, "t": "2026-03-02T15:00:00Z"},
            "greeks": {"delta": 0.5},
            "impliedVolatility": 0.3,
        }
    },
    "next_page_token": None,
}


def altered(kind: str, **details) -> dict:
    return alter(a_fault(kind, **details), BODY)["snapshots"]["X"]


def test_crossed_quotes_bid_more_than_they_ask():
    quote = altered("quotes_crossed")["latestQuote"]

    assert quote["bp"] > quote["ap"]


def test_a_locked_quote_crosses_too():
    quote = alter(a_fault("quotes_crossed"), {"bp": 1.0, "ap": 1.0, "t": "2026-03-02T15:00:00Z"})

    assert quote["bp"] > quote["ap"]


def test_zero_quotes_have_no_price_and_no_size():
    quote = altered("quotes_zero")["latestQuote"]

    assert [quote[name] for name in ("bp", "bs", "ap", "as")] == [0, 0, 0, 0]


def test_stale_quotes_are_older_by_so_many_seconds():
    assert altered("quotes_stale", seconds=90)["latestQuote"]["t"] == "2026-03-02T14:58:30Z"


def test_absent_greeks_take_the_volatility_with_them():
    assert set(altered("greeks_absent")) == {"latestQuote"}


def test_what_is_altered_leaves_the_original_as_it_was():
    altered("quotes_zero")

    assert BODY["snapshots"]["X"]["latestQuote"]["bp"] == 1.0

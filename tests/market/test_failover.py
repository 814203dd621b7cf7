"""Real sources behind the router over HTTP, one of them dead, slow, busy, lying, old or cut off.

Alpaca is asked first and Polygon second; both are the practice exchange, so that the right answer is known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.server.market import AAPL, MSFT, SmallMarket, ny
from wsb_core.domain.errors import ProviderUnavailable, WsbError
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread
from wsb_core.ledger import Ledger, open_ledger
from wsb_core.market.router import FIRST_REST, Policy, Router
from wsb_core.providers import open_source

KEY, SECRET = next(iter(PRACTICE_KEYS.items()))
DAY, WINDOW, DEADLINE = date(2026, 3, 2), ChainWindow(5, 30), 1.0
SOURCES = ("alpaca", "polygon")
KINDS = (DataKind.QUOTES, DataKind.CHAIN, DataKind.BARS, DataKind.TODAY)
ALPACA = "^/(v2/stocks|v2/options|v2/clock|v1beta1)"
POLYGON = "^/(v2/aggs|v2/last|v2/snapshot|v3)"
DEAD: dict[str, dict[str, Any]] = {
    "dead": {"kind": "drop"},
    "slow": {"kind": "stall", "seconds": 5.0},
    "429": {"kind": "ratelimit"},
    "500": {"kind": "status", "status": 500},
    "502 page": {"kind": "html502"},
    "cut off": {"kind": "truncate"},
    "empty": {"kind": "empty"},
}
WRONG: dict[str, dict[str, Any]] = {
    "stale": {"kind": "quotes_stale", "seconds": 600.0},
    "crossed": {"kind": "quotes_crossed"},
    "zero": {"kind": "quotes_zero"},
}


@pytest.fixture
def url() -> Iterator[str]:
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange) as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as made:
        made.init()
        yield made


class Desk:
    """A router as a flow run of its own would open it; its clock is the exchange's, moved by hand."""

    def __init__(self, url: str, ledger: Ledger, control: PracticeControl) -> None:
        self.now, self._url, self._ledger = control.now(), url, ledger

    def router(self, *names: str) -> Router:
        chosen = names or SOURCES
        common = {"base_url": self._url, "key": KEY, "practice": True, "deadline_seconds": DEADLINE}
        access = {
            "alpaca": {
                **common,
                "trading_url": self._url,
                "secret": SECRET,
                "stock_feed": "iex",
                "option_feed": "indicative",
            },
            "polygon": {**common, "stock_feed": "realtime", "option_feed": "realtime"},
        }
        openers = {name: lambda name=name: open_source(name, access[name]) for name in chosen}
        return Router(
            openers,
            Policy({kind: tuple(chosen) for kind in KINDS}, keep={}),
            book=self._ledger,
            now=lambda: self.now,
        )


@pytest.fixture
def desk(url: str, ledger: Ledger, control: PracticeControl) -> Desk:
    return Desk(url, ledger, control)


def broken(control: PracticeControl, path: str, fault: dict[str, Any]) -> None:
    control.fault(**fault, path=path, times=None)


def right(quote: Quote | Missing) -> bool:
    """AAPL half an hour after the open stands at 100.30."""
    return (
        isinstance(quote, Quote)
        and quote.mid is not None
        and abs(quote.mid - Decimal("100.30")) < Decimal("0.05")
    )


@pytest.mark.parametrize("fault", DEAD.values(), ids=DEAD)
def test_without_the_first_source_everything_comes_right_from_the_second(
    desk: Desk, control: PracticeControl, fault: dict[str, Any]
) -> None:
    whole = desk.router("polygon")
    bars, chain = whole.bars([AAPL], date(2026, 2, 20), DAY), whole.chain(AAPL, WINDOW, DAY)
    broken(control, ALPACA, fault)

    found = desk.router()

    quote = found.quotes([AAPL])[AAPL]
    assert right(quote)
    assert quote.provenance.passed_over[0].startswith("alpaca: ")  # type: ignore[union-attr]
    assert found.chain(AAPL, WINDOW, DAY).quotes == chain.quotes
    assert found.bars([AAPL], date(2026, 2, 20), DAY).frame.equals(bars.frame)


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
def test_quotes_nobody_may_trade_on_are_passed_over(
    desk: Desk, control: PracticeControl, fault: dict[str, Any]
) -> None:
    broken(control, ALPACA, fault)

    assert right(desk.router().quotes([AAPL])[AAPL])


@pytest.mark.parametrize("fault", [*DEAD.values(), *WRONG.values()], ids=[*DEAD, *WRONG])
def test_without_both_sources_there_is_a_refusal_and_no_number(
    desk: Desk, control: PracticeControl, fault: dict[str, Any]
) -> None:
    for path in (ALPACA, POLYGON):
        broken(control, path, fault)

    try:
        answer: Quote | Missing | None = desk.router().quotes([AAPL])[AAPL]
    except WsbError:
        answer = None

    assert not isinstance(answer, Quote)


@pytest.mark.parametrize("path", [ALPACA, POLYGON], ids=SOURCES)
def test_a_source_that_lies_costs_the_quote_whichever_it_is(
    desk: Desk, control: PracticeControl, path: str
) -> None:
    broken(control, path, {"kind": "quotes_off", "factor": 1.02})

    found = desk.router().confirmed_quotes([AAPL], [AAPL])[AAPL]

    assert isinstance(found, Missing)
    assert "apart, over 0.5%" in found.reason


def test_a_small_difference_is_believed(desk: Desk, control: PracticeControl) -> None:
    broken(control, POLYGON, {"kind": "quotes_off", "factor": 1.003})

    assert right(desk.router().confirmed_quotes([AAPL], [AAPL])[AAPL])


def test_a_slow_source_costs_one_deadline_and_then_nothing_in_any_process(
    desk: Desk, control: PracticeControl
) -> None:
    broken(control, ALPACA, DEAD["slow"])
    began = time.monotonic()
    desk.router().quotes([AAPL])
    first = time.monotonic() - began
    requests = control.state()["requests"]

    for _ in range(5):
        assert right(desk.router().quotes([AAPL])[AAPL])

    asked = control.state()["requests"]
    later = {path: n - requests.get(path, 0) for path, n in asked.items() if n != requests.get(path, 0)}
    assert DEADLINE <= first < 5.0
    assert not any(path.startswith(("GET /v2/stocks", "/v2/stocks")) for path in later)


def test_a_source_that_is_well_again_is_asked_first_after_its_rest(
    desk: Desk, control: PracticeControl
) -> None:
    broken(control, ALPACA, DEAD["dead"])
    desk.router().quotes([AAPL])
    control.clear_faults()

    desk.now += FIRST_REST
    control.advance(FIRST_REST.total_seconds())
    found = desk.router().quotes([AAPL])[AAPL]

    assert isinstance(found, Quote)
    assert found.provenance.passed_over == ()


def test_one_name_that_nobody_has_does_not_cost_the_others(desk: Desk, control: PracticeControl) -> None:
    found = desk.router().quotes([AAPL, MSFT, "NOPE"])  # type: ignore[list-item]

    assert [type(answer) for answer in found.values()] == [Quote, Quote, Missing]


def test_bars_that_no_source_gives_are_an_error(desk: Desk, control: PracticeControl) -> None:
    for path in (ALPACA, POLYGON):
        broken(control, path, DEAD["dead"])

    with pytest.raises(ProviderUnavailable, match=r"alpaca: .*polygon: "):
        desk.router().bars([AAPL], date(2026, 2, 20), DAY)

"""Sources are asked in order, and what is passed over is passed over for a reason that is told."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.errors import ConfigError, ProviderRefused, ProviderUnavailable
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.ledger import open_ledger
from wsb_core.market.router import FIRST_REST, Policy, Router

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
AAPL, MSFT = Underlying("AAPL"), Underlying("MSFT")
KINDS = (DataKind.QUOTES, DataKind.CHAIN, DataKind.BARS, DataKind.TODAY)
WINDOW = ChainWindow(0, 60)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, gone: timedelta) -> None:
        self.now += gone


@dataclass
class FakeSource:
    """A source over dictionaries; ``error`` is raised by every call."""

    name: str
    clock: Clock
    mids: Mapping[Underlying, float] = field(default_factory=dict)
    feed: FeedClass = FeedClass.REALTIME
    age: timedelta = timedelta(0)
    crossed: bool = False
    error: Exception | None = None
    requests_a_minute: int = 1000
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    gate: threading.Event | None = None

    @property
    def services(self) -> Mapping[DataKind, Service]:
        return {kind: Service(self.feed, self.requests_a_minute, 5.0) for kind in KINDS}

    def _called(self, what: str, names: Sequence[Underlying]) -> Provenance:
        self.calls.append((what, tuple(names)))
        if self.gate is not None:
            self.gate.wait(5)
        if self.error is not None:
            raise self.error
        return Provenance(self.name, self.feed, self.clock() - self.age)

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        provenance = self._called("quotes", symbols)
        return {name: self._quote(name, provenance) for name in symbols}

    def _quote(self, name: Underlying, provenance: Provenance) -> Quote | Missing:
        if name not in self.mids:
            return Missing(name, "not covered")
        mid = Decimal(str(self.mids[name]))
        half = Decimal("-0.01") if self.crossed else Decimal("0.01")
        return Quote(Share(name), Price(mid - half), Price(mid + half), 1, 1, provenance)

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        provenance = self._called("chain", [underlying])
        contract = OptionContract("AAPL", date(2026, 12, 18), Right.CALL, Decimal(100), underlying)
        quote = Quote(contract, Price(Decimal(1)), Price(Decimal(2)), 1, 1, provenance)
        return Chain(underlying, (OptionQuote(quote),) if underlying in self.mids else (), provenance)

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        provenance = self._called("bars", symbols)
        rows = [(n, pd.Timestamp(last), self.mids[n]) for n in symbols if n in self.mids]
        gone = tuple(Missing(n, "not covered") for n in symbols if n not in self.mids)
        return Bars(pd.DataFrame(rows, columns=["symbol", "session", "close"]), True, provenance, gone)

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        return self.bars(symbols, self.clock().date(), self.clock().date())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path):
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        opened.init()
        yield opened


def routed(ledger, clock, *sources: FakeSource, **policy) -> Router:
    order = {kind: tuple(source.name for source in sources) for kind in KINDS}
    openers = {source.name: lambda source=source: source for source in sources}
    return Router(openers, Policy(order, **policy), book=ledger, now=clock)


def test_a_symbol_the_first_source_lacks_comes_from_the_second_which_says_so(ledger, clock):
    first = FakeSource("first", clock, {AAPL: 100})
    second = FakeSource("second", clock, {AAPL: 101, MSFT: 50})

    found = routed(ledger, clock, first, second).quotes([AAPL, MSFT])

    assert (found[AAPL].provenance.source, found[AAPL].provenance.passed_over) == ("first", ())
    assert found[MSFT].provenance.source == "second"
    assert found[MSFT].provenance.passed_over == ("first: not covered",)
    assert second.calls == [("quotes", (MSFT,))]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"age": timedelta(seconds=90)}, "90 s old, over 60 s"),
        ({"crossed": True}, "crossed 100.01 x 99.99"),
        ({"feed": FeedClass.INDICATIVE}, "indicative data, and realtime is needed"),
        ({"error": ProviderUnavailable("no answer in 5 s")}, "no answer in 5 s"),
        ({"error": ProviderRefused("not in the plan")}, "not in the plan"),
    ],
)
def test_what_cannot_be_traded_on_is_passed_over_with_its_reason(ledger, clock, fault, reason):
    bad = FakeSource("bad", clock, {AAPL: 100}, **fault)
    good = FakeSource("good", clock, {AAPL: 101})

    quote = routed(ledger, clock, bad, good, least_feed=FeedClass.REALTIME).quotes([AAPL])[AAPL]

    assert (quote.mid, quote.provenance.passed_over) == (Decimal(101), (f"bad: {reason}",))


def test_a_symbol_nobody_has_is_missing_with_what_everybody_said(ledger, clock):
    dead = FakeSource("dead", clock, error=ProviderUnavailable("no answer in 5 s"))
    router = routed(ledger, clock, dead, FakeSource("other", clock))

    found = router.quotes([AAPL])[AAPL]

    assert found == Missing(AAPL, "dead: no answer in 5 s; other: not covered")
    with pytest.raises(ProviderUnavailable, match=r"chain of AAPL: dead: rests .*; other: an empty chain"):
        router.chain(AAPL, WINDOW, NOON.date())


def test_a_dead_source_costs_one_call_then_rests_longer_after_each_failure_in_every_process(ledger, clock):
    dead = FakeSource("dead", clock, error=ProviderUnavailable("no answer in 5 s"))
    good = FakeSource("good", clock, {AAPL: 100})
    for _ in range(3):
        routed(ledger, clock, dead, good).quotes([AAPL])
    at_first = len(dead.calls)
    clock.pass_(FIRST_REST)
    routed(ledger, clock, dead, good).quotes([AAPL])
    after_a_rest = len(dead.calls)
    clock.pass_(FIRST_REST)

    quote = routed(ledger, clock, dead, good).quotes([AAPL])[AAPL]

    assert (at_first, after_a_rest, len(dead.calls)) == (1, 2, 2)
    assert quote.provenance.passed_over == ("dead: rests until 17:01:30 UTC after 2 failures",)


def test_a_source_that_recovers_is_first_again(ledger, clock):
    first = FakeSource("first", clock, {AAPL: 100}, error=ProviderUnavailable("no answer in 5 s"))
    router = routed(ledger, clock, first, FakeSource("second", clock, {AAPL: 101}))
    router.quotes([AAPL])
    first.error = None
    clock.pass_(FIRST_REST)

    found = [router.quotes([AAPL])[AAPL].provenance.source for _ in range(2)]

    assert found == ["first", "first"]


def test_a_refusal_is_not_a_failure_of_the_source(ledger, clock):
    refusing = FakeSource("refusing", clock, {AAPL: 100}, error=ProviderRefused("unknown symbol"))
    router = routed(ledger, clock, refusing, FakeSource("other", clock))
    router.quotes([MSFT])
    refusing.error = None

    assert router.quotes([AAPL])[AAPL].mid == 100


def test_entries_leave_a_share_of_the_requests_to_exits(ledger, clock):
    source = FakeSource("slow", clock, {AAPL: 100}, requests_a_minute=5)
    router = routed(ledger, clock, source, reserve=0.4)
    for _ in range(3):
        router.quotes([AAPL])
    with pytest.raises(ProviderUnavailable, match="its 3 requests of this minute are used up"):
        router.quotes([AAPL])
    with router.urgent():
        router.quotes([AAPL])
        router.quotes([AAPL])
        with pytest.raises(ProviderUnavailable, match="its 5 requests of this minute are used up"):
            router.quotes([AAPL])
    clock.pass_(timedelta(minutes=1))

    assert isinstance(router.quotes([AAPL])[AAPL], Quote)


@pytest.mark.parametrize(
    ("second", "liquid", "good"), [(100.4, True, True), (100.6, True, False), (100.6, False, True)]
)
def test_two_sources_have_to_agree_on_what_will_be_traded(ledger, clock, second, liquid, good):
    sources = FakeSource("one", clock, {AAPL: 100}), FakeSource("two", clock, {AAPL: second})
    router = routed(ledger, clock, *sources)

    found = router.confirmed_quotes([AAPL], liquid=[AAPL] if liquid else [])[AAPL]

    assert isinstance(found, Quote) is good


def test_a_disagreement_names_both_prices(ledger, clock):
    router = routed(
        ledger, clock, FakeSource("one", clock, {AAPL: 100}), FakeSource("two", clock, {AAPL: 130})
    )

    found = router.confirmed_quotes([AAPL])[AAPL]

    assert found == Missing(AAPL, "one says 100.00, two 130.00: 30.00% apart, over 1.0%")


def test_a_quote_without_a_second_source_is_kept_and_says_so(ledger, clock):
    router = routed(ledger, clock, FakeSource("one", clock, {AAPL: 100}), FakeSource("two", clock))

    found = router.confirmed_quotes([AAPL])[AAPL]

    assert found.provenance.passed_over == ("not confirmed: two: not covered",)


def test_bars_of_two_sources_are_one_frame_that_knows_where_each_symbol_came_from(ledger, clock):
    first = FakeSource("first", clock, {AAPL: 100})
    second = FakeSource("second", clock, {MSFT: 50}, feed=FeedClass.DELAYED)

    bars = routed(ledger, clock, first, second).bars([AAPL, MSFT], NOON.date(), NOON.date())

    assert dict(zip(bars.frame["symbol"], bars.frame["close"], strict=True)) == {"AAPL": 100, "MSFT": 50}
    assert (bars.provenance.source, bars.missing) == ("first", ())
    assert bars.others[MSFT].source == "second"
    assert bars.others[MSFT].passed_over == ("first: not covered",)


def test_bars_that_no_source_answers_are_an_error_and_never_an_empty_frame(ledger, clock):
    router = routed(ledger, clock, FakeSource("dead", clock, error=ProviderUnavailable("no answer in 5 s")))

    with pytest.raises(ProviderUnavailable, match="dead: no answer in 5 s"):
        router.bars([AAPL], NOON.date(), NOON.date())


def test_the_same_bars_asked_for_at_once_are_fetched_once_and_kept_a_while(ledger, clock):
    source = FakeSource("one", clock, {AAPL: 100}, gate=threading.Event())
    router = routed(ledger, clock, source)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(router.bars, [AAPL], NOON.date(), NOON.date()) for _ in range(4)]
        source.gate.set()
        closes = [task.result().frame["close"].tolist() for task in asked]
    at_once = len(source.calls)
    clock.pass_(timedelta(minutes=11))
    router.bars([AAPL], NOON.date(), NOON.date())

    assert closes == [[100]] * 4
    assert (at_once, len(source.calls)) == (1, 2)


def test_the_only_source_is_asked_again_however_often_it_failed(ledger, clock):
    only = FakeSource("only", clock, {AAPL: 100}, error=ProviderUnavailable("no answer in 5 s"))
    router = routed(ledger, clock, only)
    with pytest.raises(ProviderUnavailable, match="quotes: only: no answer in 5 s"):
        router.quotes([AAPL])
    only.error = None

    assert router.quotes([AAPL])[AAPL].mid == 100


def test_when_all_refuse_for_good_asking_again_is_not_suggested(ledger, clock):
    refusing = FakeSource("refusing", clock, error=ProviderRefused("the key is wrong"))

    with pytest.raises(ProviderRefused, match="refusing: the key is wrong"):
        routed(ledger, clock, refusing).bars([AAPL], NOON.date(), NOON.date())


def test_an_order_that_names_an_unknown_source_or_kind_is_refused(ledger, clock):
    source = FakeSource("one", clock)

    with pytest.raises(ConfigError, match="source 'two' for quotes is not one of one"):
        Router({"one": lambda: source}, Policy({DataKind.QUOTES: ("two",)}), book=ledger, now=clock)
    with pytest.raises(ConfigError, match="source 'one' does not serve earnings"):
        Router(
            {"one": lambda: source}, Policy({DataKind.EARNINGS: ("one",)}), book=ledger, now=clock
        ).earnings([AAPL], NOON.date(), NOON.date())

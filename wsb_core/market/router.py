"""Several sources behind one port: asked in order, graded, and passed over for a reason that is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeVar

from wsb_core.domain.errors import (
    ConfigError,
    ProviderRefused,
    ProviderUnavailable,
    Terminal,
    Transient,
    WsbError,
)
from wsb_core.domain.events import CorporateAction, EarningsDate, Yields
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Source
from wsb_core.domain.quotes import Chain, FeedClass, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow

T = TypeVar("T")
Graded = Callable[[Any], Provenance | str | None]
"""Where an answer is from, or why it is not good enough; None where it says so itself, row by row."""

_TRUST = tuple(FeedClass)
FIRST_REST = timedelta(seconds=30)
LONGEST_REST = timedelta(minutes=10)
WORTH_A_ROW = timedelta(minutes=1)
"""How long one recorded success stands for those after it: a row for each would bury the failures."""


class Standing(Protocol):
    """How a source has been doing lately."""

    @property
    def consecutive_failures(self) -> int: ...

    @property
    def last_at(self) -> datetime: ...


class SourceBook(Protocol):
    """What is known of the sources, kept between processes: every flow run is one of its own."""

    def provider_health(self, source: str) -> Standing | None: ...

    def record_provider(
        self, source: str, ok: bool, latency_ms: float | None, error: str, at: datetime
    ) -> None: ...

    def take_request(self, source: str, most: int, at: datetime) -> bool:
        """Whether the source may be asked once more in the minute of ``at``; counted when it may."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """In which order sources are asked, and what an answer has to be good for.

    ``least_feed`` is the least trusted class that quotes, chains and the session so far may have; None
    where nothing is traded on them. ``reserve`` is the share of each source's requests that is left to
    exits. ``agreement`` is the relative difference of mids up to which two sources agree.
    """

    order: Mapping[DataKind, tuple[str, ...]]
    least_feed: FeedClass | None = None
    max_age: Mapping[DataKind, timedelta] = field(
        default_factory=lambda: {DataKind.QUOTES: timedelta(minutes=1), DataKind.CHAIN: timedelta(minutes=15)}
    )
    keep: Mapping[DataKind, timedelta] = field(default_factory=lambda: {DataKind.BARS: timedelta(minutes=10)})
    reserve: float = 0.2
    agreement: float = 0.01
    agreement_liquid: float = 0.005

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < 1:
            raise ConfigError(f"reserve must be at least 0 and below 1, not {self.reserve}")


_LIVE = frozenset({DataKind.QUOTES, DataKind.CHAIN, DataKind.TODAY})


class Router:
    """``MarketData`` over several sources.

    A symbol that one source lacks, or has stale, crossed or of too low a class, is asked of the next;
    a source that does not answer rests, twice as long after each failure, and costs nothing meanwhile.
    """

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Source]],
        policy: Policy,
        *,
        book: SourceBook,
        now: Callable[[], datetime],
    ) -> None:
        """``sources`` are opened when first asked: a vendor's library may take a second to load.

        Raises: ConfigError when the policy names a source that is not there.
        """
        self._openers, self._opened = dict(sources), dict[str, Source]()
        self._policy, self._book, self._now = policy, book, now
        self._urgent = threading.local()
        self._kept: dict[Any, tuple[datetime, Any]] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()
        for kind, names in policy.order.items():
            for name in names:
                if name not in self._openers:
                    known = ", ".join(self._openers)
                    raise ConfigError(f"source {name!r} for {kind} is not one of {known}")

    @property
    def name(self) -> str:
        return "router"

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Requests inside may use what the budget holds back: exits come before everything else."""
        before = getattr(self._urgent, "on", False)
        self._urgent.on = True
        try:
            yield
        finally:
            self._urgent.on = before

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """As ``MarketData.bars``, each symbol from the first source that has it; ``Bars.others`` says which.

        Raises: ProviderUnavailable or ProviderRefused when no source answered at all.
        """
        return self._frames(
            DataKind.BARS, symbols, lambda s, names: s.bars(names, first, last), (first, last)
        )

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """As ``MarketData.today``. Raises as ``bars``."""
        return self._frames(DataKind.TODAY, symbols, lambda s, names: s.today(names), ())

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        """The best quote of each symbol; ``Missing`` says what every source said of it.

        Raises: ProviderUnavailable or ProviderRefused when no source answered at all.
        """
        return self._quotes(symbols, {})

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """The chain from the first source whose chain is good enough.

        Raises: ProviderUnavailable naming what every source said.
        """

        def ask(source: Any, names: Sequence[Underlying]) -> Mapping[Underlying, Chain]:
            return {name: source.chain(name, window, on) for name in names}

        found: Chain | Missing = self._route(DataKind.CHAIN, [underlying], ask, self._grade_chain, {})[
            underlying
        ]
        if isinstance(found, Missing):
            raise ProviderUnavailable(f"chain of {underlying}: {found.reason}")
        return found

    def confirmed_quotes(
        self, symbols: Sequence[Underlying], liquid: Collection[Underlying] = ()
    ) -> Mapping[Underlying, Quote | Missing]:
        """Quotes that will be traded on, each held against a second source: ``Missing`` where they disagree.

        A quote that no second source could confirm says so in its provenance and is kept: one source
        is less than two, and not wrong for that. Raises as ``quotes``.
        """
        by: dict[Underlying, str] = {}
        found = dict(self._quotes(symbols, by))
        for name, quote in found.items():
            if isinstance(quote, Quote):
                bound = self._policy.agreement_liquid if name in liquid else self._policy.agreement
                found[name] = self._confirmed(name, quote, by[name], bound)
        return found

    def raw_bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """As ``bars``, in prices and shares as they were traded. Raises as ``bars``."""
        return self._frames(
            DataKind.RAW_BARS, symbols, lambda s, names: s.raw_bars(names, first, last), (first, last)
        )

    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[str, Mapping[Underlying, tuple[EarningsDate, ...] | Missing] | WsbError]:
        """What each source says by itself, or why it did not: dates are believed when two agree."""
        order = self._policy.order.get(DataKind.EARNINGS, ())
        return {
            name: rests
            or self._answers(
                name, DataKind.EARNINGS, symbols, lambda s, names: s.earnings(names, first, last)
            )
            for name, rests in self._rests(order).items()
        }

    def corporate_actions(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[CorporateAction, ...] | Missing]:
        """Each name's actions from the first source that covers it. Raises as ``quotes``."""
        return self._route(
            DataKind.ACTIONS,
            symbols,
            lambda s, names: s.corporate_actions(names, first, last),
            lambda actions: None,
            {},
        )

    def yields(self, first: date, last: date) -> tuple[Yields, ...]:
        """Treasury yields from the first source that answers. Raises as ``quotes``."""
        found: tuple[Yields, ...] = self._route(
            DataKind.YIELDS,
            [_TREASURY],
            lambda s, names: {_TREASURY: s.yields(first, last)},
            lambda yields: None,
            {},
        )[_TREASURY]
        return found

    def _confirmed(self, name: Underlying, quote: Quote, first: str, bound: float) -> Quote | Missing:
        others = [each for each in self._policy.order[DataKind.QUOTES] if each != first]
        by: dict[Underlying, str] = {}
        try:
            second = self._quotes([name], by, others)[name]
        except WsbError as error:
            second = Missing(name, str(error))
        if isinstance(second, Missing):
            said = (*quote.provenance.passed_over, f"not confirmed: {second.reason}")
            return replace(quote, provenance=replace(quote.provenance, passed_over=said))
        ours, theirs = quote.mid, second.mid
        if ours is None or theirs is None:
            return Missing(name, f"{first} has no two-sided quote to compare")
        apart = abs(float(ours - theirs)) / float(min(ours, theirs))
        if apart <= bound:
            return quote
        return Missing(name, f"{first} says {ours}, {by[name]} {theirs}: {apart:.2%} apart, over {bound:.1%}")

    def _quotes(
        self, symbols: Sequence[Underlying], by: dict[Underlying, str], among: Sequence[str] | None = None
    ) -> Mapping[Underlying, Quote | Missing]:
        return self._route(
            DataKind.QUOTES, symbols, lambda s, names: s.quotes(names), self._grade_quote, by, among
        )

    def _frames(
        self,
        kind: DataKind,
        symbols: Sequence[Underlying],
        ask: Callable[[Any, Sequence[Underlying]], Bars],
        key: tuple[Any, ...],
    ) -> Bars:
        answered: list[Bars] = []

        def each(source: Any, names: Sequence[Underlying]) -> Mapping[Underlying, Bars | Missing]:
            bars = ask(source, names)
            answered.append(bars)
            gone = {missing.underlying: missing for missing in bars.missing}
            return {name: gone.get(name, bars) for name in names}

        def make() -> Bars:
            found = self._route(kind, symbols, each, lambda bars: self._grade(kind, bars.provenance), {})
            return _joined(answered, found)

        return self._cached(kind, (kind, tuple(symbols), *key), make)

    def _route(
        self,
        kind: DataKind,
        symbols: Sequence[Underlying],
        ask: Callable[[Any, Sequence[Underlying]], Mapping[Underlying, Any]],
        grade: Graded,
        by: dict[Underlying, str],
        among: Sequence[str] | None = None,
    ) -> dict[Underlying, Any]:
        """Each symbol's first good answer, with the reasons of those passed over in its provenance.

        ``by`` is told which source each answer was taken from.

        Raises: ProviderUnavailable, or ProviderRefused when all refused for good, if no source answered.
        """
        left, found = list(dict.fromkeys(symbols)), {}
        said: dict[Underlying, list[str]] = {name: [] for name in left}
        order = self._policy.order.get(kind, ()) if among is None else among
        errors: list[WsbError] = []
        for source, rests in self._rests(order).items():
            if not left:
                break
            answers = rests or self._answers(source, kind, left, ask)
            if isinstance(answers, WsbError):
                errors.append(answers)
            for name in list(left):
                answer: Any = answers if isinstance(answers, WsbError) else answers.get(name, _NOTHING)
                good = _reason(answer) or grade(answer)
                if isinstance(good, str):
                    said[name].append(f"{source}: {good}")
                    continue
                told = tuple(said[name])
                found[name] = (
                    answer if good is None else replace(answer, provenance=replace(good, passed_over=told))
                )
                by[name] = source
                left.remove(name)
        if left and order and len(errors) == len(order):
            refused = all(isinstance(error, Terminal) for error in errors)
            raise (ProviderRefused if refused else ProviderUnavailable)(f"{kind}: {'; '.join(said[left[0]])}")
        return found | {name: Missing(name, "; ".join(said[name]) or "no source") for name in left}

    def _rests(self, order: Sequence[str]) -> dict[str, ProviderUnavailable | None]:
        """For each source why it is left alone after its failures; none is while all of them failed."""
        found = {name: self._rest_of(name) for name in order}
        return dict.fromkeys(order) if all(found.values()) else found

    def _rest_of(self, name: str) -> ProviderUnavailable | None:
        standing = self._book.provider_health(name)
        if standing is None or not standing.consecutive_failures:
            return None
        until = standing.last_at + _rest(standing.consecutive_failures)
        if self._now() >= until:
            return None
        failed = standing.consecutive_failures
        return ProviderUnavailable(f"rests until {until:%H:%M:%S} UTC after {failed} failures")

    def _answers(
        self,
        name: str,
        kind: DataKind,
        symbols: Sequence[Underlying],
        ask: Callable[[Any, Sequence[Underlying]], Mapping[Underlying, Any]],
    ) -> Mapping[Underlying, Any] | WsbError:
        """What one source says, or why it did not."""
        at, source = self._now(), self._source(name)
        if kind not in source.services:
            raise ConfigError(f"source {name!r} does not serve {kind}; leave it out of that order")
        if (spent := self._spent(source, kind, at)) is not None:
            return spent
        began = time.monotonic()
        try:
            answers = ask(source, symbols)
        except Transient as error:
            self._book.record_provider(name, False, None, str(error), at)
            return error
        except Terminal as error:
            # It answered: the refusal concerns this request, and does not tell of its health.
            return error
        standing = self._book.provider_health(name)
        if standing is None or standing.consecutive_failures or at - standing.last_at > WORTH_A_ROW:
            self._book.record_provider(name, True, 1000 * (time.monotonic() - began), "", at)
        return answers

    def _source(self, name: str) -> Source:
        with self._guard:
            if name not in self._opened:
                self._opened[name] = self._openers[name]()
            return self._opened[name]

    def _spent(self, source: Source, kind: DataKind, at: datetime) -> ProviderUnavailable | None:
        """Count one request; the error when this minute has no more for what is asked now."""
        most = source.services[kind].requests_a_minute
        if most is None:
            return None
        urgent = getattr(self._urgent, "on", False)
        allowed = most if urgent else max(1, int(most * (1 - self._policy.reserve)))
        if self._book.take_request(source.name, allowed, at):
            return None
        return ProviderUnavailable(f"its {allowed} requests of this minute are used up")

    def _grade_quote(self, quote: Quote) -> Provenance | str:
        if quote.mid is None:
            crossed = quote.bid is not None and quote.ask is not None
            return f"crossed {quote.bid} x {quote.ask}" if crossed else "no two-sided quote"
        return self._grade(DataKind.QUOTES, quote.provenance)

    def _grade_chain(self, chain: Chain) -> Provenance | str:
        return self._grade(DataKind.CHAIN, chain.provenance) if len(chain) else "an empty chain"

    def _grade(self, kind: DataKind, provenance: Provenance) -> Provenance | str:
        least = self._policy.least_feed
        if least is not None and kind in _LIVE and _TRUST.index(provenance.feed) > _TRUST.index(least):
            return f"{provenance.feed} data, and {least} is needed"
        oldest, age = self._policy.max_age.get(kind), provenance.age(self._now())
        if oldest is not None and age > oldest:
            return f"{age.total_seconds():.0f} s old, over {oldest.total_seconds():.0f} s"
        return provenance

    def _cached(self, kind: DataKind, key: Any, make: Callable[[], T]) -> T:
        """``make()``, once for all who ask at the same time, and kept as long as the policy says."""
        life = self._policy.keep.get(kind)
        if life is None:
            return make()
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            kept = self._kept.get(key)
            if kept is not None and self._now() - kept[0] < life:
                value: T = kept[1]
                return value
            value = make()
            self._kept[key] = (self._now(), value)
            return value


def _rest(failures: int) -> timedelta:
    doublings: int = 2 ** min(failures - 1, 10)
    return min(LONGEST_REST, FIRST_REST * doublings)


_NOTHING = ProviderUnavailable("said nothing of it")
_TREASURY = Underlying("Treasury yields")
"""Stands where a symbol does, for what is not a symbol's."""


def _reason(answer: Any) -> str | None:
    """Why this is no answer; None when it is one."""
    if isinstance(answer, WsbError):
        return str(answer)
    return answer.reason if isinstance(answer, Missing) else None


def _joined(answered: Sequence[Bars], found: Mapping[Underlying, Bars | Missing]) -> Bars:
    """One frame: from each answer the rows of the symbols that were taken from it."""
    import pandas as pd

    parts = []
    for bars in answered:
        taken = [n for n, each in found.items() if isinstance(each, Bars) and each.frame is bars.frame]
        parts.append(bars.frame[bars.frame["symbol"].isin(taken)])
    good = {name: each.provenance for name, each in found.items() if isinstance(each, Bars)}
    main = answered[0].provenance
    return Bars(
        pd.concat(parts, ignore_index=True),
        answered[0].adjusted,
        main,
        tuple(each for each in found.values() if isinstance(each, Missing)),
        {name: provenance for name, provenance in good.items() if provenance != main},
    )

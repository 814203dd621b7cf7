"""Which company a ticker meant on a day: tickers change, and are given to others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wsb_core.domain.errors import DataQualityError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Span:
    """``instrument`` was called ``symbol`` from ``first`` to ``last``, both included."""

    instrument: str
    symbol: str
    first: date = date.min
    last: date = date.max

    def has(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.symbol} of {self.instrument} from {self.first} to {self.last}"


class Names:
    """The identity table as it was known at one instant.

    A ticker that the table never names is its own company at all times.

    Raises: DataQualityError when two companies have one ticker on a day, or one company two tickers.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self._by_symbol: dict[str, list[Span]] = defaultdict(list)
        self._by_instrument: dict[str, list[Span]] = defaultdict(list)
        for span in sorted(spans, key=lambda span: (span.first, span.last)):
            if span.last < span.first:
                raise DataQualityError(f"identity: {span} ends before it begins")
            self._by_symbol[span.symbol].append(span)
            self._by_instrument[span.instrument].append(span)
        for group in (*self._by_symbol.values(), *self._by_instrument.values()):
            for one, other in pairwise(group):
                if other.first <= one.last:
                    raise DataQualityError(
                        f"identity: {one} and {other} overlap; write the first again with its last day"
                    )

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Names:
        """From the frame of table ``identity``."""
        return cls(
            Span(instrument, symbol, first or date.min, last or date.max)
            for instrument, symbol, first, last in zip(
                frame["instrument"], frame["symbol"], _days(frame["first"]), _days(frame["last"]), strict=True
            )
        )

    def of_symbol(self, symbol: str) -> tuple[Span, ...]:
        """Everyone who was ever called that, by time."""
        return tuple(self._by_symbol.get(symbol, ()))

    def trail(self, symbol: str, on: date) -> tuple[Span, ...]:
        """All tickers, by time, of the company called ``symbol`` on ``on``; empty when it was nobody's."""
        known = self._by_symbol.get(symbol)
        if not known:
            return (Span(symbol, symbol),)
        now = next((span for span in known if span.has(on)), None)
        return () if now is None else tuple(self._by_instrument[now.instrument])

    def renamings(self, symbol: str, on: date) -> tuple[tuple[Span, Span], ...]:
        """Each ticker of the company called ``symbol`` on ``on`` with the next one."""
        return tuple(pairwise(self.trail(symbol, on)))


def _days(stamps: pd.Series[Any]) -> list[date | None]:
    return [stamp.date() if known else None for stamp, known in zip(stamps, stamps.notna(), strict=True)]

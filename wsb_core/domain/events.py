"""Dated facts about a company or a market that move prices or change contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from .calendar import shift
from .ids import Price, Underlying
from .quotes import Provenance

_DAY = timedelta(days=1)


class ReportTime(StrEnum):
    """When on its day a company reports. Unknown is not midnight."""

    BEFORE_OPEN = "before_open"
    DURING = "during"
    AFTER_CLOSE = "after_close"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EarningsDate:
    """One announcement as one source knows it. ``confirmed`` is None when the source does not say."""

    underlying: Underlying
    day: date
    time: ReportTime
    confirmed: bool | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Announcement:
    """One report as all sources together know it: on any day from ``first`` to ``last`` where they differ."""

    underlying: Underlying
    first: date
    last: date
    time: ReportTime
    """Unknown also where the sources contradict each other."""
    confirmed: bool | None
    """By the company; None when no source says."""
    sources: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """Two sources name days at most one apart, none calls it unconfirmed, and the time is known."""
        agreed = len(self.sources) >= 2 and self.last - self.first <= timedelta(days=1)
        return agreed and self.confirmed is not False and self.time is not ReportTime.UNKNOWN

    @property
    def reactions(self) -> tuple[date, date]:
        """The first and the last session whose prices may be the first to know.

        A report after the close is news to the next session; one whose time is unknown may be either.

        Raises: ValueError beyond the exchange calendar, about a year ahead.
        """
        early = self.first if self.time is not ReportTime.AFTER_CLOSE else self.first + _DAY
        late = self.last + _DAY if self.time in (ReportTime.AFTER_CLOSE, ReportTime.UNKNOWN) else self.last
        return shift(early, 0), shift(late, 0)


@dataclass(frozen=True, slots=True)
class CashDividend:
    """Dollars per share. ``special`` is None when the source does not say; special ones change contracts."""

    underlying: Underlying
    ex_date: date
    amount: Price
    pay_date: date | None
    special: bool | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Split:
    """``ratio`` is new shares for one old: 2 for 2:1, 0.1 for a reverse 1:10."""

    underlying: Underlying
    ex_date: date
    ratio: Decimal
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.ratio <= 0 or self.ratio == 1:
            raise ValueError(f"{self.underlying}: a split's ratio is positive and not 1, not {self.ratio}")


@dataclass(frozen=True, slots=True)
class Renamed:
    """A ticker that became another one on ``day``."""

    old: Underlying
    new: Underlying
    day: date
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Reorganised:
    """A merger, spin-off, stock dividend, removal or the like: contracts change, and a person has to look."""

    underlying: Underlying
    day: date
    kind: str
    """In the source's words."""
    provenance: Provenance


CorporateAction = CashDividend | Split | Renamed | Reorganised


def effective(action: CorporateAction) -> date:
    """The day from which prices or contracts are different."""
    return action.ex_date if isinstance(action, CashDividend | Split) else action.day


@dataclass(frozen=True, slots=True)
class Yields:
    """Treasury par yields of one day: years to maturity -> percent. Tenors nobody gave are absent."""

    day: date
    percent: Mapping[float, float]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Headline:
    """A news item; ``symbols`` are those the source tags it with."""

    id: str
    at: datetime
    title: str
    url: str
    symbols: tuple[Underlying, ...]
    provenance: Provenance

"""Which cash dividends to expect of a share, out of those it paid and those it announced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from statistics import median

from wsb_core.domain.calendar import NEW_YORK, years_between
from wsb_core.domain.events import CashDividend, Split
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import require_aware
from wsb_core.pricing.american_discrete import Dividend

_OPENS = time(9, 30)
_DAY = timedelta(days=1)
_YEAR = timedelta(days=364)
"""52 weeks: companies keep the weekday of an ex-date from year to year."""
_LEEWAY = 0.4
"""Part of a period by which a gap may differ from it: quarters of 77 and 106 days occur."""
NONE_AFTER = timedelta(days=730)
"""A share whose whole history shows no dividend for this long is taken to pay none."""


class Cadence(StrEnum):
    """How often a share pays."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half-yearly"
    YEARLY = "yearly"

    @property
    def a_year(self) -> int:
        return {"monthly": 12, "quarterly": 4, "half-yearly": 2, "yearly": 1}[self.value]

    @property
    def period(self) -> timedelta:
        return timedelta(days=365.25) / self.a_year


class ForecastStatus(StrEnum):
    EXPECTED = "expected"
    """The schedule says all that is to be expected."""
    NONE = "pays none"
    """No dividend for years, in a history that is known to be whole: the schedule is empty."""
    UNKNOWN = "unknown"
    """Nothing can be said; that is not zero."""


@dataclass(frozen=True, slots=True)
class ExpectedDividend:
    """``amount`` in dollars per share of today; ``announced`` by the company, or forecast here."""

    ex_date: date
    amount: Price
    announced: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """Dividends with an ex-date after the day of ``at`` up to ``until``, by date."""

    underlying: Underlying
    at: datetime
    until: date
    status: ForecastStatus
    dividends: tuple[ExpectedDividend, ...]
    cadence: Cadence | None
    reasons: tuple[str, ...]
    """Why the status is what it is, and what was left out."""

    @property
    def next(self) -> ExpectedDividend | None:
        """The next one; None when none is expected in time, and when nothing is known: see ``status``."""
        return self.dividends[0] if self.dividends else None

    @property
    def schedule(self) -> tuple[Dividend, ...] | None:
        """What ``pricing.american_discrete`` takes: the share goes ex as its ex-date's session opens.

        None when the status is unknown.
        """
        if self.status is ForecastStatus.UNKNOWN:
            return None
        return tuple(
            Dividend(years_between(self.at, _opens(each.ex_date)), float(each.amount))
            for each in self.dividends
        )


def forecast_dividends(
    underlying: Underlying,
    history: Iterable[CashDividend],
    at: datetime,
    until: date,
    *,
    whole_from: date | None = None,
    splits: Iterable[Split] = (),
) -> Forecast:
    """What is expected at ``at``: what is announced, and after it the last amount at the usual times.

    ``history`` has amounts as paid; ``splits`` bring them to shares of today. Rows are known from their
    provenance's ``as_of`` on; where sources give the same ex-date, the first given is taken. ``whole_from``
    is the day from which no dividend is missing in ``history``; without it no history means nothing known.
    Special dividends are left out: they change the contracts instead; one that is not said to be special
    counts as regular. A dividend overdue by more than half a period was cut or suspended, or the history
    lost it: nothing is known. No growth is assumed; a forecast date on a weekend becomes the Monday.
    """
    today = require_aware(at, "at").astimezone(NEW_YORK).date()
    known = [one for one in history if one.underlying == underlying and one.provenance.as_of <= at]
    ratios = {
        one.ex_date: one.ratio
        for one in splits
        if one.underlying == underlying and one.provenance.as_of <= at
    }
    regular = _in_todays_shares([one for one in known if not one.special], ratios, today)
    aside = [
        f"special dividend of {one.amount} on {one.ex_date} left out"
        for one in known
        if one.special and today < one.ex_date <= until
    ]
    status, found, cadence, why = _judged(regular, today, until, whole_from)
    return Forecast(underlying, at, until, status, tuple(found), cadence, (why, *aside))


def _judged(
    regular: Sequence[ExpectedDividend], today: date, until: date, whole_from: date | None
) -> tuple[ForecastStatus, Sequence[ExpectedDividend], Cadence | None, str]:
    announced = [each for each in regular if today < each.ex_date <= until]
    if not any(each.ex_date > today - NONE_AFTER for each in regular):
        if whole_from is not None and whole_from <= today - NONE_AFTER:
            return ForecastStatus.NONE, (), None, f"no dividend since {today - NONE_AFTER}"
        since = f"is whole from {whole_from} only" if whole_from else "may not be whole"
        return ForecastStatus.UNKNOWN, (), None, f"no dividend known, and the history {since}"
    cadence = _cadence(regular)
    last = regular[-1]
    if cadence is None:
        latest = ", ".join(str(each.ex_date) for each in regular[-4:])
        return ForecastStatus.UNKNOWN, announced, None, f"no cadence in {latest}"
    due = _following(regular, cadence)
    if last.ex_date <= today and today > due + cadence.period / 2:
        why = f"due about {due} and not seen by {today}: cut, suspended or missing in the history"
        return ForecastStatus.UNKNOWN, (), cadence, why
    late = f", due about {due} and not announced yet" if due <= today else ""
    found = [*announced, *_continued(regular, cadence, today, until)]
    return ForecastStatus.EXPECTED, found, cadence, f"{cadence}, last {last.amount} on {last.ex_date}{late}"


def _in_todays_shares(
    rows: Sequence[CashDividend], ratios: Mapping[date, Decimal], today: date
) -> list[ExpectedDividend]:
    """One entry an ex-date, by date; what one source gives for one date is added up."""
    by_day: dict[date, list[CashDividend]] = {}
    for row in rows:
        same = by_day.setdefault(row.ex_date, [])
        if not same or same[0].provenance.source == row.provenance.source:
            same.append(row)
    found = []
    for day in sorted(by_day):
        amount = sum((row.amount for row in by_day[day]), Decimal(0))
        for split, ratio in ratios.items():
            if day < split <= today:
                amount /= ratio
            elif today < split <= day:
                amount *= ratio
        found.append(ExpectedDividend(day, Price(amount), day > today))
    return found


def _cadence(regular: Sequence[ExpectedDividend]) -> Cadence | None:
    """The cadence that its last three gaps fit; None when they fit none or there are fewer than two."""
    gaps = [(later.ex_date - earlier.ex_date).days for earlier, later in pairwise(regular)][-3:]
    if len(gaps) < 2:
        return None
    usual = median(gaps)
    best = min(Cadence, key=lambda one: abs(usual / one.period.days - 1))
    return best if all(abs(gap / best.period.days - 1) <= _LEEWAY for gap in gaps) else None


def _following(regular: Sequence[ExpectedDividend], cadence: Cadence) -> date:
    """When the one after the last is due: 52 weeks after the one a year before it, where that fits."""
    usual = regular[-1].ex_date + timedelta(days=cadence.period.days)
    if len(regular) < cadence.a_year:
        return usual
    anniversary = regular[-cadence.a_year].ex_date + _YEAR
    return anniversary if abs(anniversary - usual) <= _LEEWAY * cadence.period else usual


def _continued(
    regular: Sequence[ExpectedDividend], cadence: Cadence, today: date, until: date
) -> list[ExpectedDividend]:
    """The forecast after the last of ``regular``; one that is late is expected tomorrow at the earliest."""
    found = list(regular)
    while (due := _on_weekday(max(_following(found, cadence), today + _DAY))) <= until:
        found.append(ExpectedDividend(due, regular[-1].amount, announced=False))
    return found[len(regular) :]


def _on_weekday(day: date) -> date:
    return day + (7 - day.weekday()) * _DAY if day.weekday() >= 5 else day


def _opens(day: date) -> datetime:
    return datetime.combine(day, _OPENS, NEW_YORK)

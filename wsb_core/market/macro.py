"""Scheduled releases that move the whole market: FOMC decisions, consumer prices, employment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import ConfigError
from wsb_core.domain.quotes import require_aware
from wsb_core.universes.table import Row, read_rows

RELEASE_COLUMNS = ("kind", "day", "time", "announced", "withdrawn", "source", "checked_on")
SPAN_COLUMNS = ("kind", "first", "last")


class ReleaseKind(StrEnum):
    FOMC = "fomc"
    """Statement after a regular meeting of the Federal Open Market Committee; no others."""
    CPI = "cpi"
    """Consumer Price Index."""
    JOBS = "jobs"
    """Employment Situation, with nonfarm payrolls."""


@dataclass(frozen=True, slots=True)
class Release:
    """A day that stood on the schedule. ``at`` is in New York time; ``checked_on`` says how fresh the row is.

    ``announced`` is the day on which a date out of turn became known, None for those of the yearly schedule;
    ``withdrawn`` the day on which it became known that nothing would come then, None where it did or will.
    """

    kind: ReleaseKind
    at: datetime
    announced: date | None
    withdrawn: date | None
    source: str
    checked_on: date

    def known_on(self, day: date) -> bool:
        """Whether it stood on the schedule on ``day``; days of announcement and withdrawal included."""
        return (self.announced is None or self.announced <= day) and (
            self.withdrawn is None or day <= self.withdrawn
        )


@dataclass(frozen=True, slots=True)
class Unknown:
    """The schedule says nothing of a time, and why. It counts as an event."""

    reason: str


@dataclass(frozen=True, slots=True)
class Clearance:
    """Whether no release falls in a time; ``reason`` says which does, or what is not known."""

    clear: bool
    reason: str


@dataclass(frozen=True)
class MacroCalendar:
    """Releases by time, and for each kind the first and last day for which its schedule is whole."""

    scheduled: tuple[Release, ...]
    spans: Mapping[ReleaseKind, tuple[date, date]]

    def releases(
        self, first: datetime, last: datetime, kinds: Iterable[ReleaseKind] = tuple(ReleaseKind)
    ) -> tuple[Release, ...] | Unknown:
        """Those from ``first`` to ``last``, both included, as the schedule stood on the day of ``first``.

        Unknown when any of the kinds has no whole schedule over those days, which are New York's.
        Raises: ValueError when an instant has no time zone or ``last`` is before ``first``.
        """
        wanted = tuple(kinds)
        began, ends = (
            require_aware(at, name).astimezone(NEW_YORK) for at, name in ((first, "first"), (last, "last"))
        )
        if ends < began:
            raise ValueError(f"last must not be before first, but {last} is before {first}")
        for kind in wanted:
            if kind not in self.spans:
                return Unknown(f"no schedule of {kind}")
            earliest, latest = self.spans[kind]
            if not earliest <= began.date() <= ends.date() <= latest:
                return Unknown(f"the schedule of {kind} is from {earliest} to {latest}; add later days to it")
        return tuple(
            one
            for one in self.scheduled
            if one.kind in wanted and began <= one.at <= ends and one.known_on(began.date())
        )

    def clear_of(self, kinds: Iterable[ReleaseKind], first: datetime, last: datetime) -> Clearance:
        """Whether none of the kinds comes from ``first`` to ``last``; not when that is unknown.

        Raises: ValueError as ``releases``.
        """
        wanted = tuple(kinds)
        found = self.releases(first, last, wanted)
        if isinstance(found, Unknown):
            return Clearance(False, found.reason)
        if found:
            return Clearance(False, ", ".join(f"{one.kind} {one.at:%Y-%m-%d %H:%M}" for one in found))
        return Clearance(True, f"no {', '.join(wanted)} up to {last.astimezone(NEW_YORK):%Y-%m-%d %H:%M}")


@lru_cache(maxsize=1)
def packaged_calendar() -> MacroCalendar:
    """The calendar that comes with the program; where its dates are from is in ``macro_releases.md``."""
    folder = resources.files("wsb_core.market")
    return read_calendar(folder / "macro_releases.csv", folder / "macro_spans.csv")


def read_calendar(releases: Traversable, spans: Traversable) -> MacroCalendar:
    """A calendar from two tables with ``RELEASE_COLUMNS`` and ``SPAN_COLUMNS``.

    Raises: ConfigError naming file, line, value and remedy.
    """
    covered: dict[ReleaseKind, tuple[date, date]] = {}
    for row in read_rows(spans, SPAN_COLUMNS):
        kind, first, last = _kind(row), row.day("first"), row.day("last")
        if kind in covered:
            raise row.wrong("kind", "it has a span already; keep one line")
        if last < first:
            raise row.wrong("last", f"it cannot be before the first day, {first}")
        covered[kind] = (first, last)
    seen: dict[tuple[ReleaseKind, datetime], Release] = {}
    for row in read_rows(releases, RELEASE_COLUMNS):
        release = _release(row)
        if (release.kind, release.at) in seen:
            raise row.wrong("day", f"this {release.kind} release is listed already; remove one line")
        first, last = covered.get(release.kind, (date.max, date.min))
        if not first <= release.at.date() <= last:
            raise row.wrong("day", f"it is outside the span of {release.kind} in {spans}; widen that")
        seen[release.kind, release.at] = release
    for kind in covered:
        if not any(each is kind for each, _ in seen):
            raise ConfigError(f"{spans}: {kind} has a span and {releases} no release of it; remove the span")
    return MacroCalendar(
        tuple(sorted(seen.values(), key=lambda one: (one.at, one.kind))), MappingProxyType(covered)
    )


def _kind(row: Row) -> ReleaseKind:
    try:
        return ReleaseKind(row.text("kind"))
    except ValueError:
        raise row.wrong("kind", f"it is one of {', '.join(ReleaseKind)}") from None


def _release(row: Row) -> Release:
    try:
        clock = time.fromisoformat(row.text("time"))
        if clock.tzinfo is not None:
            raise ValueError
    except ValueError:
        raise row.wrong("time", "write New York time as 08:30") from None
    announced, withdrawn = row.optional_day("announced"), row.optional_day("withdrawn")
    at = datetime.combine(row.day("day"), clock, NEW_YORK)
    for column, day in (("announced", announced), ("withdrawn", withdrawn)):
        if day is not None and day > at.date():
            raise row.wrong(column, f"it cannot be after the day of the release, {at.date()}")
    return Release(_kind(row), at, announced, withdrawn, row.text("source"), row.day("checked_on"))

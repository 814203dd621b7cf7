"""What several sources say of a company's reports, made into one calendar, and how it changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from wsb_core.domain.events import Announcement, EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, Provenance

if TYPE_CHECKING:
    import pandas as pd

ONE_REPORT = timedelta(days=21)
"""Days further apart than this belong to different quarters: reports come about every 90 days."""


def announcements(dates: Iterable[EarningsDate]) -> tuple[Announcement, ...]:
    """One announcement a company and quarter, by company and day.

    Where sources differ the announcement spans all their days, and its time is unknown unless all who
    know one say the same.
    """
    groups: list[list[EarningsDate]] = []
    for one in sorted(dates, key=lambda one: (one.underlying, one.day)):
        last = groups[-1] if groups else []
        if last and last[0].underlying == one.underlying and one.day - last[0].day <= ONE_REPORT:
            last.append(one)
        else:
            groups.append([one])
    return tuple(_announcement(group) for group in groups)


def _announcement(told: Sequence[EarningsDate]) -> Announcement:
    times = {one.time for one in told} - {ReportTime.UNKNOWN}
    said = {one.confirmed for one in told if one.confirmed is not None}
    sources = tuple(sorted({one.provenance.source for one in told}))
    time = times.pop() if len(times) == 1 else ReportTime.UNKNOWN
    confirmed = (False not in said) if said else None
    return Announcement(told[0].underlying, told[0].day, told[-1].day, time, confirmed, sources)


def rows_of(dates: Iterable[EarningsDate], source: str) -> pd.DataFrame:
    """Rows of the history store's table ``earnings``, as ``source`` told them."""
    import pandas as pd

    records = [
        {
            "symbol": str(one.underlying),
            "day": pd.Timestamp(one.day),
            "time": str(one.time),
            "confirmed": one.confirmed,
            "source": source,
        }
        for one in dates
    ]
    frame = pd.DataFrame(records, columns=["symbol", "day", "time", "confirmed", "source"])
    return frame.astype({"day": "datetime64[ns]", "confirmed": "boolean"})


def dates_of(rows: pd.DataFrame) -> tuple[EarningsDate, ...]:
    """The rows of that table, as replayed; each as of when it became known."""
    return tuple(
        EarningsDate(
            Underlying(row["symbol"]),
            row["day"].date(),
            ReportTime(row["time"]),
            row["confirmed"] if isinstance(row["confirmed"], bool) else None,
            Provenance(row["source"], FeedClass.REPLAYED, row["recorded_at"].to_pydatetime()),
        )
        for row in rows.to_dict("records")
    )


class ChangeKind(StrEnum):
    NEW = "new"
    MOVED = "moved"
    RETIMED = "other time"
    CONFIRMED = "confirmed"
    DOUBTED = "no longer confirmed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two states of the calendar; a side is None when it had no such report."""

    kind: ChangeKind
    underlying: Underlying
    before: Announcement | None
    now: Announcement | None

    @property
    def matters(self) -> bool:
        """Whether a plan made on the calendar before may be wrong now."""
        return self.kind is not ChangeKind.CONFIRMED


def changes(before: Iterable[Announcement], now: Iterable[Announcement], since: date) -> tuple[Change, ...]:
    """What is different about reports on or after ``since``, by company and day.

    A report that only one of the two states has is ``NEW`` or ``GONE``; one that both have, no further
    apart than ``ONE_REPORT``, has moved, or is timed or confirmed otherwise, or has not changed.
    """
    old = [one for one in before if one.last >= since]
    found = []
    for one in (each for each in now if each.last >= since):
        match = next((other for other in old if _same_report(other, one)), None)
        if match is None:
            found.append(Change(ChangeKind.NEW, one.underlying, None, one))
            continue
        old.remove(match)
        kind = _difference(match, one)
        if kind is not None:
            found.append(Change(kind, one.underlying, match, one))
    found += [Change(ChangeKind.GONE, one.underlying, one, None) for one in old]
    return tuple(sorted(found, key=lambda each: (each.underlying, (each.now or each.before).first)))  # type: ignore[union-attr]


def _same_report(one: Announcement, other: Announcement) -> bool:
    return one.underlying == other.underlying and abs(one.first - other.first) <= ONE_REPORT


def _difference(before: Announcement, now: Announcement) -> ChangeKind | None:
    if (before.first, before.last) != (now.first, now.last):
        return ChangeKind.MOVED
    if before.time is not now.time:
        return ChangeKind.RETIMED
    if before.confirmed == now.confirmed:
        return None
    return ChangeKind.CONFIRMED if now.confirmed else ChangeKind.DOUBTED

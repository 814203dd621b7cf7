"""The earnings calendar: asked of every source, checked, kept, compared with what it was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prefect import task
from prefect.artifacts import create_table_artifact

import data_checks
from tasks.checks import CHECK, keep, kept
from tasks.desk import Collection, held
from tasks.notify import notify
from tasks.retry import ONCE, READ
from tasks.wiring import wiring
from wsb_core.domain.errors import ProviderUnavailable, WsbError
from wsb_core.domain.events import Announcement, EarningsDate
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing
from wsb_core.market.earnings import Change, announcements, changes, dates_of, rows_of
from wsb_core.market.history import Whole

AHEAD = timedelta(days=90)
"""How far ahead announcements are asked for: a quarter, which every source reaches."""
MOST_APART_DAYS = 7
"""Sources further apart than this do not mean the same report; one of them is wrong."""

SourceDates = Mapping[str, Mapping[Underlying, tuple[EarningsDate, ...]]]


@dataclass(frozen=True, slots=True)
class Told:
    """What each source said of the names it covers, and why the other sources said nothing."""

    dates: SourceDates
    failed: Mapping[str, str]


@task(**READ)
def fetch_earnings(run: Collection, symbols: Sequence[Underlying]) -> Told:
    """Announcements of the next quarter from every source. One that fails is named; all failing raises."""
    dates: dict[str, Mapping[Underlying, tuple[EarningsDate, ...]]] = {}
    failed = {}
    for source, said in wiring().data.earnings(symbols, run.day, run.day + AHEAD).items():
        if isinstance(said, WsbError):
            failed[source] = str(said)
            continue
        dates[source] = {name: found for name, found in said.items() if not isinstance(found, Missing)}
        if not dates[source]:
            reasons = {found.reason for found in said.values() if isinstance(found, Missing)}
            failed[source] = f"{source} covers none of {len(said)} names: {'; '.join(sorted(reasons)[:3])}"
    if len(failed) == len(dates.keys() | failed.keys()):
        why = "; ".join(failed.values()) or "no source of announcements is configured"
        raise ProviderUnavailable(f"earnings: {why}")
    return Told({source: found for source, found in dates.items() if found}, failed)


@task(**CHECK)
def check_earnings(run: Collection, told: Told) -> SourceDates:
    """Each source's dates beside another's; a faulty company is taken out by name, and so not covered.

    Raises: CheckFailed when too many of a source's companies are faulty.
    """
    bounds = data_checks.EarningsBounds(sources_apart_days=MOST_APART_DAYS)
    good: dict[str, Mapping[Underlying, tuple[EarningsDate, ...]]] = {}
    for name, dates in told.dates.items():
        other = next((others for source, others in told.dates.items() if source != name), None)
        with kept(run):
            checked = data_checks.check_earnings(dates, at=run.as_of, second=other, bounds=bounds)
        keep(run, checked.report)
        good[name] = checked.dates
    return good


@task(**ONCE)
def keep_earnings(run: Collection, good: SourceDates, symbols: Sequence[Underlying]) -> tuple[Change, ...]:
    """Store what was told and return what is different from the calendar before."""
    store, last = wiring().history, run.day + AHEAD
    before = _calendar(run, symbols)
    for source, dates in good.items():
        rows = [one for found in dates.values() for one in found]
        whole = Whole(tuple(sorted(dates)), run.day, last, source)
        store.write("earnings", rows_of(rows, source), run.as_of, whole=whole)
    return changes(before, _calendar(run, symbols), run.day)


@task(**ONCE)
def show_earnings(run: Collection, told: Told, found: Sequence[Change], symbols: Sequence[Underlying]) -> str:
    """The calendar and its changes as artifacts, and one alert for those on which somebody has planned."""
    calendar = _calendar(run, symbols)
    create_table_artifact(
        [_row(one, next((c for c in found if c.now == one), None)) for one in calendar],
        key="earnings-calendar",
        description=f"Reports until {run.day + AHEAD}, asked {run.as_of:%Y-%m-%d %H:%M} UTC",
    )
    create_table_artifact(
        [_change_row(each) for each in found],
        key="earnings-changes",
        description="Changes since the last refresh" if found else "No changes since the last refresh",
    )
    _alert(run, [each for each in found if each.matters])
    gone = f"; no answer from {', '.join(told.failed)}" if told.failed else ""
    new = sum(each.before is None for each in found)
    changed = sum(each.matters and each.before is not None for each in found)
    return f"{len(calendar)} reports of {len(symbols)} names, {new} new, {changed} changed{gone}"


def _calendar(run: Collection, symbols: Sequence[Underlying]) -> tuple[Announcement, ...]:
    rows = wiring().history.read("earnings", symbols, run.day, run.day + AHEAD, run.as_of)
    return announcements(dates_of(rows))


def _row(one: Announcement, change: Change | None) -> dict[str, str]:
    confirmed = {None: "not said", True: "yes", False: "no"}[one.confirmed]
    days = f"{one.first}" if one.first == one.last else f"{one.first} to {one.last}"
    return {
        "name": str(one.underlying),
        "day": days,
        "time": str(one.time).replace("_", " "),
        "confirmed": confirmed,
        "certain": "yes" if one.certain else "no",
        "sources": ", ".join(one.sources),
        "change": "" if change is None else str(change.kind),
    }


def _change_row(each: Change) -> dict[str, str]:
    return {
        "name": str(each.underlying),
        "change": str(each.kind),
        "before": _when(each.before),
        "now": _when(each.now),
    }


def _when(one: Announcement | None) -> str:
    if one is None:
        return "not on the calendar"
    row = _row(one, None)
    return f"{row['day']}, {row['time']}, confirmed: {row['confirmed']}"


def _alert(run: Collection, found: Sequence[Change]) -> None:
    """One message for what moved; critical when it concerns something held, whose exits are planned anew."""
    moved = [each for each in found if each.before is not None]
    ours = held()
    # A report that is new concerns only who holds the name already.
    moved += [each for each in found if each.before is None and each.underlying in ours]
    if not moved:
        return
    concerned = sorted({str(each.underlying) for each in moved if each.underlying in ours})
    lines = [f"{each.underlying}: {each.kind}, {_when(each.before)} -> {_when(each.now)}" for each in moved]
    notify(
        key=f"earnings:{run.run_id}",
        severity="critical" if concerned else "warning",
        title="Earnings dates changed" + (f", {', '.join(concerned)} held" if concerned else ""),
        what="\n".join(lines),
        did="Stored. Exits plan on the new dates from their next pass, entries from their next run.",
        do=f"Look at the positions in {', '.join(concerned)}." if concerned else "",
    )

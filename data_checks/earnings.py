"""Earnings dates: one row per company and announcement, beside what a second source says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing

from .gate import Rule, Suite, check
from .measures import age_seconds, day_of, days, on_session, recent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("underlying", "day", "time", "confirmed", "source", "read_at", "second_day")
_TIMES = frozenset(time.value for time in ReportTime)
Dates = Mapping[Underlying, tuple[EarningsDate, ...] | Missing]


@dataclass(frozen=True, slots=True)
class EarningsBounds:
    """How far an earnings calendar may be off before it is called wrong. Days are calendar days."""

    max_quarantined_share: float = 0.25
    furthest_days: int = 400
    """How far ahead a company can have said when it reports."""
    oldest_days: int = 40 * 365
    longest_gap_days: int = 200
    shortest_gap_days: int = 45
    sources_apart_days: int = 0
    max_age_days: int = 7


@dataclass(frozen=True, slots=True)
class CheckedEarnings:
    """The dates of the companies that are left, and the proof for them."""

    dates: Mapping[Underlying, tuple[EarningsDate, ...]]
    report: CheckReport
    proof: Passed


def check_earnings(
    dates: Dates,
    *,
    at: datetime,
    second: Dates | None = None,
    bounds: EarningsBounds | None = None,
) -> CheckedEarnings:
    """The calendars that a decision may rely on; a faulty one takes out its company by name.

    A company that is covered and announced nothing has no row to judge, and stays. A time that is
    unknown stays unknown, with a warning. ``second`` is another source; only the companies that it
    covers, inside the span that it covers, are compared.

    Raises: CheckFailed when more than ``bounds.max_quarantined_share`` of the companies is out, or when
    no source gave a date at all.
    """
    bounds = bounds or EarningsBounds()
    verdict = check(
        earnings_frame(dates, second or {}),
        earnings_suite(at=at, bounds=bounds),
        at=at,
        key="underlying",
        absent={name: found.reason for name, found in dates.items() if isinstance(found, Missing)},
        max_quarantined=bounds.max_quarantined_share,
    )
    proof = verdict.proof()
    gone = {entry.ticker for entry in verdict.report.quarantined}
    left = {
        name: found for name, found in dates.items() if not isinstance(found, Missing) and name not in gone
    }
    return CheckedEarnings(left, verdict.report, proof)


def earnings_suite(*, at: datetime, bounds: EarningsBounds) -> Suite:
    """What is expected of ``earnings_frame`` at one instant."""
    return Suite("earnings", COLUMNS, ("underlying", "day"), partial(_measure, at=at, bounds=bounds), RULES)


def earnings_frame(dates: Dates, second: Dates) -> pd.DataFrame:
    """One row per announcement in the order given; ``second_day`` is the second source's nearest day.

    It is NaT where the second source does not cover the company, or not that far before or ahead.
    """
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for name, found in dates.items():
        if isinstance(found, Missing):
            continue
        told = second.get(name, ())
        others = sorted(entry.day for entry in told) if not isinstance(told, Missing) else []
        for entry in found:
            inside = bool(others) and others[0].toordinal() - 45 <= entry.day.toordinal() <= (
                others[-1].toordinal() + 45
            )
            nearest = min(others, key=lambda day: abs(day - entry.day)) if inside else None
            taken = entry.provenance
            rows.append(
                (name, entry.day, entry.time.value, entry.confirmed, taken.source, taken.as_of, nearest)
            )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["read_at"] = pd.to_datetime(frame["read_at"], utc=True)
    for column in ("day", "second_day"):
        frame[column] = pd.to_datetime(frame[column])
    return frame.astype({"confirmed": object})


RULES: tuple[Rule, ...] = (
    Rule("day_given", "the day is a day, without time and zone", lambda f: f["day"].notna()),
    Rule(
        "day_plausible",
        "the day is not further ahead or back than dates are known",
        lambda f: (f["day"] <= f["latest"]) & (f["day"] >= f["earliest"]),
        ("earliest", "latest"),
    ),
    Rule("time_readable", "the time is one of four words", lambda f: f["time"].isin(_TIMES), ("time",)),
    Rule(
        "confirmed_readable",
        "confirmed is yes, no or not said",
        lambda f: f["confirmed"].isna() | f["confirmed"].isin([True, False]),
        ("confirmed",),
    ),
    Rule(
        "confirmed_on_a_session",
        "a confirmed day is one on which the exchange trades",
        lambda f: f["on_session"] | ~f["confirmed"].eq(True),
        ("confirmed", "source"),
    ),
    Rule("unique", "one row per company and day", lambda f: ~f.duplicated(["underlying", "day"], keep=False)),
    Rule("fresh", "the calendar was read lately", lambda f: f["age_ok"], ("read_at",)),
    Rule(
        "sources_agree",
        "two sources say the same day",
        lambda f: ~(f["apart_days"] > f["most_apart_days"]),
        ("second_day", "source"),
    ),
    Rule(
        "not_too_soon",
        "a company does not report twice in a quarter",
        lambda f: ~(f["gap_days"] < f["shortest_gap_days"]),
        ("gap_days",),
    ),
    Rule(
        "no_gap",
        "no report is missing between two",
        lambda f: ~(f["gap_days"] > f["longest_gap_days"]),
        ("gap_days",),
    ),
    Rule(
        "time_known",
        "the time of day is known",
        lambda f: f["time"] != ReportTime.UNKNOWN.value,
        ("time",),
        Severity.WARNING,
    ),
)


def _measure(frame: pd.DataFrame, *, at: datetime, bounds: EarningsBounds) -> pd.DataFrame:
    import pandas as pd

    for column in ("day", "second_day"):
        frame[column] = days(frame[column])
    today = day_of(at)
    frame["latest"] = today + pd.Timedelta(days=bounds.furthest_days)
    frame["earliest"] = today - pd.Timedelta(days=bounds.oldest_days)
    frame["on_session"] = on_session(frame["day"])
    frame["age_ok"] = recent(age_seconds(frame["read_at"], at), bounds.max_age_days * 86400.0)
    frame["apart_days"] = (frame["day"] - frame["second_day"]).dt.days.abs()
    frame["most_apart_days"] = bounds.sources_apart_days
    ordered = frame.sort_values(["underlying", "day"], kind="stable")
    frame["gap_days"] = ordered.groupby("underlying", sort=False)["day"].diff().dt.days.reindex(frame.index)
    frame["shortest_gap_days"] = bounds.shortest_gap_days
    frame["longest_gap_days"] = bounds.longest_gap_days
    return frame

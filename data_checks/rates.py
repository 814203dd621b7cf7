"""Treasury yields: one row per day and tenor, in percent a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from wsb_core.domain.checks import CheckReport, Passed
from wsb_core.domain.events import Yields

from .gate import Rule, Suite, check
from .measures import day_of, days, finite, numbers, on_session

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("day", "years", "percent")
TENORS = (1 / 12, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0)
"""Years to maturity of the yields that are published every day."""
_LONG = 7.0
_DISPLAYED = 1e-3
"""Tenors are told apart to a third of a day."""


@dataclass(frozen=True, slots=True)
class RateBounds:
    """How far yields may be off before they are called wrong; yields and moves in percent a year."""

    tenors: tuple[float, ...] = TENORS
    max_age_days: int = 5
    longest_gap_days: int = 5
    lowest: float = -2.0
    highest: float = 20.0
    least_long: float = 0.2
    """No Treasury of seven years or more has yielded as little; as a fraction, any yield would."""
    jump: float = 1.25
    """Largest move of a tenor from one day to the next; the largest since 1990 is 1.05 (one month, 2008)."""
    neighbours_apart: float = 2.0
    """Largest difference of two tenors next to each other."""
    frozen_days: int = 5


@dataclass(frozen=True, slots=True)
class CheckedRates:
    """Yields as they were given, whole, and the proof for them."""

    yields: tuple[Yields, ...]
    report: CheckReport
    proof: Passed


def check_rates(yields: Sequence[Yields], *, at: datetime, bounds: RateBounds | None = None) -> CheckedRates:
    """Yields that may discount: whole, in percent, fresh and without a jump.

    Raises: CheckFailed when any day is faulty; one wrong rate would move every price.
    """
    bounds = bounds or RateBounds()
    verdict = check(rate_frame(yields), rate_suite(at=at, bounds=bounds), at=at)
    return CheckedRates(tuple(yields), verdict.report, verdict.proof())


def rate_suite(*, at: datetime, bounds: RateBounds) -> Suite:
    """What is expected of ``rate_frame`` at one instant."""
    return Suite("rates", COLUMNS, ("day", "years"), partial(_measure, at=at, bounds=bounds), RULES)


def rate_frame(yields: Sequence[Yields]) -> pd.DataFrame:
    """One row per day and tenor, in the order given."""
    import pandas as pd

    rows = [(entry.day, years, percent) for entry in yields for years, percent in entry.percent.items()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["day"] = pd.to_datetime(frame["day"])
    return frame.astype({"years": "float64", "percent": "float64"})


RULES: tuple[Rule, ...] = (
    Rule("day_given", "the day is a day, without time and zone", lambda f: f["day"].notna()),
    Rule("day_trades", "yields are published on trading days", lambda f: f["day_trades"]),
    Rule("no_future", "no yield of a day to come", lambda f: f["day"] <= f["today"]),
    Rule("fresh", "the last day is no older than allowed", lambda f: f["age_days"] <= f["most_age_days"]),
    Rule("complete", "no day is missing between two", lambda f: ~(f["gap_days"] > f["most_gap_days"])),
    Rule("unique", "one row per day and tenor", lambda f: ~f.duplicated(["day", "tenor"], keep=False)),
    Rule("tenor_known", "the tenor is one that is published", lambda f: f["tenor_known"]),
    Rule("tenors_present", "every tenor is given every day", lambda f: f["tenors"] >= f["tenors_wanted"]),
    Rule("percent_given", "the yield is a finite number", finite("percent"), ("percent",)),
    Rule(
        "percent_plausible",
        "the yield is between the lowest and the highest there can be",
        lambda f: (f["percent"] >= f["lowest"]) & (f["percent"] <= f["highest"]),
        ("percent",),
    ),
    Rule(
        "in_percent",
        "long yields are in percent, not fractions",
        lambda f: (f["percent"] >= f["least_long"]) | (f["years"] < _LONG),
        ("percent",),
    ),
    Rule(
        "no_jump",
        "no tenor moves further in a day than it has",
        lambda f: ~(f["move"].abs() > f["most_move"]),
        ("percent", "move"),
    ),
    Rule(
        "smooth",
        "tenors next to each other are near each other",
        lambda f: ~(f["step"].abs() > f["most_step"]),
        ("percent", "step"),
    ),
    Rule(
        "not_frozen",
        "the curve moves",
        lambda f: f["same_days"] < f["frozen_days"],
        ("same_days",),
    ),
)


def _measure(frame: pd.DataFrame, *, at: datetime, bounds: RateBounds) -> pd.DataFrame:
    import numpy as np

    numbers(frame, ("years", "percent"))
    frame["day"] = days(frame["day"])
    tenors = np.array(sorted(bounds.tenors))
    frame["tenor"] = frame["years"].round(3)
    nearest = np.abs(frame["years"].to_numpy()[:, None] - tenors[None, :]).min(axis=1)
    frame["tenor_known"] = nearest <= _DISPLAYED
    frame["tenors"] = (
        frame[frame["tenor_known"]]
        .groupby("day")["tenor"]
        .nunique()
        .reindex(frame["day"])
        .fillna(0)
        .to_numpy()
    )
    frame["tenors_wanted"] = len(tenors)
    frame["day_trades"] = on_session(frame["day"])
    frame["today"] = day_of(at)
    frame["age_days"] = (frame["today"] - frame["day"].max()).dt.days
    frame["most_age_days"] = bounds.max_age_days
    for name, limit in (
        ("lowest", bounds.lowest),
        ("highest", bounds.highest),
        ("least_long", bounds.least_long),
        ("most_move", bounds.jump),
        ("most_step", bounds.neighbours_apart),
        ("most_gap_days", bounds.longest_gap_days),
        ("frozen_days", bounds.frozen_days),
    ):
        frame[name] = limit
    _measure_moves(frame)
    return frame


def _measure_moves(frame: pd.DataFrame) -> None:
    """Per row: the move from the day before, the step from the shorter tenor, the run of equal curves."""
    import numpy as np

    curves = frame.pivot_table(index="day", columns="tenor", values="percent", aggfunc="first")
    where = (curves.index.get_indexer(frame["day"]), curves.columns.get_indexer(frame["tenor"]))
    known = (where[0] >= 0) & (where[1] >= 0)
    held = curves.to_numpy()
    moves = np.vstack([np.full((1, held.shape[1]), np.nan), np.diff(held, axis=0)])
    steps = np.hstack([np.full((held.shape[0], 1), np.nan), np.diff(held, axis=1)])
    same = np.zeros(len(held), dtype=int)
    for row in range(1, len(held)):
        same[row] = same[row - 1] + 1 if np.array_equal(held[row], held[row - 1], equal_nan=True) else 0
    gaps = curves.index.to_series().diff().dt.days.to_numpy()
    for name, values in (("move", moves), ("step", steps)):
        frame[name] = np.where(known, values[where] if values.size else np.nan, np.nan)
    for name, days_of in (("same_days", same + 1), ("gap_days", gaps)):
        frame[name] = np.where(where[0] >= 0, days_of[where[0]] if len(days_of) else np.nan, np.nan)

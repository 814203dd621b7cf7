"""The universe of a strategy: one row per ticker, with the days between which it belongs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.ids import Underlying
from wsb_core.universes import Universe

from .gate import Rule, Suite, check
from .measures import day_of, days

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("ticker", "effective", "ends")
_TICKER = r"[A-Z]{1,5}(\.[A-Z])?"


@dataclass(frozen=True, slots=True)
class UniverseBounds:
    """How far a universe may be off before it is called wrong; shares are fractions of one."""

    max_quarantined_share: float = 0.10
    size_change: float = 0.10
    max_age_days: int = 400
    """Days after which a membership that nobody has looked at again is shown as a warning."""


@dataclass(frozen=True, slots=True)
class CheckedTickers:
    """The tickers that may be screened, in the order given, and the proof for them."""

    tickers: tuple[Underlying, ...]
    report: CheckReport
    proof: Passed


def check_universe(
    universe: Universe,
    *,
    at: datetime,
    known: Collection[str],
    ended: Mapping[Underlying, date] | None = None,
    size_before: int | None = None,
    bounds: UniverseBounds | None = None,
) -> CheckedTickers:
    """The tickers that may be screened now. One that is unknown or has ended is taken out by name.

    ``known`` are the symbols that the broker or vendor lists, ``ended`` the days on which tickers were
    renamed or delisted, ``size_before`` the number of tickers at the last check, when there was one.

    Raises: CheckFailed when too many are out, or the list grew or shrank beyond what is allowed.
    """
    bounds = bounds or UniverseBounds()
    suite = universe_suite(at=at, known=known, size_before=size_before, bounds=bounds)
    verdict = check(
        universe_frame(universe, ended or {}),
        suite,
        at=at,
        key="ticker",
        max_quarantined=bounds.max_quarantined_share,
    )
    proof = verdict.proof()
    return CheckedTickers(tuple(map(Underlying, verdict.frame["ticker"])), verdict.report, proof)


def universe_frame(universe: Universe, ended: Mapping[Underlying, date]) -> pd.DataFrame:
    """One row per ticker: it belongs from ``effective`` until before ``ends``, NaT when it has no end."""
    import pandas as pd

    frame = pd.DataFrame({"ticker": list(universe.tickers)})
    frame["effective"] = pd.Timestamp(universe.drawn_up)
    frame["ends"] = pd.to_datetime(frame["ticker"].map(dict(ended)))
    return frame


def universe_suite(
    *, at: datetime, known: Collection[str], size_before: int | None, bounds: UniverseBounds
) -> Suite:
    """What is expected of ``universe_frame`` at one instant."""
    measure = partial(_measure, at=at, known=frozenset(known), size_before=size_before, bounds=bounds)
    return Suite("universe", COLUMNS, ("ticker",), measure, RULES)


RULES: tuple[Rule, ...] = (
    Rule("well_formed", "the ticker is capitals, with a dot before a class", lambda f: f["well_formed"]),
    Rule("unique", "a ticker is listed once at a time", lambda f: f["unique_now"]),
    Rule("known", "the ticker is a listed symbol", lambda f: f["listed"]),
    Rule("effective_given", "the first day is given", lambda f: f["effective"].notna(), ("effective",)),
    Rule("ends_readable", "the last day is a day or open", lambda f: f["ends_ok"], ("ends",)),
    Rule(
        "span_in_order",
        "membership ends after it begins",
        lambda f: f["ends"].isna() | (f["ends"] > f["effective"]),
        ("effective", "ends"),
    ),
    Rule("effective_by_now", "membership has begun", lambda f: f["effective"] <= f["today"], ("effective",)),
    Rule("not_ended", "membership has not ended", lambda f: ~(f["ends"] <= f["today"]), ("ends",)),
    Rule(
        "size_as_before",
        "there are about as many members as before",
        lambda f: f["size_ok"],
        ("size", "size_before"),
    ),
    Rule(
        "looked_at_lately",
        "the membership is not older than allowed",
        lambda f: f["age_days"] <= f["most_age_days"],
        ("effective", "age_days"),
        Severity.WARNING,
    ),
)


def _measure(
    frame: pd.DataFrame,
    *,
    at: datetime,
    known: frozenset[str],
    size_before: int | None,
    bounds: UniverseBounds,
) -> pd.DataFrame:
    text = frame["ticker"].astype("str")
    frame["well_formed"] = frame["ticker"].notna() & text.str.fullmatch(_TICKER)
    ends = days(frame["ends"])
    frame["ends_ok"] = frame["ends"].isna() | ends.notna()
    frame["effective"], frame["ends"] = days(frame["effective"]), ends
    frame["today"] = day_of(at)
    now = ~(frame["ends"] <= frame["today"])
    frame["unique_now"] = ~now | ~frame[now].duplicated("ticker", keep=False).reindex(
        frame.index, fill_value=False
    )
    frame["listed"] = frame["ticker"].isin(known)
    frame["size"] = frame.loc[now, "ticker"].nunique()
    frame["size_before"] = size_before
    room = float("inf") if size_before is None else bounds.size_change * size_before
    frame["size_ok"] = abs(frame["size"] - (size_before or 0)) <= room
    frame["age_days"] = (frame["today"] - frame["effective"]).dt.days
    frame["most_age_days"] = bounds.max_age_days
    return frame

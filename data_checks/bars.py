"""Daily bars: one row per symbol and session, in dollars per share and shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from math import log
from typing import TYPE_CHECKING, Any

from wsb_core.domain import calendar
from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Bars

from .gate import Checked, Rule, Suite, check
from .measures import days, finite, numbers

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("symbol", "session", "open", "high", "low", "close", "volume")
PRICES = ("open", "high", "low", "close")
Actions = Mapping[Underlying, Mapping[date, float | None]]
"""What explains a jump, by ex-date: the factor the action put on the price (0.5 for two new shares
for one old), or None where a move is confirmed and has no known size (earnings, a second source)."""

_TRAILING, _TRAILING_LEAST = 60, 20
_SPLITS = (
    {f"1/{n}": 1 / n for n in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)}
    | {f"{n}/1": float(n) for n in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)}
    | {"2/3": 2 / 3, "3/2": 1.5}
)
_SPLIT_ROOM = 0.12
"""Relative: on the ex-date the price also moves as on any day."""
_SPLIT_NEAR = 0.04
"""Relative: so near a split's ratio, a move needs more turnover to be believed."""


@dataclass(frozen=True, slots=True)
class BarBounds:
    """How far bars may be off before they are called wrong; shares are fractions of one."""

    max_quarantined_share: float = 0.10
    require_adjusted: bool = True
    outside_range: float = 1e-6
    """How far open or close may lie outside low to high: adjusting leaves rounding, and some sources
    print auctions that their range leaves out."""
    jump_sigmas: float = 8.0
    jump_share: float = 0.20
    news_turnover: float = 2.5
    """Dollars traded on the day of a large move, over the median before: news draws trading, and a split,
    which is announced ahead, does not (in 12 splits of well-known names the most was 1.9)."""
    split_turnover: float = 5.0
    """The same for a move near the ratio of a split."""
    most_turnover: float = 300.0
    """Above it the rows before belong to another company, or to other units."""
    largest_move: float = 2.5
    """Factor, up or down, beyond which turnover explains nothing and no scale makes a move usual."""
    sources_apart: float = 0.01
    """Of the close, between two sources that adjust alike."""
    volumes_apart: float = 4.0
    """Factor between the median volumes of two sources; a count in hundreds is a factor of 100."""
    frozen_closes: int = 5
    liquid_dollars: float = 1e6
    """Median daily turnover above which a session without volume is a fault."""


@dataclass(frozen=True, slots=True)
class CheckedBars:
    """Bars of the tickers that are left, and the proof that goes with exactly this frame."""

    frame: pd.DataFrame
    report: CheckReport
    proof: Passed


def check_bars(
    bars: Bars,
    *,
    session: date,
    lookback: int,
    at: datetime,
    benchmark: Underlying | None = None,
    universe: Collection[Underlying] = (),
    actions: Actions | None = None,
    known_gaps: Collection[date] = (),
    second: Bars | None = None,
    bounds: BarBounds | None = None,
) -> CheckedBars:
    """The bars that a decision on ``session`` may read: they end at the session before it.

    Faults take out a ticker by name. ``lookback`` is the number of sessions that must have no hole;
    fewer since a ticker's first bar is only a warning. ``universe`` are tickers that must be there, and
    ``known_gaps`` sessions that the source is known not to have. ``second`` is another source, adjusted
    alike; what it has is compared.

    Raises: CheckFailed when more than ``bounds.max_quarantined_share`` of the tickers is out, when the
    benchmark is, or when the frame is no bars at all.
    """
    verdict = judge_bars(
        bars,
        session=session,
        lookback=lookback,
        at=at,
        benchmark=benchmark,
        universe=universe,
        actions=actions,
        known_gaps=known_gaps,
        second=second,
        bounds=bounds,
    )
    proof = verdict.proof()
    return CheckedBars(verdict.frame.reset_index(drop=True), verdict.report, proof)


def judge_bars(
    bars: Bars,
    *,
    session: date,
    lookback: int,
    at: datetime,
    benchmark: Underlying | None = None,
    universe: Collection[Underlying] = (),
    actions: Actions | None = None,
    known_gaps: Collection[date] = (),
    second: Bars | None = None,
    bounds: BarBounds | None = None,
) -> Checked:
    """``check_bars`` without raising: the whole verdict, failed or not."""
    bounds = bounds or BarBounds()
    due = calendar.shift(session, -1)
    measure = partial(
        _measure,
        due=due,
        window=calendar.sessions_between(calendar.shift(due, 1 - lookback), due),
        actions=actions or {},
        known_gaps=frozenset(known_gaps),
        adjusted=bars.adjusted,
        second=None if second is None else second.frame,
        bounds=bounds,
    )
    suite = Suite("bars", COLUMNS, ("symbol", "session"), measure, RULES)
    present = set(bars.frame["symbol"].dropna()) if "symbol" in bars.frame else set()
    absent: dict[str, str] = {name: "asked for, and no row came" for name in universe if name not in present}
    absent |= {entry.underlying: entry.reason for entry in bars.missing if entry.underlying not in present}
    return check(
        bars.frame,
        suite,
        at=at,
        key="symbol",
        absent=absent,
        indispensable=() if benchmark is None else (benchmark,),
        max_quarantined=bounds.max_quarantined_share,
    )


def _consistent(frame: pd.DataFrame) -> pd.Series[bool]:
    room = frame["high"].abs() * frame["outside_range"]
    inner = frame[["open", "close"]]
    found: pd.Series[bool] = (frame["low"] <= inner.min(axis=1, skipna=False) + room) & (
        frame["high"] >= inner.max(axis=1, skipna=False) - room
    )
    return found


RULES: tuple[Rule, ...] = (
    Rule("session_given", "the session is a day, without time and zone", lambda f: f["session"].notna()),
    *(
        Rule(f"{column}_given", f"{column} is a finite number", finite(column), (column,))
        for column in (*PRICES, "volume")
    ),
    Rule("prices_positive", "prices are above zero", lambda f: (f[list(PRICES)] > 0).all(axis=1), PRICES),
    Rule("prices_consistent", "low <= open, close <= high", _consistent, PRICES),
    Rule("volume_not_negative", "volume is zero or more", lambda f: f["volume"] >= 0, ("volume",)),
    Rule(
        "unique", "one row per symbol and session", lambda f: ~f.duplicated(["symbol", "session"], keep=False)
    ),
    Rule("in_order", "sessions ascend", lambda f: f["in_order"], ("before",)),
    Rule("session_trades", "the exchange traded that day", lambda f: f["session_trades"]),
    Rule(
        "no_future", "no row after the last completed session", lambda f: f["session"] <= f["due"], ("due",)
    ),
    Rule("adjusted", "prices are adjusted for splits and dividends", lambda f: f["adjusted"]),
    Rule(
        "jumps_explained",
        "no large move without a corporate action or a confirmation",
        lambda f: f["jump_explained"],
        ("close_before", "close", "sigmas", "looks_like"),
    ),
    Rule(
        "sources_agree",
        "a second source has the same close",
        lambda f: ~(f["source_gap"] > f["most_source_gap"]),
        ("close", "second_close"),
    ),
    Rule(
        "volume_units_agree",
        "a second source counts volume in the same units",
        lambda f: ~((f["volume_ratio"] > f["volumes_apart"]) | (f["volume_ratio"] * f["volumes_apart"] < 1)),
        ("volume", "volume_ratio"),
    ),
    Rule(
        "not_frozen",
        "the close moves on volume",
        lambda f: (f["equal_closes"] < f["frozen_closes"]) | ~(f["volume"] > 0),
        ("close", "equal_closes"),
    ),
    Rule(
        "liquid_volume", "a liquid name trades every session", lambda f: f["volume_as_expected"], ("volume",)
    ),
    Rule("fresh", "the last row is the last completed session", lambda f: f["fresh"], ("due",)),
    Rule(
        "complete",
        "no session is missing between the first and the last row",
        lambda f: f["absent"] == 0,
        ("absent", "first_absent"),
    ),
    Rule(
        "history_long_enough",
        "every session of the look-back is there",
        lambda f: f["history"] >= f["history_wanted"],
        ("history", "history_wanted"),
        Severity.WARNING,
    ),
)


def _measure(
    frame: pd.DataFrame,
    *,
    due: date,
    window: tuple[date, ...],
    actions: Actions,
    known_gaps: frozenset[date],
    adjusted: bool,
    second: pd.DataFrame | None,
    bounds: BarBounds,
) -> pd.DataFrame:
    import pandas as pd

    frame["session"] = days(frame["session"])
    numbers(frame, (*PRICES, "volume"))
    by = frame.groupby("symbol", sort=False)
    frame["due"] = pd.Timestamp(due)
    frame["outside_range"] = bounds.outside_range
    frame["frozen_closes"] = bounds.frozen_closes
    frame["adjusted"] = adjusted or not bounds.require_adjusted
    frame["before"] = by["session"].shift()
    frame["in_order"] = frame["before"].isna() | (frame["session"] >= frame["before"])
    frame["fresh"] = ~_last_rows(frame) | (by["session"].transform("max") >= frame["due"])
    turnover = (frame["close"] * frame["volume"]).groupby(frame["symbol"]).transform("median")
    frame["volume_as_expected"] = (frame["volume"] > 0) | ~(turnover >= bounds.liquid_dollars)
    _measure_sessions(frame, window, known_gaps)
    _measure_moves(frame, actions, adjusted, bounds)
    _measure_second(frame, second, bounds)
    return frame


def _last_rows(frame: pd.DataFrame) -> pd.Series[bool]:
    found: pd.Series[bool] = ~frame.duplicated("symbol", keep="last")
    return found


def _measure_sessions(frame: pd.DataFrame, window: tuple[date, ...], known_gaps: frozenset[date]) -> None:
    """Which days trade, and how many sessions of the window each symbol lacks (told on its last row)."""
    import pandas as pd

    open_days = pd.DatetimeIndex(pd.to_datetime(list(_trading_days(frame["session"]))))
    frame["session_trades"] = frame["session"].isin(open_days)
    gaps = pd.to_datetime(sorted(known_gaps))
    wanted = pd.DatetimeIndex(pd.to_datetime(list(window)))
    wanted = wanted[~wanted.isin(gaps)]
    inside = frame[frame["session"].isin(wanted)]
    by = inside.groupby("symbol")["session"]
    held = by.agg(["min", "max", "nunique"])
    span = wanted.searchsorted(held["max"], "right") - wanted.searchsorted(held["min"])
    absent = pd.Series(span, index=held.index) - held["nunique"]
    named = {name: _first_absent(by.get_group(name), wanted) for name in absent.index[absent > 0]}
    last = _last_rows(frame)
    frame["absent"] = frame["symbol"].map(absent).where(last, 0).fillna(0)
    frame["first_absent"] = frame["symbol"].map(named)
    frame["history"] = frame["symbol"].map(held["nunique"]).fillna(0).where(last, len(wanted))
    frame["history_wanted"] = len(wanted)


def _trading_days(sessions: pd.Series[Any]) -> tuple[date, ...]:
    first, last = sessions.min(), sessions.max()
    if not first <= last:
        return ()
    return calendar.sessions_between(first.date(), last.date())


def _first_absent(sessions: pd.Series[Any], wanted: pd.DatetimeIndex) -> str:
    expected = wanted[(wanted >= sessions.min()) & (wanted <= sessions.max())]
    return str(expected.difference(sessions)[0].date())


def _measure_moves(frame: pd.DataFrame, actions: Actions, adjusted: bool, bounds: BarBounds) -> None:
    """Log moves against each symbol's own scale, with declared actions taken out."""
    import numpy as np
    import pandas as pd

    by = frame.groupby("symbol", sort=False)
    frame["close_before"] = by["close"].shift()
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.log(frame["close"] / frame["close_before"])
    declared = pd.Series(
        {
            (symbol, pd.Timestamp(day)): np.nan if factor is None else 0.0 if adjusted else np.log(factor)
            for symbol, days in actions.items()
            for day, factor in days.items()
        },
        dtype="float64",
    )
    where = pd.MultiIndex.from_frame(frame[["symbol", "session"]])
    confirmed = where.isin(declared.index[declared.isna()])
    rest = move - declared.reindex(where).fillna(0.0).to_numpy()
    scale = _trailing_scale(rest, frame["symbol"])
    frame["sigmas"] = (rest.abs() / scale).round(1)
    far = (rest.abs() > bounds.jump_sigmas * scale) & (np.expm1(rest).abs() > bounds.jump_share)
    # Two companies in turn under one ticker make the scale itself enormous.
    far |= rest.abs() > np.log(bounds.largest_move)
    frame["jump_explained"] = ~far | confirmed | _traded(frame, rest, bounds)
    frame["looks_like"] = pd.Series(None, index=frame.index, dtype=object)
    frame.loc[far, "looks_like"] = np.exp(move[far]).map(_looks_like)
    runs = (frame["close"] != frame["close_before"]).groupby(frame["symbol"]).cumsum()
    frame["equal_closes"] = frame.groupby([frame["symbol"], runs], sort=False).cumcount() + 1


def _traded(frame: pd.DataFrame, moves: pd.Series[float], bounds: BarBounds) -> pd.Series[bool]:
    """Where as many dollars changed hands as news draws. No split changes dollars, only shares."""
    import numpy as np

    dollars = frame["close"] * frame["volume"]
    before = dollars.groupby(frame["symbol"]).shift()
    usual = before.groupby(frame["symbol"]).rolling(_TRAILING, min_periods=_TRAILING_LEAST).median()
    turnover = dollars / usual.droplevel(0).reindex(frame.index)
    ratio = np.exp(moves)
    split = np.zeros(len(frame), dtype=bool)
    for of_split in _SPLITS.values():
        split |= (np.abs(ratio / of_split - 1) <= _SPLIT_NEAR).to_numpy()
    least = np.where(split, bounds.split_turnover, bounds.news_turnover)
    found: pd.Series[bool] = (
        (turnover >= least)
        & (turnover <= bounds.most_turnover)
        & (moves.abs() <= np.log(bounds.largest_move))
    )
    return found


def _measure_second(frame: pd.DataFrame, second: pd.DataFrame | None, bounds: BarBounds) -> None:
    """Close and volume of the second source beside each row, NaN where it has none."""
    import numpy as np
    import pandas as pd

    frame["most_source_gap"] = bounds.sources_apart
    frame["volumes_apart"] = bounds.volumes_apart
    if second is None:
        frame[["second_close", "source_gap", "volume_ratio"]] = np.nan
        return
    held = second.drop_duplicates(["symbol", "session"]).set_index(["symbol", "session"])
    where = pd.MultiIndex.from_frame(frame[["symbol", "session"]])
    beside = held[["close", "volume"]].astype("float64").reindex(where)
    frame["second_close"] = beside["close"].to_numpy()
    frame["source_gap"] = (frame["close"] / frame["second_close"] - 1).abs()
    other = pd.Series(beside["volume"].to_numpy(), index=frame.index)
    ratio = (frame["volume"] / other.where(other > 0)).groupby(frame["symbol"])
    frame["volume_ratio"] = ratio.transform("median")


def _trailing_scale(moves: pd.Series[float], symbols: pd.Series[str]) -> pd.Series[float]:
    """Standard deviation of the moves before each; the whole history's robust scale where those are few."""
    before = moves.groupby(symbols).shift()
    trailing = before.groupby(symbols).rolling(_TRAILING, min_periods=_TRAILING_LEAST).std()
    whole = 1.4826 * moves.abs().groupby(symbols).transform("median")
    found: pd.Series[float] = trailing.droplevel(0).reindex(moves.index).fillna(whole)
    return found


def _looks_like(ratio: float) -> str:
    name, near = min(_SPLITS.items(), key=lambda entry: abs(log(ratio / entry[1])))
    if abs(ratio / near - 1) <= _SPLIT_ROOM:
        return f"ratio {ratio:.3f} near {name}: a split that was not applied?"
    return f"ratio {ratio:.3f} near no split: a move to confirm, or another company"

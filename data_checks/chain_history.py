"""Stored option chains: one row per underlying and session, each judged beside the session before it.

Faults of a whole capture do not show in any one contract: a file taken at the open, a copy of the day
before, half of the strikes, or strikes of before a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from wsb_core.domain import calendar
from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.ids import Underlying

from .gate import Rule, Suite, check
from .measures import day_of, days, numbers, on_session

if TYPE_CHECKING:
    import pandas as pd

CONTRACT_COLUMNS = (
    "underlying",
    "session",
    "root",
    "expiry",
    "right",
    "strike",
    "bid",
    "ask",
    "last",
    "iv",
    "volume",
    "underlying_price",
)
"""What ``history_frame`` reads of every stored contract; NaN where a source does not give it."""
_CONTRACT = ["underlying", "root", "expiry", "right", "strike"]
_SUMMED = (
    "contracts",
    "volume",
    "underlying_price",
    "underlying_prices",
    "two_sided",
    "with_iv",
    "last_outside",
    "kept",
    "copied",
    "off_scale",
    "close",
)
COLUMNS = ("underlying", "session", *_SUMMED)
_SCALE = (0.15, 4.0)
"""Strikes over the price of the underlying, of all but the furthest wings."""


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """How far a stored session may be off before it is called wrong; shares are fractions of one."""

    least_volume: float = 0.15
    """Of the underlying's median."""
    least_two_sided: float = 0.5
    least_with_iv: float = 0.5
    most_last_outside: float = 0.05
    least_kept: float = 0.8
    """Of the session before's contracts that have not expired."""
    most_copied: float = 0.5
    most_off_scale: float = 0.25
    """A stock of 200 dollars may have every strike from 5 on; two scales in one file are about half."""
    close_room: float = 0.01
    sessions_faulty: float = 0.2
    """Share of an underlying's sessions that may be faulty (and are removed) before it is quarantined."""


@dataclass(frozen=True, slots=True)
class CheckedHistory:
    """The sessions of each underlying that may be replayed, and the proof for them."""

    sessions: Mapping[Underlying, tuple[date, ...]]
    report: CheckReport
    proof: Passed


def check_history(
    contracts: pd.DataFrame,
    *,
    at: datetime,
    closes: Mapping[tuple[str, date], float] | None = None,
    bounds: HistoryBounds | None = None,
) -> CheckedHistory:
    """The stored sessions that are whole. A faulty one is removed, an underlying with too many is out.

    ``closes`` are the underlyings' traded closes from elsewhere, by name and session.

    Raises: CheckFailed when more than half of the underlyings are out.
    """
    verdict = check(
        history_frame(contracts, closes or {}),
        history_suite(at=at, bounds=bounds or HistoryBounds()),
        at=at,
        key="underlying",
        max_quarantined=0.5,
    )
    proof = verdict.proof()
    left = {
        Underlying(str(name)): tuple(stamp.date() for stamp in stamps)
        for name, stamps in verdict.frame.groupby("underlying", sort=False)["session"]
    }
    return CheckedHistory(left, verdict.report, proof)


def history_suite(*, at: datetime, bounds: HistoryBounds) -> Suite:
    """What is expected of ``history_frame``."""
    return Suite(
        "chain_history",
        COLUMNS,
        ("underlying", "session"),
        partial(_measure, at=at, bounds=bounds),
        RULES,
        tolerance=bounds.sessions_faulty,
    )


def history_frame(contracts: pd.DataFrame, closes: Mapping[tuple[str, date], float]) -> pd.DataFrame:
    """One row per underlying and session in order, from a frame with ``CONTRACT_COLUMNS``."""
    import numpy as np
    import pandas as pd

    held = contracts.sort_values(["underlying", "session"], kind="stable").reset_index(drop=True)
    quoted = (held["bid"] > 0) & (held["ask"] >= held["bid"])
    scale = held["strike"] / held["underlying_price"]
    last = held["last"].where((held["last"] > 0) & quoted)
    outside = ((last < held["bid"]) | (last > held["ask"])).where(last.notna())
    known = held[["bid", "ask"]].notna().any(axis=None)
    marks = held.assign(
        two_sided=quoted if known else np.nan,
        with_iv=held["iv"] > 0 if held["iv"].notna().any() else np.nan,
        last_outside=outside.astype("float64"),
        off_scale=((scale < _SCALE[0]) | (scale > _SCALE[1])).where(scale.notna()).astype("float64"),
    )
    by = marks.groupby(["underlying", "session"], sort=False)
    found = by.agg(
        contracts=("strike", "size"),
        volume=("volume", "sum"),
        underlying_price=("underlying_price", "median"),
        underlying_prices=("underlying_price", "nunique"),
        two_sided=("two_sided", "mean"),
        with_iv=("with_iv", "mean"),
        last_outside=("last_outside", "mean"),
        off_scale=("off_scale", "mean"),
    )
    found = found.join(_beside_the_session_before(held)).reset_index()
    keys = [
        (str(name), stamp.date()) for name, stamp in zip(found["underlying"], found["session"], strict=True)
    ]
    found["close"] = [closes.get(key, np.nan) for key in keys]
    return pd.DataFrame(found[list(COLUMNS)])


def _beside_the_session_before(held: pd.DataFrame) -> pd.DataFrame:
    """Shares of the session before's contracts that are listed again, and of volumes that repeat it."""

    sessions = held[["underlying", "session"]].drop_duplicates()
    following = sessions.groupby("underlying", sort=False)["session"].shift(-1)
    after = held.merge(sessions.assign(next=following), on=["underlying", "session"])
    lasting = after[after["next"].notna() & (after["expiry"] > after["next"])]
    again = lasting[[*_CONTRACT, "next", "volume"]].merge(
        held[[*_CONTRACT, "session", "volume"]],
        left_on=[*_CONTRACT, "next"],
        right_on=[*_CONTRACT, "session"],
        how="left",
        suffixes=("_before", ""),
    )
    traded = again["volume"] > 0
    again = again.assign(
        kept=again["session"].notna(),
        copied=(again["volume"] == again["volume_before"]).where(traded).astype("float64"),
    )
    found: pd.DataFrame = again.groupby(["underlying", "next"], sort=False)[["kept", "copied"]].mean()
    return found.rename_axis(["underlying", "session"])


RULES: tuple[Rule, ...] = (
    Rule("session_given", "the session is a day, without time and zone", lambda f: f["session"].notna()),
    Rule("session_trades", "the exchange traded that day", lambda f: f["session_trades"]),
    Rule("no_future", "no session of a day to come", lambda f: f["session"] <= f["today"]),
    Rule("unique", "one row per session", lambda f: ~f.duplicated(["underlying", "session"], keep=False)),
    Rule(
        "underlying_price_given",
        "the price of the underlying is there and one",
        lambda f: (f["underlying_price"] > 0) & (f["underlying_prices"] == 1),
        ("underlying_price", "underlying_prices"),
    ),
    Rule(
        "underlying_price_agrees",
        "the price of the underlying is that session's close",
        lambda f: f["close"].isna() | (f["close_gap"] <= f["close_room"]),
        ("underlying_price", "close"),
    ),
    Rule(
        "underlying_price_moves",
        "the price of the underlying is not the session before's",
        lambda f: f["underlying_price"] != f["price_before"],
        ("underlying_price",),
    ),
    Rule(
        "volume_usual",
        "about as much was traded as usual",
        lambda f: f["volume"] >= f["least_volume"],
        ("volume", "least_volume"),
    ),
    Rule(
        "not_a_copy",
        "volumes are not those of the session before",
        lambda f: ~(f["copied"] > f["most_copied"]),
        ("copied",),
    ),
    Rule(
        "contracts_kept",
        "contracts of the session before are listed again",
        lambda f: ~(f["kept"] < f["least_kept"]),
        ("kept",),
    ),
    Rule(
        "strikes_on_scale",
        "strikes are on the scale of the underlying",
        lambda f: ~(f["off_scale"] > f["most_off_scale"]),
        ("underlying_price", "off_scale"),
    ),
    Rule(
        "quoted",
        "prices are quotes with two sides, not last trades",
        lambda f: f["two_sided"] >= f["least_two_sided"],
        ("two_sided",),
    ),
    Rule(
        "iv_computed",
        "most contracts have a volatility, where any has",
        lambda f: ~(f["with_iv"] < f["least_with_iv"]),
        ("with_iv",),
    ),
    Rule(
        "complete",
        "no session is missing before it",
        lambda f: f["absent"] == 0,
        ("absent",),
        Severity.WARNING,
    ),
    Rule(
        "every_bid_and_iv_there",
        "every contract has a bid and a volatility",
        lambda f: ~(f["two_sided"] < 1) & ~(f["with_iv"] < 1),
        ("two_sided", "with_iv"),
        Severity.WARNING,
    ),
    Rule(
        "last_inside_quotes",
        "last trades lie inside the quotes",
        lambda f: ~(f["last_outside"] > f["most_last_outside"]),
        ("last_outside",),
        Severity.WARNING,
    ),
)


def _measure(frame: pd.DataFrame, *, at: datetime, bounds: HistoryBounds) -> pd.DataFrame:
    numbers(frame, _SUMMED)
    frame["session"] = days(frame["session"])
    frame["session_trades"] = on_session(frame["session"])
    frame["today"] = day_of(at)
    by = frame.groupby("underlying", sort=False)
    frame["price_before"] = by["underlying_price"].shift()
    frame["close_gap"] = (frame["underlying_price"] / frame["close"] - 1).abs()
    frame["close_room"] = bounds.close_room
    frame["least_volume"] = by["volume"].transform("median") * bounds.least_volume
    for name in ("least_two_sided", "least_with_iv", "most_last_outside", "least_kept", "most_copied"):
        frame[name] = getattr(bounds, name)
    frame["most_off_scale"] = bounds.most_off_scale
    before = by["session"].shift()
    frame["absent"] = [
        max(len(calendar.sessions_between(first.date(), last.date())) - 2, 0) if first < last else 0
        for first, last in zip(before, frame["session"], strict=True)
    ]
    return frame

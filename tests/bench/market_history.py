"""The history store: a year of 500 symbols written, a session appended, and what a decision reads of it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from wsb_core.domain.calendar import session_on, sessions_between
from wsb_core.market.history import HistoryStore, known_at_close

from .harness import Figure, Job, medians

SYMBOLS = tuple(f"S{number:03d}" for number in range(500))
FIRST, LAST = date(2024, 7, 1), date(2026, 6, 30)
PANEL_SESSIONS = 125
COLUMNS = ("open", "high", "low", "close", "volume")


@lru_cache
def bars() -> pd.DataFrame:
    """Two years of 500 symbols, recorded at each close."""
    days = np.array(sessions_between(FIRST, LAST), dtype="datetime64[ns]")
    steps = np.random.default_rng(1).normal(0, 0.02, (len(SYMBOLS), len(days)))
    close = np.round(50 * np.exp(np.cumsum(steps, axis=1)), 2).ravel() + 1
    frame = pd.DataFrame(
        {
            "symbol": np.repeat(SYMBOLS, len(days)),
            "session": np.tile(days, len(SYMBOLS)),
            "open": close * 0.99,
            "high": close * 1.02,
            "low": close * 0.98,
            "close": close,
            "volume": np.round(close * 1e5),
            "source": "bench",
        }
    )
    return known_at_close(frame)


def empty_store() -> HistoryStore:
    folder = tempfile.mkdtemp(prefix="wsb-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return HistoryStore(folder)


@lru_cache
def store() -> HistoryStore:
    """Two years of bars, a dividend a quarter and one split for each symbol."""
    made = empty_store()
    made.write("daily", bars())
    quarters = pd.date_range("2024-08-06", LAST, freq="91D")
    listed = pd.DataFrame({"symbol": SYMBOLS, "source": "bench"})
    known = session_on(FIRST).closes
    made.write(
        "dividends", listed.merge(pd.DataFrame({"ex_date": quarters, "amount": 0.2}), how="cross"), known
    )
    made.write("splits", listed.assign(ex_date=pd.Timestamp("2026-03-03"), ratio=2.0), known)
    return made


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def writing() -> list[Figure]:
    frame = bars()
    year = frame[frame["session"] < "2025-07-01"]
    later = frame[frame["session"] >= "2026-01-01"]
    day = later["session"] == later["session"].max()
    fresh, half = empty_store(), empty_store()
    half.write("daily", later[~day])
    return [
        Figure(timed(lambda: fresh.write("daily", year)), f"500 symbols x 1 year, {len(year)} rows"),
        Figure(timed(lambda: fresh.write("daily", year)), "the same again: nothing changes"),
        Figure(timed(lambda: half.write("daily", later[day])), "one session more onto half a year"),
    ]


def snapshot(adjusted: str) -> dict[str, pd.DataFrame]:
    """The 125-session panel, wide, and so the last row of each symbol."""
    days = sessions_between(LAST - timedelta(days=365), LAST)[-PANEL_SESSIONS:]
    as_of = session_on(LAST).closes
    frame = store().read("daily", SYMBOLS, days[0], LAST, as_of, adjusted=adjusted)
    wide = frame.set_index(["session", "symbol"])
    panel = {name: wide[name].unstack() for name in COLUMNS}
    assert panel["close"].shape == (PANEL_SESSIONS, len(SYMBOLS))
    return panel


def reading() -> list[Figure]:
    seconds = medians(lambda: snapshot("all"), lambda: snapshot("raw"), rounds=7)
    return [
        Figure(seconds[0], "125 sessions, adjusted", at_most=0.5),
        Figure(seconds[1], "125 sessions, as traded", at_most=0.5),
    ]


JOBS = (
    Job("history: write", "s", "none", writing, bars),
    Job("history: snapshot of 500 symbols", "s", "<= 0.5 s", reading, lambda: snapshot("all")),
)

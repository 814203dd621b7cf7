"""The 30-day volatility of every name into the history store, before the close."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.collect import (
    AROUND_THIRTY,
    check_recorded,
    check_volatilities,
    fetch_recorded,
    keep_volatilities,
)
from tasks.desk import open_collection, watched
from tasks.notify import alert_failure
from tasks.record import finish
from wsb_core.domain.ids import Underlying


@flow(name="iv-history", timeout_seconds=1800, on_failure=[alert_failure], on_crashed=[alert_failure])
def iv_history(symbols: list[str] | None = None) -> State[Any]:
    """Keep today's figure and show where it stands. Without ``symbols``: everything watched."""
    run = open_collection("iv-history")
    if not run.trading:
        return Completed(name="Skipped", message=finish(run, "skipped", "the market is closed"))
    names = watched() if symbols is None else [Underlying(name) for name in symbols]
    found = check_volatilities(run, check_recorded(run, fetch_recorded(run, names, AROUND_THIRTY)))
    return Completed(message=finish(run, "completed", keep_volatilities(run, found)))

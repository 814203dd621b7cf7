"""Daily bars into the history store, in the evening."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.collect import check_actions, check_raw_bars, fetch_actions, fetch_raw_bars, keep_bars
from tasks.desk import open_collection, watched
from tasks.notify import alert_failure
from tasks.record import finish
from wsb_core.domain.ids import Underlying


@flow(name="ingest-bars", timeout_seconds=1800, on_failure=[alert_failure], on_crashed=[alert_failure])
def ingest_bars(symbols: list[str] | None = None) -> State[Any]:
    """Keep the sessions that are new or corrected, as traded. Without ``symbols``: everything watched."""
    run = open_collection("ingest-bars")
    names = watched() if symbols is None else [Underlying(name) for name in symbols]
    actions = check_actions(run, fetch_actions(run, names))
    good = check_raw_bars(run, fetch_raw_bars(run, names), actions)
    return Completed(message=finish(run, "completed", keep_bars(run, good)))

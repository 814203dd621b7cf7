"""Option chains into the history store, before the close."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.collect import CHAINS, check_recorded, fetch_recorded, keep_chains
from tasks.desk import open_collection, watched
from tasks.notify import alert_failure
from tasks.record import finish
from wsb_core.domain.ids import Underlying


@flow(name="record-chains", timeout_seconds=1800, on_failure=[alert_failure], on_crashed=[alert_failure])
def record_chains(symbols: list[str] | None = None) -> State[Any]:
    """Keep one snapshot of every chain that passes its check. Without ``symbols``: everything watched."""
    run = open_collection("record-chains")
    if not run.trading:
        return Completed(name="Skipped", message=finish(run, "skipped", "the market is closed"))
    names = watched() if symbols is None else [Underlying(name) for name in symbols]
    found = check_recorded(run, fetch_recorded(run, names, CHAINS))
    return Completed(message=finish(run, "completed", keep_chains(run, found)))

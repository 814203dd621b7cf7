"""Dividends, splits, new tickers and reorganisations, before the open."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.collect import check_actions, fetch_actions, keep_actions
from tasks.desk import open_collection, watched
from tasks.notify import alert_failure
from tasks.record import finish
from wsb_core.domain.ids import Underlying


@flow(name="corporate-actions", timeout_seconds=900, on_failure=[alert_failure], on_crashed=[alert_failure])
def corporate_actions(symbols: list[str] | None = None) -> State[Any]:
    """Keep what passes its check; tell of what will change contracts that are held."""
    run = open_collection("corporate-actions")
    names = watched() if symbols is None else [Underlying(name) for name in symbols]
    actions = check_actions(run, fetch_actions(run, names))
    return Completed(message=finish(run, "completed", keep_actions(run, actions)))

"""When companies report, from every source, and what changed: before the open and after the close."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.calendar import check_earnings, fetch_earnings, keep_earnings, show_earnings
from tasks.desk import open_collection, watched
from tasks.notify import alert_failure
from tasks.record import finish
from wsb_core.domain.ids import Underlying


@flow(
    name="earnings-calendar-refresh",
    timeout_seconds=900,
    on_failure=[alert_failure],
    on_crashed=[alert_failure],
)
def earnings_calendar_refresh(symbols: list[str] | None = None) -> State[Any]:
    """Ask every source, keep what passes its check, show and alert what is different from before.

    Without ``symbols``: every strategy's universe, and what is held.
    """
    run = open_collection("earnings-calendar-refresh")
    names = watched() if symbols is None else [Underlying(name) for name in symbols]
    told = fetch_earnings(run, names)
    good = check_earnings(run, told)
    found = keep_earnings(run, good, names)
    return Completed(message=finish(run, "completed", show_earnings(run, told, found, names)))

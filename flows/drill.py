"""The kill switch, tried every trading morning on an exchange and a ledger of its own."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed, Failed

from tasks.drill import hold_drill
from tasks.notify import alert_failure


@flow(name="drill", timeout_seconds=300, on_failure=[alert_failure], on_crashed=[alert_failure])
def drill(workers: int = 4) -> State[Any]:
    """Set orders working, halt, and fail when one is sent after the halt, goes on, or an exit is stopped."""
    held = hold_drill(workers)
    text = "; ".join(held.lines)
    return Failed(message=text) if held.problems else Completed(message=text)

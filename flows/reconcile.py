"""Ledger against broker, both ways: explained, or entries stop."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from tasks.book import act_on_breaks, reconcile_account
from tasks.desk import open_books
from tasks.halts import watch_account
from tasks.notify import alert_failure
from tasks.record import finish


@flow(name="reconcile", timeout_seconds=600, on_failure=[alert_failure], on_crashed=[alert_failure])
def reconcile() -> State[Any]:
    """Take over the broker's news and compare; an unexplained difference halts entries and fails the run."""
    desk = open_books("reconcile")
    found = reconcile_account(desk)
    watch_account(desk, found.account)
    act_on_breaks(desk, found)
    return Completed(message=finish(desk, "completed", found.summary))

"""A trader in a process of its own, to be killed: ``child.py URL LEDGER_URL LIMIT [before-sending]``.

Prints a line when it is about to send; with ``before-sending`` it goes no further than that.
"""

from __future__ import annotations

import sys
from datetime import datetime

from tests.execution.desk import approved, seat
from wsb_core.domain.ids import RunId
from wsb_core.domain.orders import ApprovedOrder
from wsb_core.execution.submit import submit_once
from wsb_core.ledger import Intent, Lease, Ledger
from wsb_core.ledger.store import Store


class Announcing(Ledger):
    """Says when the intent is committed and the request comes next."""

    def record_intent(self, run_id: RunId, approved: ApprovedOrder, *, lease: Lease, at: datetime) -> Intent:
        intent = super().record_intent(run_id, approved, lease=lease, at=at)
        print("intended", flush=True)
        if "before-sending" in sys.argv:
            sys.stdin.read()
        return intent


if __name__ == "__main__":
    exchange_url, ledger_url, limit = sys.argv[1:4]
    ledger = Announcing(Store(ledger_url))
    submit_once(approved(limit), seat(exchange_url, ledger, "the-run-that-dies"))

"""A trader in a process of its own, to be killed: ``child.py URL LEDGER_URL LIMIT [before-sending]``.

Prints a line when it is about to send; with ``before-sending`` it goes no further than that.
"""

from __future__ import annotations

import sys
from datetime import datetime

from tests.execution.desk import approved, seat
from wsb_core.domain.ids import ClientOrderId
from wsb_core.execution.submit import submit_once
from wsb_core.ledger import Lease, Ledger
from wsb_core.ledger.store import Store


class Announcing(Ledger):
    """Says when the intent is committed and the request comes next."""

    def mark_sending(self, client_order_id: ClientOrderId, *, lease: Lease, at: datetime) -> bool:
        print("intended", flush=True)
        if "before-sending" in sys.argv:
            sys.stdin.read()
        return super().mark_sending(client_order_id, lease=lease, at=at)


if __name__ == "__main__":
    exchange_url, ledger_url, limit = sys.argv[1:4]
    ledger = Announcing(Store(ledger_url))
    submit_once(approved(limit), seat(exchange_url, ledger, "the-run-that-dies"))

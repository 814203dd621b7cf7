"""The practice exchange from outside: its clock, its faults, its counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import requests

from wsb_core.domain.errors import BadResponse, ProviderUnavailable, Terminal
from wsb_core.domain.quotes import require_aware

SECONDS = 120.0
"""Advancing over many sessions computes every minute of every resting order."""


class PracticeControl:
    """The control routes of a practice exchange at ``base_url``, with a deadline on every call.

    Raises from every method: ProviderUnavailable when it does not answer, Terminal when it refuses,
    BadResponse when its answer cannot be read.
    """

    def __init__(self, base_url: str, *, deadline_seconds: float = SECONDS) -> None:
        self._url = base_url.rstrip("/") + "/control"
        self._deadline = deadline_seconds

    def now(self) -> datetime:
        """The exchange's simulated instant."""
        return self._instant(self._call("GET", "clock"))

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward; the instant it then shows."""
        return self._instant(self._call("POST", "clock", {"advance": seconds}))

    def advance_to(self, to: datetime) -> datetime:
        """Move the clock forward to ``to``, which must be aware; the instant it then shows."""
        return self._instant(self._call("POST", "clock", {"to": require_aware(to, "to").isoformat()}))

    def fault(self, kind: str, **details: Any) -> None:
        """Order a fault: see ``server.faults.Fault`` for the kinds and their details."""
        self._call("POST", "faults", {"kind": kind, **details})

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def state(self) -> dict[str, Any]:
        """Counts of orders received, accepted and existing, of sends by client order id, of requests."""
        found = self._call("GET", "state")
        if not isinstance(found, dict):
            raise BadResponse(f"{self._url}/state is no object: {found!r}")
        return found

    def assign(self, symbol: str, quantity: int) -> None:
        """Have ``quantity`` short contracts of the OCC ``symbol`` assigned now."""
        self._call("POST", "assign", {"symbol": symbol, "quantity": quantity})

    def deposit(self, dollars: str) -> None:
        """Add (or, negative, take) cash."""
        self._call("POST", "deposit", {"amount": dollars})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        where = f"{self._url}/{path}"
        try:
            reply = requests.request(method, where, json=body, timeout=self._deadline)
        except requests.RequestException as error:
            raise ProviderUnavailable(
                f"practice exchange did not answer {method} {where}: {error}"
            ) from error
        if reply.status_code >= 500:
            raise ProviderUnavailable(f"practice exchange answered {method} {where} with {reply.status_code}")
        if reply.status_code >= 400:
            raise Terminal(f"practice exchange refused {method} {where}: {reply.text}")
        if not reply.content:
            return None
        try:
            return reply.json()
        except ValueError as error:
            raise BadResponse(f"practice exchange answered {method} {where} unreadably") from error

    def _instant(self, body: Any) -> datetime:
        try:
            return datetime.fromisoformat(body["now"])
        except (TypeError, KeyError, ValueError) as error:
            raise BadResponse(f"{self._url}/clock told no instant: {body!r}") from error


class PracticeClock:
    """``Clock`` of simulated time: sleeping moves the exchange's clock instead of waiting."""

    def __init__(self, control: PracticeControl) -> None:
        self._control = control

    def now(self) -> datetime:
        return self._control.now()

    def sleep(self, seconds: float) -> None:
        self._control.advance(seconds)

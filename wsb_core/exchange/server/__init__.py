"""The practice exchange over HTTP and WebSocket in Alpaca's wire format, with faults on order."""

from __future__ import annotations

from .app import ServerThread, run_forever, serve
from .venue import PRACTICE_KEYS

__all__ = ["PRACTICE_KEYS", "ServerThread", "run_forever", "serve"]

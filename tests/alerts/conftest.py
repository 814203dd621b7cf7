"""A Slack that listens on the loopback, and an outbox in memory that keeps the outbox's promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from wsb_core.alerts import Alert, AlertSeverity

AT = datetime(2024, 7, 1, 19, 30, tzinfo=UTC)


@dataclass
class Answer:
    status: int = 200
    body: str = '{"ok": true}'
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    """Read the request, then close the connection without a word."""


@dataclass
class FakeSlack:
    """``answers`` are used up one a request; after them every message is accepted."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    posted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    @property
    def webhook(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/T0/B0/secretpart"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            message = json.loads(self.rfile.read(length))
            fake.requests.append((self.path, dict(self.headers), message))
            plain = Answer(body="ok" if self.path.startswith("/services") else '{"ok": true}')
            answer = fake.answers.pop(0) if fake.answers else plain
            if answer.drop:
                self.connection.close()
                return
            if answer.status == 200 and (answer.body == "ok" or '"ok": true' in answer.body):
                fake.posted.append(message)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeSlack(server.server_address[1])
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()


@dataclass
class Row:
    id: int
    key: str
    severity: str
    title: str
    body: str
    due: datetime
    attempts: int = 0
    sent: bool = False
    error: str | None = None


@dataclass
class MemoryOutbox:
    rows: list[Row] = field(default_factory=list)
    broken: bool = False

    def enqueue_alert(self, key: str, severity: str, title: str, body: str, at: datetime) -> bool:
        self._works()
        if any(row.key == key for row in self.rows):
            return False
        self.rows.append(Row(len(self.rows), key, severity, title, body, at))
        return True

    def pending_alerts(self, at: datetime, limit: int) -> list[Row]:
        self._works()
        return [row for row in self.rows if not row.sent and row.due <= at][:limit]

    def mark_alert(self, alert_id: int, sent: bool, error: str | None, at: datetime) -> None:
        self._works()
        row = self.rows[alert_id]
        row.sent, row.error, row.attempts = sent, error, row.attempts + 1
        row.due = at + timedelta(seconds=30)

    def _works(self) -> None:
        if self.broken:
            raise RuntimeError("database is locked: postgresql://wsb:hunter2@db/ledger")


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


@pytest.fixture
def alert() -> Alert:
    return Alert(
        AlertSeverity.CRITICAL,
        "order of unknown outcome",
        "Sending wsb-20240701-ab12-1 timed out.",
        "It will not be sent again; look-up in 30 s.",
        "Nothing yet; a second message follows if the look-up fails.",
        AT,
        {"account": "PA1 (paper)", "limit": "-1.25"},
        "http://127.0.0.1:4200/runs/flow-run/1",
    )

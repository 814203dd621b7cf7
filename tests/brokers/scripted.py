"""A small HTTP server that answers what a test scripted, faults included, and counts what it was sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """``body`` is sent as JSON unless it is bytes. ``fault``: drop, stall, truncate or drip."""

    body: Any = None
    status: int = 200
    fault: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    zipped: bool = False

    @property
    def payload(self) -> bytes:
        plain = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return gzip.compress(plain) if self.zipped else plain


@dataclass(frozen=True)
class Sent:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


Script = Callable[[Sent], Reply]


class Scripted:
    """Replies by method and path: in the order given, the last one for ever."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.unscripted: list[str] = []
        self._replies: dict[tuple[str, str], list[Reply | Script]] = {}
        self._closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *replies: Reply | Script) -> None:
        self._replies[method, path] = list(replies)

    def count(self, method: str, path: str) -> int:
        return len(self.to(method, path))

    def to(self, method: str, path: str) -> list[Sent]:
        return [sent for sent in self.sent if (sent.method, sent.path) == (method, path)]

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _take(self, sent: Sent) -> Reply:
        self.sent.append(sent)
        replies = self._replies.get((sent.method, sent.path))
        if not replies:
            self.unscripted.append(f"{sent.method} {sent.path}")
            return Reply({"message": "not scripted"}, 500)
        found = replies.pop(0) if len(replies) > 1 else replies[0]
        return found if isinstance(found, Reply) else found(sent)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = json.loads(raw) if raw else None
                query = dict(parse_qsl(parts.query))
                outer._answer(
                    self, outer._take(Sent(self.command, parts.path, query, body, dict(self.headers)))
                )

        for method in ("GET", "POST", "DELETE", "PATCH"):
            setattr(Handler, f"do_{method}", Handler._serve)
        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.close_connection = bool(reply.fault)
        if reply.fault == "stall":
            self._closing.wait(5)
        if reply.fault in ("stall", "drop"):
            handler.connection.close()
            return
        payload = b"" if reply.status == 204 else reply.payload
        handler.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        if reply.zipped:
            handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(payload)))
        handler.end_headers()
        if reply.fault == "truncate":
            payload = payload[: len(payload) // 2]
        if reply.fault == "drip":
            for byte in payload:
                if self._closing.wait(0.05):
                    return
                handler.wfile.write(bytes([byte]))
            return
        handler.wfile.write(payload)

"""From the outbox to the channels: recorded first, posted once per key, kept until it is."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from wsb_core.domain.errors import Transient
from wsb_core.domain.ports import AlertChannel

from .alert import Alert, scrub
from .log import LogChannel

LOG = logging.getLogger("wsb.alerts.deliver")


class PendingAlert(Protocol):
    """A message that waits. ``attempts`` counts those made before."""

    @property
    def id(self) -> Any: ...

    @property
    def severity(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def body(self) -> str: ...

    @property
    def attempts(self) -> int: ...


class Outbox(Protocol):
    """Where messages are recorded before they are posted."""

    def enqueue_alert(self, dedupe_key: str, severity: str, title: str, body: str, at: datetime, /) -> bool:
        """Record a message; False when one with this key exists."""
        ...

    def pending_alerts(self, at: datetime, limit: int, /) -> Sequence[PendingAlert]:
        """Messages due at ``at``, claimed for this caller."""
        ...

    def mark_alert(self, alert_id: Any, sent: bool, error: str | None, at: datetime, /) -> None:
        """The outcome of one attempt; one that was not sent becomes due again later."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one delivery did. ``problems`` are one line each, with nothing secret in them."""

    sent: int = 0
    kept: int = 0
    problems: tuple[str, ...] = ()


def record(outbox: Outbox, alert: Alert, *, key: str, secrets: Collection[str] = ()) -> bool:
    """Put an alert into the outbox under its key, scrubbed; False when the key was used before.

    It raises what the outbox raises, after the alert went to the log: it is never lost silently.
    """
    title, body = scrub(alert.title, secrets), scrub(alert.body, secrets)
    try:
        return outbox.enqueue_alert(key, alert.severity.value, title, body, alert.at)
    except Exception:
        LogChannel().send(_headline(alert.severity, title), body)
        raise


def deliver(
    outbox: Outbox,
    channels: Sequence[AlertChannel],
    now: datetime,
    *,
    limit: int = 5,
    secrets: Collection[str] = (),
) -> Delivery:
    """Post what is due: every message to the log, and to the first other channel that takes it.

    ``limit`` times the channels' timeouts has to stay below the time for which the outbox claims a
    message. A message that no channel took stays in the outbox. A channel that does not answer is not asked
    again in this delivery. Without another channel the log is the delivery. Never raises.
    """
    remote = [channel for channel in channels if not isinstance(channel, LogChannel)]
    try:
        pending = outbox.pending_alerts(now, limit)
    except Exception as error:
        # An alert must never be the reason why a flow ends.
        return Delivery(problems=(_broken(error, secrets),))
    silent: set[str] = set()
    sent, problems = 0, []
    for row in pending:
        trouble = _post(row, remote, silent, secrets)
        try:
            outbox.mark_alert(row.id, trouble is None, trouble, now)
        except Exception as error:
            problems.append(_broken(error, secrets))
        if trouble is None:
            sent += 1
        else:
            problems.append(trouble)
    return Delivery(sent, len(pending) - sent, tuple(problems))


def _post(
    row: PendingAlert, remote: Sequence[AlertChannel], silent: set[str], secrets: Collection[str]
) -> str | None:
    """None when the message was taken, otherwise what every channel said."""
    title, body = scrub(_headline(row.severity, row.title), secrets), scrub(row.body, secrets)
    if row.attempts == 0:
        LogChannel().send(title, body)
    said = []
    for channel in remote:
        if channel.name in silent:
            said.append(f"{channel.name}: not asked again, it did not answer a moment ago")
            continue
        try:
            channel.send(title, body)
            return None
        except Exception as error:
            if isinstance(error, Transient):
                silent.add(channel.name)
            said.append(scrub(f"{channel.name}: {error}", secrets))
    return "; ".join(said) if remote else None


def _broken(error: Exception, secrets: Collection[str]) -> str:
    text = scrub(f"outbox: {type(error).__name__}: {error}", secrets)
    LOG.error(text)
    return text


def _headline(severity: str, title: str) -> str:
    return f"{severity.upper()}: {title}"

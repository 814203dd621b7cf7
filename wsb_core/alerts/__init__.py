"""Slack first; every channel behind one port, every message through the outbox."""

from __future__ import annotations

from .alert import Alert, AlertSeverity, scrub
from .deliver import Delivery, Outbox, PendingAlert, deliver, record
from .log import LogChannel
from .slack import SlackChannel, SlackWebhookChannel

__all__ = [
    "Alert",
    "AlertSeverity",
    "Delivery",
    "LogChannel",
    "Outbox",
    "PendingAlert",
    "SlackChannel",
    "SlackWebhookChannel",
    "deliver",
    "record",
    "scrub",
]

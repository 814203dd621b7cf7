"""A message to people: what happened, what the system did about it, what they should do."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.quotes import require_aware


class AlertSeverity(StrEnum):
    CRITICAL = "critical"
    """Somebody has to look now: an unknown order, a break, a naked leg, a dead flow."""
    WARNING = "warning"
    TRADE = "trade"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Alert:
    """``body`` is its one text form: readable as it is, and laid out again by channels that can.

    Paragraphs are separated by a blank line; one whose lines all start with "- " is a list of fields,
    one that starts with "~ " is context.
    """

    severity: AlertSeverity
    title: str
    what: str
    did: str
    do: str
    at: datetime
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None

    def __post_init__(self) -> None:
        require_aware(self.at, "at")
        if not self.title.strip() or not self.what.strip():
            raise ValueError("an alert needs a title and a sentence that says what happened")

    @property
    def body(self) -> str:
        local = self.at.astimezone(NEW_YORK)
        listed = "\n".join(f"- {name}: {_line(value)}" for name, value in self.fields.items())
        context = f"~ {local:%H:%M:%S} ET, {local:%Y-%m-%d}"
        parts = (
            _line(self.what),
            listed,
            f"The system did: {_line(self.did)}" if self.did else "",
            f"To do: {_line(self.do)}" if self.do else "",
            f"{context} | {self.link}" if self.link else context,
        )
        return "\n\n".join(part for part in parts if part)


def _line(text: str) -> str:
    """One line: a line break inside a value must not start a paragraph of its own."""
    return " ".join(text.split())


_SECRETS = (
    (re.compile(r"https://hooks\.slack\.com/\S+"), "[webhook]"),
    (re.compile(r"\bxox[a-z](?:\.[a-z]+)?-[A-Za-z0-9-]+|\bxapp-[A-Za-z0-9-]+"), "[token]"),
    (re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+@"), r"\1:[password]@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 [token]"),
    (re.compile(r"\b[PAC]K[A-Z0-9]{18,}\b"), "[key]"),
    (
        re.compile(
            r"(?i)([\w-]*(?:secret|token|password|passwd|api[_-]?key|apca-api-[\w-]+)[\w-]*[\"']?\s*[=:]\s*)"
            r"[\"']?(?!\[)[^\s,;&\"'}]+"
        ),
        r"\1[hidden]",
    ),
)


def scrub(text: str, secrets: Collection[str] = ()) -> str:
    """``text`` without anything that looks like a credential, nor any of ``secrets``."""
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text

"""Slack, through a bot token or an incoming webhook. One call posts once: retries are the outbox's."""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from wsb_core.domain.errors import ConfigError, ProviderRefused, ProviderUnavailable, WsbError

if TYPE_CHECKING:
    from slack_sdk.http_retry import RetryHandler

TIMEOUT_SECONDS = 5
_HEADER, _SECTION, _FIELDS, _TEXT = 150, 3000, 10, 3000
_FIELD = 2000
"""Slack's own limits, in characters; a message beyond them is refused whole."""
_LATER = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Slack's error codes that say nothing about the message itself."""
_NO_RETRIES: tuple[RetryHandler, ...] = ()


class SlackChannel:
    """``AlertChannel`` that posts to one Slack channel with a bot token (scope chat:write).

    ``base_url`` is another server's ``.../api/`` address, None for Slack's own.

    Raises: ConfigError when the token or the channel is empty.
    """

    def __init__(self, token: str, channel: str, base_url: str | None = None) -> None:
        from slack_sdk import WebClient

        if not token or not channel:
            missing = "SLACK_BOT_TOKEN" if not token else "SLACK_CHANNEL"
            raise ConfigError(f"{missing} is empty; Slack needs it: put it into .env or the environment")
        self._channel = channel
        # The client's own default re-sends after a dropped connection, and can so post twice.
        self._client = WebClient(
            token=token,
            base_url=base_url or WebClient.BASE_URL,
            timeout=TIMEOUT_SECONDS,
            retry_handlers=list(_NO_RETRIES),
        )

    @property
    def name(self) -> str:
        return "slack"

    def send(self, title: str, body: str) -> None:
        """Post once.

        Raises: ProviderUnavailable when a later call may succeed, ProviderRefused when Slack says no.
        """
        from slack_sdk.errors import SlackApiError

        try:
            self._client.chat_postMessage(
                channel=self._channel, text=fallback(title, body), blocks=blocks(title, body)
            )
        except SlackApiError as error:
            raise _refusal(error.response) from None
        except (OSError, HTTPException, ValueError) as error:
            raise ProviderUnavailable(f"Slack did not answer: {type(error).__name__}: {error}") from None


class SlackWebhookChannel:
    """``AlertChannel`` over an incoming webhook; its address is the credential."""

    def __init__(self, url: str) -> None:
        from slack_sdk.webhook import WebhookClient

        if not url:
            raise ConfigError("SLACK_WEBHOOK_URL is empty: put it into .env or the environment")
        self._client = WebhookClient(url, timeout=TIMEOUT_SECONDS, retry_handlers=list(_NO_RETRIES))

    @property
    def name(self) -> str:
        return "slack-webhook"

    def send(self, title: str, body: str) -> None:
        """Post once.

        Raises: ProviderUnavailable when a later call may succeed, ProviderRefused when Slack says no.
        """
        try:
            answer = self._client.send(text=fallback(title, body), blocks=blocks(title, body))
        except (OSError, HTTPException, ValueError) as error:
            raise ProviderUnavailable(
                f"the Slack webhook did not answer: {type(error).__name__}: {error}"
            ) from None
        said = str(answer.body)[:200]
        if answer.status_code == 429 or answer.status_code >= 500:
            raise ProviderUnavailable(f"the Slack webhook answered {answer.status_code}: {said}")
        if answer.status_code != 200 or said.strip() != "ok":
            raise ProviderRefused(f"the Slack webhook answered {answer.status_code}: {said}")


def _refusal(response: Any) -> WsbError:
    status = int(getattr(response, "status_code", 0) or 0)
    data = getattr(response, "data", response)
    code = str(data.get("error")) if isinstance(data, dict) else ""
    # Slack's own codes are one word; anything else is some server in between.
    unreadable = re.fullmatch(r"[a-z0-9_]+", code) is None
    if status == 429 or status >= 500 or unreadable or code in _LATER:
        return ProviderUnavailable(f"Slack answered {status}: {code[:200]}")
    return ProviderRefused(f"Slack refused the message: {code}; check the token, its scope and the channel")


def fallback(title: str, body: str) -> str:
    """What a push notification and a screen reader get: the title and the first paragraph."""
    return _cut(_escape(f"{title}: {body.split(chr(10) * 2)[0]}" if body else title), _TEXT)


def blocks(title: str, body: str) -> list[dict[str, Any]]:
    """The message in Slack's blocks: header, then a block per paragraph of ``Alert.body``."""
    found: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(title, _HEADER), "emoji": False}}
    ]
    for paragraph in filter(None, (part.strip() for part in body.split("\n\n"))):
        lines = paragraph.splitlines()
        if all(line.startswith("- ") for line in lines):
            found.extend(_field_sections(lines))
        elif paragraph.startswith("~ "):
            text = _cut(_escape(paragraph[2:]), _FIELD)
            found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
        else:
            found.append({"type": "section", "text": {"type": "mrkdwn", "text": _paragraph(paragraph)}})
    return found[:50]


def _paragraph(text: str) -> str:
    for label in ("The system did:", "To do:"):
        if text.startswith(label):
            text = _escape(text.removeprefix(label).strip())
            return _cut(f"*{label}* {text}", _SECTION)
    return _cut(_escape(text), _SECTION)


def _field_sections(lines: list[str]) -> list[dict[str, Any]]:
    fields = []
    for line in lines:
        name, _, value = line[2:].partition(": ")
        text = f"*{_escape(name)}*\n{_escape(value)}"
        fields.append({"type": "mrkdwn", "text": _cut(text, _FIELD)})
    return [
        {"type": "section", "fields": fields[start : start + _FIELDS]}
        for start in range(0, len(fields), _FIELDS)
    ]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"

from __future__ import annotations

import socket

import pytest

from wsb_core.alerts import Alert, SlackChannel, SlackWebhookChannel
from wsb_core.alerts.slack import blocks, fallback
from wsb_core.domain.errors import ConfigError, ProviderRefused, ProviderUnavailable
from wsb_core.domain.ports import AlertChannel

from .conftest import Answer, FakeSlack

TOKEN = "xoxb-1234567890-abcdef"


def channels(slack: FakeSlack) -> dict[str, AlertChannel]:
    return {
        "api": SlackChannel(TOKEN, "#trading", base_url=slack.api),
        "webhook": SlackWebhookChannel(slack.webhook),
    }


def test_a_message_has_header_sentence_fields_actions_and_context(slack: FakeSlack, alert: Alert) -> None:
    SlackChannel(TOKEN, "#trading", base_url=slack.api).send("CRITICAL: " + alert.title, alert.body)

    [(path, headers, message)] = slack.requests
    assert path == "/api/chat.postMessage"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"].startswith("application/json")
    assert message["channel"] == "#trading"
    assert message["text"] == ("CRITICAL: order of unknown outcome: Sending wsb-20240701-ab12-1 timed out.")
    assert [block["type"] for block in message["blocks"]] == [
        "header",
        "section",
        "section",
        "section",
        "section",
        "context",
    ]
    header, what, fields, did, do, context = message["blocks"]
    assert header["text"] == {
        "type": "plain_text",
        "text": "CRITICAL: order of unknown outcome",
        "emoji": False,
    }
    assert what["text"]["text"] == "Sending wsb-20240701-ab12-1 timed out."
    assert [field["text"] for field in fields["fields"]] == ["*account*\nPA1 (paper)", "*limit*\n-1.25"]
    assert did["text"]["text"].startswith("*The system did:* It will not be sent again")
    assert do["text"]["text"].startswith("*To do:* Nothing yet")
    assert context["elements"][0]["text"] == (
        "15:30:00 ET, 2024-07-01 | http://127.0.0.1:4200/runs/flow-run/1"
    )


def test_a_webhook_gets_the_same_message(slack: FakeSlack, alert: Alert) -> None:
    SlackWebhookChannel(slack.webhook).send(alert.title, alert.body)

    [(path, _, message)] = slack.requests
    assert path == "/services/T0/B0/secretpart"
    assert message["text"] == fallback(alert.title, alert.body)
    assert message["blocks"] == blocks(alert.title, alert.body)


TROUBLE_LATER = [
    ("api", Answer(429, '{"ok": false, "error": "ratelimited"}', {"Retry-After": "1"})),
    ("api", Answer(503, "upstream down")),
    ("api", Answer(500, '{"ok": false, "error": "internal_error"}')),
    ("api", Answer(200, '{"ok": false, "error": "fatal_error"}')),
    ("api", Answer(200, "<html>proxy</html>")),
    ("api", Answer(drop=True)),
    ("webhook", Answer(429, "rate_limited", {"Retry-After": "1"})),
    ("webhook", Answer(503, "down")),
    ("webhook", Answer(drop=True)),
]
TROUBLE_FOR_GOOD = [
    ("api", Answer(200, '{"ok": false, "error": "channel_not_found"}'), "channel_not_found"),
    ("api", Answer(200, '{"ok": false, "error": "invalid_auth"}'), "invalid_auth"),
    ("webhook", Answer(404, "no_service"), "404: no_service"),
    ("webhook", Answer(403, "invalid_token"), "403: invalid_token"),
    ("webhook", Answer(200, "not so ok"), "200: not so ok"),
]


@pytest.mark.parametrize(("door", "answer"), TROUBLE_LATER)
def test_trouble_that_may_pass_is_transient_and_was_asked_once(
    slack: FakeSlack, door: str, answer: Answer
) -> None:
    slack.answers.append(answer)

    with pytest.raises(ProviderUnavailable) as caught:
        channels(slack)[door].send("title", "body")

    assert len(slack.requests) == 1
    assert TOKEN not in str(caught.value)
    assert "secretpart" not in str(caught.value)


@pytest.mark.parametrize(("door", "answer", "said"), TROUBLE_FOR_GOOD)
def test_a_refusal_is_terminal_and_says_why(slack: FakeSlack, door: str, answer: Answer, said: str) -> None:
    slack.answers.append(answer)

    with pytest.raises(ProviderRefused, match=said):
        channels(slack)[door].send("title", "body")

    assert slack.posted == []


@pytest.mark.parametrize("door", ["api", "webhook"])
def test_a_refused_connection_is_transient(door: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = FakeSlack(unused.getsockname()[1])

    with pytest.raises(ProviderUnavailable, match="did not answer"):
        channels(nobody)[door].send("title", "body")


def test_a_missing_token_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN"):
        SlackChannel("", "#trading")
    with pytest.raises(ConfigError, match="SLACK_CHANNEL"):
        SlackChannel(TOKEN, "")
    with pytest.raises(ConfigError, match="SLACK_WEBHOOK_URL"):
        SlackWebhookChannel("")


def test_markup_in_a_value_is_shown_and_not_obeyed() -> None:
    [_, section] = blocks("t", "<!channel> a & b")

    assert section["text"]["text"] == "&lt;!channel&gt; a &amp; b"
    assert "<!channel>" not in fallback("t", "<!channel> a & b")


def test_a_long_message_is_cut_to_what_slack_takes() -> None:
    body = "\n\n".join(["x" * 9000, "\n".join(f"- f{n}: {'y' * 5000}" for n in range(25))])

    found = blocks("h" * 400, body)

    assert len(found[0]["text"]["text"]) == 150
    assert len(found[1]["text"]["text"]) == 3000
    assert [len(block["fields"]) for block in found[2:]] == [10, 10, 5]
    assert max(len(field["text"]) for block in found[2:] for field in block["fields"]) == 2000


def test_plain_text_from_anywhere_makes_a_message() -> None:
    assert [block["type"] for block in blocks("t", "first\n\nsecond")] == ["header", "section", "section"]
    assert blocks("t", "")[0]["type"] == "header"
    assert fallback("t", "") == "t"

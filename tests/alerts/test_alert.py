from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.alerts import Alert, AlertSeverity, scrub
from wsb_core.alerts.slack import blocks

from .conftest import AT


def test_the_body_reads_as_text(alert: Alert) -> None:
    assert alert.body.split("\n\n") == [
        "Sending wsb-20240701-ab12-1 timed out.",
        "- account: PA1 (paper)\n- limit: -1.25",
        "The system did: It will not be sent again; look-up in 30 s.",
        "To do: Nothing yet; a second message follows if the look-up fails.",
        "~ 15:30:00 ET, 2024-07-01 | http://127.0.0.1:4200/runs/flow-run/1",
    ]


def test_line_breaks_in_a_value_do_not_break_the_layout(alert: Alert) -> None:
    broken = replace(alert, fields={"error": "first\n\n~ second"})

    assert [block["type"] for block in blocks("t", broken.body)].count("context") == 1


def test_an_alert_needs_a_title_a_sentence_and_a_zone(alert: Alert) -> None:
    with pytest.raises(ValueError, match="title"):
        replace(alert, title=" ")
    with pytest.raises(ValueError, match="title"):
        replace(alert, what="")
    with pytest.raises(ValueError, match="timezone-aware"):
        replace(alert, at=datetime(2024, 7, 1))


LEAKS = [
    "xoxb-12345-67890-AbCdEf",
    "xoxe.xoxp-1-Mi0yLTE",
    "xapp-1-A1-22-abcdef",
    "https://hooks.slack.com/services/T000/B000/XXXXXXXX",
    "PKABCDEFGHIJKLMNOPQR",
    "AKABCDEFGHIJKLMNOPQR",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_what_looks_like_a_credential_is_hidden(leak: str) -> None:
    assert leak not in scrub(f"failed with {leak} at 10:00")
    assert scrub(f"failed with {leak} at 10:00").endswith(" at 10:00")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://wsb:hunter2@db:5432/ledger", "hunter2"),
        ("Authorization: Bearer abc.def-123456", "abc.def-123456"),
        ("APCA-API-SECRET-KEY: zzz999", "zzz999"),
        ('{"api_key": "q1w2e3r4"}', "q1w2e3r4"),
        ("https://x/y?apiKey=q1w2e3r4&z=1", "q1w2e3r4"),
        ("password=hunter2; user=wsb", "hunter2"),
    ],
)
def test_named_secrets_are_hidden(text: str, secret: str) -> None:
    assert secret not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sending wsb-20240701-ab12cd34-1 timed out.",
        "AAPL  240719C00190000 bid 1.20 ask 1.25",
        "http://127.0.0.1:4200/runs/flow-run/3f0c1d2e-aaaa-bbbb-cccc-1234567890ab",
        "basic check failed: jumps_explained (1 of 500 rows)",
    ],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert scrub(text) == text


@settings(max_examples=60)
@given(st.text(max_size=40), st.text("ABCXYZ123", min_size=6, max_size=20), st.text(max_size=40))
def test_a_given_secret_never_survives(before: str, secret: str, after: str) -> None:
    assert secret not in scrub(before + secret + after, [secret])


def test_severities_are_the_words_that_are_shown() -> None:
    assert [severity.value for severity in AlertSeverity] == ["critical", "warning", "trade", "info"]
    assert AT.tzinfo is not None

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from wsb_core.alerts import (
    Alert,
    Delivery,
    LogChannel,
    SlackChannel,
    SlackWebhookChannel,
    deliver,
    record,
)
from wsb_core.domain.errors import ProviderRefused
from wsb_core.ledger import open_ledger

from .conftest import AT, Answer, FakeSlack, MemoryOutbox

LATER = AT + timedelta(minutes=1)
TOKEN = "xoxb-1234567890-abcdef"


@pytest.fixture
def channel(slack: FakeSlack) -> SlackChannel:
    return SlackChannel(TOKEN, "#trading", base_url=slack.api)


def test_one_message_per_key_however_often_it_is_recorded_and_delivered(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    first = record(outbox, alert, key="unknown:wsb-1")
    again = record(outbox, alert, key="unknown:wsb-1")

    deliveries = [deliver(outbox, [channel], at) for at in (AT, LATER, LATER)]

    assert (first, again) == (True, False)
    assert deliveries == [Delivery(1, 0), Delivery(0, 0), Delivery(0, 0)]
    assert [message["text"].split(":")[0] for message in slack.posted] == ["CRITICAL"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, '{"ok": false, "error": "ratelimited"}', {"Retry-After": "1"}),
        Answer(500, "oops"),
        Answer(503, "down"),
        Answer(200, '{"ok": false, "error": "channel_not_found"}'),
        Answer(drop=True),
    ],
)
def test_what_slack_did_not_take_stays_and_is_sent_exactly_once_later(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert, answer: Answer
) -> None:
    record(outbox, alert, key="k")
    slack.answers.append(answer)

    now = deliver(outbox, [channel], AT)
    then = [deliver(outbox, [channel], LATER) for _ in range(3)]

    assert (now.sent, now.kept) == (0, 1)
    assert now.problems[0].startswith("slack: ")
    assert [d.sent for d in then] == [1, 0, 0]
    assert len(slack.posted) == 1
    assert outbox.rows[0].attempts == 2


def test_a_slack_that_refuses_connections_keeps_the_message(outbox: MemoryOutbox, alert: Alert) -> None:
    record(outbox, alert, key="k")
    nobody = SlackChannel(TOKEN, "#trading", base_url="http://127.0.0.1:9/api/")

    delivery = deliver(outbox, [nobody], AT)

    assert (delivery.sent, delivery.kept) == (0, 1)
    assert not outbox.rows[0].sent
    assert "did not answer" in str(outbox.rows[0].error)


def test_a_silent_channel_is_asked_once_a_delivery(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    for n in range(5):
        record(outbox, alert, key=f"k{n}")
    slack.answers.extend([Answer(503, "down")] * 5)

    delivery = deliver(outbox, [channel], AT)

    assert len(slack.requests) == 1
    assert delivery.kept == 5


def test_a_message_slack_refuses_does_not_hold_up_the_next(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    record(outbox, alert, key="a")
    record(outbox, alert, key="b")
    slack.answers.append(Answer(200, '{"ok": false, "error": "invalid_blocks"}'))

    delivery = deliver(outbox, [channel], AT)

    assert (delivery.sent, delivery.kept) == (1, 1)
    assert [row.sent for row in outbox.rows] == [False, True]


def test_the_second_channel_takes_over_and_the_message_is_posted_once(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    record(outbox, alert, key="k")
    slack.answers.append(Answer(200, '{"ok": false, "error": "invalid_auth"}'))

    delivery = deliver(outbox, [channel, SlackWebhookChannel(slack.webhook)], AT)

    assert delivery.sent == 1
    assert [path for path, _, _ in slack.requests] == ["/api/chat.postMessage", "/services/T0/B0/secretpart"]
    assert len(slack.posted) == 1


@pytest.mark.parametrize("channels", [[], [LogChannel()]])
def test_without_slack_the_log_is_the_delivery_and_the_outbox_the_record(
    outbox: MemoryOutbox, alert: Alert, caplog: pytest.LogCaptureFixture, channels: list[LogChannel]
) -> None:
    record(outbox, alert, key="k")

    with caplog.at_level(logging.WARNING, "wsb.alerts"):
        deliveries = [deliver(outbox, channels, at) for at in (AT, LATER)]

    assert [d.sent for d in deliveries] == [1, 0]
    assert outbox.rows[0].sent
    assert caplog.text.count("CRITICAL: order of unknown outcome") == 1


def test_the_log_has_every_message_once_also_when_slack_is_down(
    slack: FakeSlack,
    channel: SlackChannel,
    outbox: MemoryOutbox,
    alert: Alert,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record(outbox, alert, key="k")
    slack.answers.append(Answer(503, "down"))

    with caplog.at_level(logging.WARNING, "wsb.alerts"):
        for at in (AT, LATER):
            deliver(outbox, [channel, LogChannel()], at)

    assert caplog.text.count("CRITICAL: order of unknown outcome") == 1
    assert len(slack.posted) == 1


def test_the_log_does_not_count_as_delivered_while_slack_is_configured(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    record(outbox, alert, key="k")
    slack.answers.append(Answer(503, "down"))

    deliver(outbox, [LogChannel(), channel], AT)

    assert not outbox.rows[0].sent


def test_a_broken_outbox_never_raises_into_the_caller_and_shows_no_password(
    outbox: MemoryOutbox, channel: SlackChannel
) -> None:
    outbox.broken = True

    delivery = deliver(outbox, [channel], AT)

    assert delivery.sent == 0
    assert "database is locked" in delivery.problems[0]
    assert "hunter2" not in delivery.problems[0]


def test_an_outcome_that_cannot_be_recorded_does_not_raise(
    slack: FakeSlack, outbox: MemoryOutbox, alert: Alert
) -> None:
    class Breaking(SlackWebhookChannel):
        def send(self, title: str, body: str) -> None:
            super().send(title, body)
            outbox.broken = True

    record(outbox, alert, key="k")

    delivery = deliver(outbox, [Breaking(slack.webhook)], AT)

    assert len(slack.posted) == 1
    assert "database is locked" in delivery.problems[0]


def test_a_channel_with_a_bug_does_not_raise(outbox: MemoryOutbox, alert: Alert) -> None:
    class Buggy:
        name = "buggy"

        def send(self, title: str, body: str) -> None:
            raise KeyError(f"no such thing, token={TOKEN}")

    record(outbox, alert, key="k")

    delivery = deliver(outbox, [Buggy()], AT)

    assert delivery.kept == 1
    assert TOKEN not in delivery.problems[0]


def test_an_alert_that_cannot_be_recorded_goes_to_the_log_before_it_raises(
    outbox: MemoryOutbox, alert: Alert, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.broken = True

    with caplog.at_level(logging.WARNING, "wsb.alerts"), pytest.raises(RuntimeError):
        record(outbox, alert, key="k")

    assert "CRITICAL: order of unknown outcome" in caplog.text


def test_secrets_are_gone_before_the_outbox_the_log_and_slack_see_them(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr3tvalue"
    outbox.enqueue_alert("raw", "warning", f"auth {secret}", f"token={TOKEN}", AT)

    with caplog.at_level(logging.WARNING):
        deliver(outbox, [channel], AT, secrets=[secret])

    [message] = slack.posted
    assert secret not in str(message) + caplog.text
    assert TOKEN not in str(message) + caplog.text


def test_the_ledger_is_an_outbox_that_keeps_these_promises(
    slack: FakeSlack, channel: SlackChannel, alert: Alert, tmp_path: Path
) -> None:
    slack.answers.append(Answer(503, "down"))
    with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.init()

        recorded = [record(ledger, alert, key="k") for _ in range(2)]
        sent = [deliver(ledger, [channel], AT + timedelta(minutes=n)).sent for n in (0, 2, 4)]

    assert recorded == [True, False]
    assert sent == [0, 1, 0]
    assert len(slack.posted) == 1


def test_only_so_many_messages_go_out_in_one_delivery(
    slack: FakeSlack, channel: SlackChannel, outbox: MemoryOutbox, alert: Alert
) -> None:
    for n in range(5):
        record(outbox, alert, key=f"k{n}")

    assert deliver(outbox, [channel], AT, limit=2).sent == 2
    assert len(slack.posted) == 2


def test_a_refusal_is_an_error_of_the_domain(slack: FakeSlack) -> None:
    slack.answers.append(Answer(404, "no_service"))

    with pytest.raises(ProviderRefused):
        SlackWebhookChannel(slack.webhook).send("t", "b")

"""Mode, host, key and account have to agree, at start and at every send."""

from __future__ import annotations

import pytest

from tests.brokers.conftest import ACCOUNT, LONG, SECRET, account_row, an_order
from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers import open_broker
from wsb_core.brokers.alpaca import AlpacaBroker, check_account, check_mode
from wsb_core.domain.errors import ConfigError, NotArmed, ProviderUnavailable
from wsb_core.domain.ids import AccountId

LIVE, PAPER = "https://api.alpaca.markets", "https://paper-api.alpaca.markets"


@pytest.mark.parametrize(
    ("mode", "url", "key"),
    [
        ("live", LIVE, "AK123"),
        ("live", LIVE + "/", "AK123"),
        ("paper", PAPER, "PK123"),
        ("practice", "http://127.0.0.1:8765", "practice"),
        ("practice", "http://localhost:1", "practice"),
        ("practice", "http://[::1]:1", "practice"),
    ],
)
def test_what_belongs_together_passes(mode: str, url: str, key: str) -> None:
    assert check_mode(mode, url, key) is None


@pytest.mark.parametrize(
    ("mode", "url", "key"),
    [
        ("live", PAPER, "AK123"),
        ("live", LIVE, "PK123"),
        ("live", "http://api.alpaca.markets", "AK123"),
        ("live", "https://api.alpaca.markets@evil.example", "AK123"),
        ("live", "https://api.alpaca.markets.evil.example", "AK123"),
        ("live", "https://api.alpaca.markets:8443", "AK123"),
        ("live", "http://127.0.0.1:8765", "AK123"),
        ("paper", LIVE, "PK123"),
        ("paper", PAPER, "AK123"),
        ("paper", "http://127.0.0.1:8765", "PK123"),
        ("practice", LIVE, "AK123"),
        ("practice", PAPER, "PK123"),
        ("practice", "http://192.168.0.7:8765", "practice"),
        ("practice", "http://localhost.evil.example", "practice"),
        ("practice", "", "practice"),
        ("sandbox", PAPER, "PK123"),
        ("", LIVE, "AK123"),
    ],
)
def test_fm_67_what_does_not_belong_together_arms_nothing(mode: str, url: str, key: str) -> None:
    with pytest.raises(NotArmed):
        check_mode(mode, url, key)

    with pytest.raises(NotArmed):
        AlpacaBroker(ACCOUNT, mode, url, key, SECRET)


def test_a_wrong_key_is_not_printed() -> None:
    with pytest.raises(NotArmed) as error:
        check_mode("live", LIVE, "PKSECRETLOOKING")

    assert "SECRETLOOKING" not in str(error.value)


def test_another_account_arms_nothing() -> None:
    with pytest.raises(NotArmed, match="PA999"):
        check_account("paper", ACCOUNT, "PA999")


def test_fm_67_an_order_for_another_account_is_not_sent(server: Scripted, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account", Reply(account_row(account_number="PA999")))

    with pytest.raises(NotArmed, match="PA999"):
        broker.submit(an_order((LONG, 1), limit="-1.25"))

    assert server.count("POST", "/v2/orders") == 0


def test_an_order_is_not_sent_while_the_account_cannot_be_verified(
    server: Scripted, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/account", Reply({"message": "down"}, 503))

    with pytest.raises(ProviderUnavailable):
        broker.submit(an_order((LONG, 1), limit="-1.25"))

    assert server.count("POST", "/v2/orders") == 0


def test_the_mode_is_checked_again_at_every_send(server: Scripted, broker: AlpacaBroker) -> None:
    broker._mode = "live"

    with pytest.raises(NotArmed):
        broker.submit(an_order((LONG, 1), limit="-1.25"))

    assert server.sent == []


def test_the_registry_opens_a_broker_by_name(server: Scripted) -> None:
    broker = open_broker(account=AccountId("X"), mode="practice", base_url=server.url, key="k", secret="s")

    assert (broker.account_id, broker.mode) == ("X", "practice")


def test_the_registry_names_what_it_has() -> None:
    with pytest.raises(ConfigError, match="alpaca"):
        open_broker(
            account=ACCOUNT, mode="practice", base_url="http://127.0.0.1:1", key="k", secret="s", name="acme"
        )


def test_a_deadline_must_be_a_deadline() -> None:
    with pytest.raises(ConfigError, match="deadline_seconds"):
        AlpacaBroker(ACCOUNT, "practice", "http://127.0.0.1:1", "k", "s", deadline_seconds=0)

"""One settings model, read once by ``tasks/wiring.py`` and the command line, and by nothing else."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .domain.errors import ConfigError
from .domain.ids import AccountId

PRACTICE_URL = "http://127.0.0.1:8765"
PRACTICE_KEY = ("practice-key", "practice-secret")
"""What the practice exchange takes unless it is started with other keys."""
PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"
POLYGON_URL = "https://api.massive.com"
ALPHA_VANTAGE_URL = "https://www.alphavantage.co"


class Mode(StrEnum):
    PRACTICE = "practice"
    PAPER = "paper"
    LIVE = "live"


class HardLossKind(StrEnum):
    """What the desk does past the hard limit on a day's loss."""

    PAUSE = "pause"
    FLATTEN = "flatten"


class Settings(BaseSettings):
    """Everything that differs between machines. Names are environment variables, read also from ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix="WSB_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    mode: Mode = Field(Mode.PRACTICE, description="practice (default), paper or live")
    account: str = Field("PRACTICE", min_length=1, description="account number at the broker")
    database_url: str = Field("sqlite:///var/ledger.db", description="SQLAlchemy address of the ledger")
    practice_url: str = Field(PRACTICE_URL, description="where the practice exchange listens")
    trader: str = Field(
        default_factory=socket.gethostname, description="who holds the trader lease: one per installation"
    )
    data_sources: tuple[str, ...] = Field(
        ("alpaca",),
        min_length=1,
        description="alpaca, polygon, yahoo, alpha_vantage, replay; the most trusted first",
    )
    history_dir: Path = Field(Path("var/history"), description="where bars, chains and calendars are kept")
    calendar_max_age_hours: int = Field(
        24, ge=1, le=336, description="oldest answer of an earnings calendar that still says anything"
    )
    stock_feed: str = Field("sip", description="sip (needs the plan) or iex")
    option_feed: str = Field("opra", description="opra (needs the plan) or indicative")
    deadline_seconds: float = Field(10.0, gt=0, le=60, description="longest wait for one vendor call")
    lease_seconds: int = Field(120, ge=60, le=3600, description="life of the trader lease between renewals")
    lease_wait_seconds: int = Field(
        30, ge=0, le=600, description="how long a second installation waits for the trader lease"
    )
    approval_above: Decimal | None = Field(
        None, ge=0, description="dollars of notional above which an entry asks a person; empty: never"
    )
    approval_seconds: int = Field(300, ge=10, le=600, description="how long that question waits for a yes")
    hard_loss_kind: HardLossKind = Field(
        HardLossKind.PAUSE, description="pause or flatten: what a day's hard loss limit does"
    )
    market_gauge: str = Field("SPY", description="whose bars show a volatility spike or unusual volume")
    sectors_file: Path | None = Field(
        None, description="YAML of sector: [tickers]; default: the list that comes with the program"
    )
    known_gaps: tuple[date, ...] = Field((), description="sessions that the data source is known not to have")
    reconcile_max_age_minutes: int = Field(
        20, ge=1, le=1440, description="oldest clean reconciliation that lets an entry through"
    )
    alpaca_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("ALPACA_API_KEY"))
    alpaca_secret_key: SecretStr | None = Field(None, validation_alias=AliasChoices("ALPACA_SECRET_KEY"))
    polygon_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("POLYGON_API_KEY", "MASSIVE_API_KEY")
    )
    polygon_url: str = Field(POLYGON_URL, description="host of Polygon, which is called Massive now")
    polygon_feed: str = Field("delayed", description="realtime or delayed: what the plan gives")
    polygon_requests_a_minute: int | None = Field(
        5, ge=1, description="what the plan allows; empty for a plan without limit"
    )
    alpha_vantage_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("ALPHA_VANTAGE_API_KEY")
    )
    slack_token: SecretStr | None = Field(None, validation_alias=AliasChoices("SLACK_BOT_TOKEN"))
    slack_channel: str = Field("#trading", validation_alias=AliasChoices("SLACK_CHANNEL"))
    slack_webhook: SecretStr | None = Field(None, validation_alias=AliasChoices("SLACK_WEBHOOK_URL"))
    slack_base_url: str | None = Field(None, validation_alias=AliasChoices("SLACK_BASE_URL"))

    @property
    def broker_url(self) -> str:
        """The trading host that belongs to the mode; there is no way to mix them."""
        return {Mode.PRACTICE: self.practice_url, Mode.PAPER: PAPER_URL, Mode.LIVE: LIVE_URL}[self.mode]

    def keys(self) -> tuple[str, str]:
        """API key and secret.

        Raises: ConfigError naming the missing variable; the practice exchange needs none.
        """
        if self.mode is Mode.PRACTICE:
            return PRACTICE_KEY
        found = []
        for name, value in (
            ("ALPACA_API_KEY", self.alpaca_api_key),
            ("ALPACA_SECRET_KEY", self.alpaca_secret_key),
        ):
            if value is None or not value.get_secret_value():
                raise ConfigError(
                    f"{name} is not set; mode {self.mode} needs it: put it into .env or the environment"
                )
            found.append(value.get_secret_value())
        return (found[0], found[1])

    def secrets(self) -> tuple[str, ...]:
        """Values that no message and no log may show."""
        held = [getattr(self, name) for name in type(self).model_fields]
        return tuple(value.get_secret_value() for value in held if isinstance(value, SecretStr))

    def broker_access(self) -> dict[str, Any]:
        """What ``brokers.open_broker`` has to be told.

        Raises: ConfigError when a key is missing.
        """
        key, secret = self.keys()
        return {
            "account": AccountId(self.account),
            "mode": self.mode,
            "base_url": self.broker_url,
            "key": key,
            "secret": secret,
            "deadline_seconds": self.deadline_seconds,
        }

    def source_access(self, source: str) -> dict[str, Any]:
        """What ``providers.open_source`` has to be told of ``source``.

        In practice all of them are the practice exchange, which speaks each one's language.
        Raises: ConfigError when a key is missing.
        """
        practice, deadline = self.mode is Mode.PRACTICE, {"deadline_seconds": self.deadline_seconds}
        if source == "replay":
            # Imported late: settings are read by commands that touch no history.
            from .market.history import HistoryStore

            return {"store": HistoryStore(self.history_dir), "now": lambda: datetime.now(UTC)}
        if source == "yahoo":
            return {"practice_url": self.practice_url if practice else None, **deadline}
        if source == "polygon":
            return {
                "base_url": self.practice_url if practice else self.polygon_url,
                "key": self._key("POLYGON_API_KEY or MASSIVE_API_KEY", self.polygon_api_key),
                "stock_feed": self.polygon_feed,
                "option_feed": self.polygon_feed,
                "requests_a_minute": None if practice else self.polygon_requests_a_minute,
                "practice": practice,
                **deadline,
            }
        if source == "alpha_vantage":
            return {
                "base_url": self.practice_url if practice else ALPHA_VANTAGE_URL,
                "key": self._key("ALPHA_VANTAGE_API_KEY", self.alpha_vantage_api_key),
                "practice": practice,
                **deadline,
            }
        key, secret = self.keys()
        return {
            "base_url": self.practice_url if practice else DATA_URL,
            "trading_url": self.broker_url,
            "key": key,
            "secret": secret,
            "stock_feed": self.stock_feed,
            "option_feed": self.option_feed,
            "practice": practice,
            **deadline,
        }

    def _key(self, name: str, value: SecretStr | None) -> str:
        if self.mode is Mode.PRACTICE:
            return PRACTICE_KEY[0]
        if value is None or not value.get_secret_value():
            raise ConfigError(f"{name} is not set; this source needs it: put it into .env or the environment")
        return value.get_secret_value()


def read_settings(env_file: Path | None = None) -> Settings:
    """Settings from the environment and ``.env``.

    Raises: ConfigError naming every bad field, its value and what is allowed.
    """
    try:
        return Settings(_env_file=env_file) if env_file else Settings()
    except ValidationError as error:
        lines = []
        for item in error.errors():
            field = str(item["loc"][0])
            name = field if field.isupper() else f"WSB_{field.upper()}"
            lines.append(f"{name}={item['input']!r}: {item['msg']}")
        raise ConfigError("bad settings: " + "; ".join(lines)) from None

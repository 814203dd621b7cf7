"""What was quoted at one ``as_of``, and where every number came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from .checks import Passed
from .contracts import Instrument, OptionContract, Right, Share
from .ids import Price, Underlying

if TYPE_CHECKING:
    import pandas as pd

    from .events import Announcement


class FeedClass(StrEnum):
    """How far a number may be trusted, best first."""

    REALTIME = "realtime"
    DELAYED = "delayed"
    INDICATIVE = "indicative"
    REPLAYED = "replayed"
    MODELLED = "modelled"


def require_aware(instant: datetime, name: str = "as_of") -> datetime:
    """``instant`` itself; ValueError when it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{name} must be timezone-aware, not {instant!r}")
    return instant


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number came from and when it was true. Travels into the decision record.

    ``passed_over`` are the sources that were asked first, each with the reason it was not taken.
    """

    source: str
    feed: FeedClass
    as_of: datetime
    passed_over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_aware(self.as_of)

    def age(self, now: datetime) -> timedelta:
        return now - self.as_of


@dataclass(frozen=True, slots=True)
class Quote:
    """A two-sided quote in dollars per share. A side that was not quoted is None, never 0."""

    instrument: Instrument
    bid: Price | None
    ask: Price | None
    bid_size: int
    ask_size: int
    provenance: Provenance

    def __post_init__(self) -> None:
        for name, side in (("bid", self.bid), ("ask", self.ask)):
            if side is not None and side <= 0:
                raise ValueError(f"{self.instrument.symbol}: {name} must be positive or None, not {side}")

    @property
    def two_sided(self) -> bool:
        """Both sides are there and not crossed."""
        return self.bid is not None and self.ask is not None and self.bid <= self.ask

    @property
    def mid(self) -> Price | None:
        """Arithmetic middle; None unless two-sided."""
        if self.bid is None or self.ask is None or self.bid > self.ask:
            return None
        return Price((self.bid + self.ask) / 2)

    @property
    def spread(self) -> Price | None:
        if self.bid is None or self.ask is None:
            return None
        return Price(self.ask - self.bid)


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """A contract's quote with what the vendor says of it. None is "not given", with no default."""

    quote: Quote
    iv: float | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    open_interest: int | None = None
    volume: int | None = None

    @property
    def contract(self) -> OptionContract:
        instrument = self.quote.instrument
        if not isinstance(instrument, OptionContract):
            raise TypeError(f"{instrument.symbol} is not an option contract")
        return instrument

    @property
    def bid(self) -> Price | None:
        return self.quote.bid

    @property
    def ask(self) -> Price | None:
        return self.quote.ask

    @property
    def mid(self) -> Price | None:
        return self.quote.mid

    @property
    def relative_spread(self) -> float | None:
        """Spread over mid; None unless two-sided."""
        if self.quote.mid is None or self.quote.spread is None:
            return None
        return float(self.quote.spread / self.quote.mid)


@dataclass(frozen=True, slots=True)
class Chain:
    """Every quoted contract of one underlying at one instant, with narrowing views."""

    underlying: Underlying
    quotes: tuple[OptionQuote, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        if any(quote.contract.underlying != self.underlying for quote in self.quotes):
            raise ValueError(f"chain of {self.underlying} holds contracts of another underlying")

    def __iter__(self) -> Iterator[OptionQuote]:
        return iter(self.quotes)

    def __len__(self) -> int:
        return len(self.quotes)

    def only(self, quotes: Iterable[OptionQuote]) -> Chain:
        return Chain(self.underlying, tuple(quotes), self.provenance)

    def calls(self) -> Chain:
        return self.only(quote for quote in self.quotes if quote.contract.right is Right.CALL)

    def puts(self) -> Chain:
        return self.only(quote for quote in self.quotes if quote.contract.right is Right.PUT)

    def expiring(self, expiry: date) -> Chain:
        return self.only(quote for quote in self.quotes if quote.contract.expiry == expiry)

    def expiries(self) -> tuple[date, ...]:
        return tuple(sorted({quote.contract.expiry for quote in self.quotes}))

    def get(self, contract: OptionContract) -> OptionQuote | None:
        """The quote of exactly this contract; None when it is not in the chain."""
        return next((quote for quote in self.quotes if quote.contract == contract), None)


@dataclass(frozen=True, slots=True)
class Events:
    """What is known at ``as_of`` about dates that move one underlying. Unknown is None, not "none"."""

    earnings: tuple[Announcement, ...] | None
    """Announcements near now, by day; None when no source could say."""
    since: date = date.min
    """The first day of which ``earnings`` tells; a report before it would not be known."""
    ex_dividend: date | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """One underlying as seen at ``as_of``. Exists only with the proof that its data passed the checks.

    ``bars`` are daily, completed sessions before today's, oldest first, columns
    open high low close volume, adjusted for splits and dividends; empty where a decision needs no
    history (exits). ``today`` is the session so far (same columns), apart because it is not a
    completed bar.
    """

    underlying: Underlying
    as_of: datetime
    session: date
    spot: Quote
    bars: pd.DataFrame
    today: pd.Series[float] | None
    chain: Chain
    events: Events
    proofs: tuple[Passed, ...]
    iv_percentile: float | None = None
    """Share (0-100) of stored days with a lower 30-day ATM IV; None while history is insufficient."""

    def __post_init__(self) -> None:
        require_aware(self.as_of)
        suites = {proof.suite for proof in self.proofs}
        missing = ({"bars", "option_chain"} if len(self.bars) else {"option_chain"}) - suites
        if missing:
            raise ValueError(f"market of {self.underlying} lacks a passed check of {sorted(missing)}")
        if any(not isinstance(proof, Passed) for proof in self.proofs):
            raise TypeError("a market's proofs come from a passed data check")
        if self.spot.instrument != Share(self.underlying):
            raise ValueError(f"spot of {self.underlying} is a quote of {self.spot.instrument.symbol}")
        if self.spot.mid is None:
            raise ValueError(f"{self.underlying} has no two-sided quote at {self.as_of}")

    @property
    def spot_mid(self) -> Price:
        mid = self.spot.mid
        if mid is None:
            raise ValueError(f"{self.underlying} has no two-sided quote at {self.as_of}")
        return mid

    def quote(self, instrument: Instrument) -> Quote | None:
        """The quote of a share or a contract of this underlying; None when there is none."""
        if isinstance(instrument, OptionContract):
            found = self.chain.get(instrument)
            return found.quote if found else None
        return self.spot if instrument == self.spot.instrument else None

    def prices(
        self, instruments: Iterable[Instrument], side: str = "mid"
    ) -> Mapping[Instrument, Price] | None:
        """Mid, bid or ask of every instrument; None when any one is missing: all legs or no price."""
        found: dict[Instrument, Price] = {}
        for instrument in instruments:
            quote = self.quote(instrument)
            value = getattr(quote, side) if quote is not None else None
            if not isinstance(value, Decimal):
                return None
            found[instrument] = Price(value)
        return found

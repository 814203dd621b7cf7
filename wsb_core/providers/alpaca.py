"""``MarketData`` over Alpaca's market data API, with open interest from its trading API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import OptionContract, Right, Share, parse_occ
from wsb_core.domain.errors import BadResponse, ConfigError, NotArmed
from wsb_core.domain.events import CorporateAction, Headline, Renamed, effective
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.vendors.alpaca_actions import actions_of, headline_of
from wsb_core.vendors.alpaca_http import AlpacaHttp
from wsb_core.vendors.alpaca_rows import Row, row_of, rows_of, utc_text
from wsb_core.vendors.hosts import is_loopback

if TYPE_CHECKING:
    import pandas as pd

STOCK_FEEDS: Mapping[str, FeedClass] = {
    "sip": FeedClass.REALTIME,
    "iex": FeedClass.REALTIME,
    "delayed_sip": FeedClass.DELAYED,
}
OPTION_FEEDS: Mapping[str, FeedClass] = {
    "opra": FeedClass.REALTIME,
    "indicative": FeedClass.INDICATIVE,
}
COLUMNS = ("open", "high", "low", "close", "volume")
_FEED_HEADER = "X-WSB-Feed"
_TRUST = tuple(FeedClass)
REQUESTS_A_MINUTE = 200
"""Of the free plan; a paid one has more."""
LONGEST_TO_PAY = timedelta(days=120)
"""From a dividend's ex-date to the day it is paid and processed."""
_SYMBOLS_A_CALL = 200
"""Keeps the address line well below what gateways accept."""


class AlpacaData:
    """Quotes, bars and chains of one subscription.

    ``trading_url`` is where contracts (open interest) and the clock are asked: its own host at the
    vendor, the same as ``base_url`` on the practice exchange. Every number carries the feed it came
    from; an exchange that says its prices are replayed or modelled is believed over the settings.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        secret: str,
        *,
        trading_url: str,
        stock_feed: str,
        option_feed: str,
        practice: bool,
        deadline_seconds: float = 10.0,
    ) -> None:
        """Raises: ConfigError for a feed the vendor does not have, NotArmed for a host on this machine
        that is not called practice. Sends nothing."""
        from alpaca.data.historical import NewsClient, OptionHistoricalDataClient, StockHistoricalDataClient
        from alpaca.data.historical.corporate_actions import CorporateActionsClient
        from alpaca.trading.client import TradingClient

        for name, feed, known in (
            ("stock_feed", stock_feed, STOCK_FEEDS),
            ("option_feed", option_feed, OPTION_FEEDS),
        ):
            if feed not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, not {feed!r}")
        if is_loopback(base_url) and not practice:
            raise NotArmed(
                f"{base_url} is on this machine: its prices are practice, not {stock_feed}; say practice"
            )
        self._stock_feed, self._option_feed, self._practice = stock_feed, option_feed, practice
        self._deadline = deadline_seconds
        data_url = base_url.rstrip("/")

        def http(client: type, url: str) -> AlpacaHttp:
            opened = client(key, secret, raw_data=True, url_override=url)
            return AlpacaHttp(opened, secrets=(secret, key), deadline_seconds=deadline_seconds)

        self._stocks = http(StockHistoricalDataClient, data_url)
        self._options = http(OptionHistoricalDataClient, data_url)
        self._trading = http(TradingClient, trading_url.rstrip("/"))
        self._events = http(CorporateActionsClient, data_url)
        self._news = http(NewsClient, data_url)

    def __repr__(self) -> str:
        return f"AlpacaData(stock_feed={self._stock_feed!r}, option_feed={self._option_feed!r})"

    @property
    def name(self) -> str:
        return "alpaca"

    @property
    def services(self) -> Mapping[DataKind, Service]:
        """Bars and quotes are of the share feed's class, chains of the option feed's."""
        per_minute = None if self._practice else REQUESTS_A_MINUTE
        shares = Service(self._stock_class(None), per_minute, self._deadline)
        chains = Service(self._option_class(None), per_minute, self._deadline)
        return {
            DataKind.BARS: shares,
            DataKind.RAW_BARS: shares,
            DataKind.TODAY: shares,
            DataKind.QUOTES: shares,
            DataKind.CHAIN: chains,
            DataKind.ACTIONS: shares,
            DataKind.NEWS: shares,
        }

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars of completed sessions, adjusted for splits and dividends; today's only after its close.

        Raises: as every read of ``AlpacaHttp``; nothing partial is returned.
        """
        return self._daily(symbols, first, last, "all")

    def raw_bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars of completed sessions as they were traded. Raises as ``bars``."""
        return self._daily(symbols, first, last, "raw")

    def _daily(self, symbols: Sequence[Underlying], first: date, last: date, adjustment: str) -> Bars:
        now, newest = self._newest_complete_day()
        last = min(last, newest)
        found: dict[Underlying, list[Row]] = {}
        if first <= last:
            params = {
                "timeframe": "1Day",
                "start": _midnight(first),
                # A minute past the last bar's own stamp, so that it is in whichever way the end is read.
                "end": _midnight(last, minutes=1),
                "adjustment": adjustment,
                "feed": self._stock_feed,
                "sort": "asc",
                "limit": 10_000,
            }
            for part in _parts(symbols):
                asked = {**params, "symbols": ",".join(part)}
                for page in self._stocks.pages("/stocks/bars", asked, "bars"):
                    for symbol, rows in row_of("bars", page).fields.items():
                        found.setdefault(Underlying(symbol), []).extend(
                            rows_of(f"bar of {symbol}", rows, "t")
                        )
        missing = _unanswered(
            symbols, found, f"no daily bar from {first} to {last} on feed {self._stock_feed}"
        )
        records = [_bar(symbol, row) for symbol in symbols for row in found.get(symbol, ())]
        kept = [record for record in records if first <= record["session"] <= last]
        return Bars(_frame(kept), adjustment == "all", self._stock_provenance(now), missing)

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """The session so far; a symbol whose newest daily bar is of an earlier day is missing, and named."""
        now = self._now()
        day = now.astimezone(NEW_YORK).date()
        records, missing = [], []
        for symbol, snapshot in self._each(symbols, "/stocks/snapshots", None):
            bar = None if snapshot is None else snapshot.child("dailyBar")
            record = None if bar is None else _bar(symbol, bar)
            if record is None or record["session"] != day:
                told = "none" if record is None else f"of {record['session']}"
                missing.append(Missing(symbol, f"no bar of {day} yet; the newest daily bar is {told}"))
            else:
                records.append(record)
        return Bars(_frame(records), True, self._stock_provenance(now), tuple(missing))

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        """The latest quote of each symbol with its own time; a side quoted at 0 is None."""
        found: dict[Underlying, Quote | Missing] = {}
        for symbol, row in self._each(symbols, "/stocks/quotes/latest", "quotes"):
            if row is None:
                found[symbol] = Missing(symbol, f"no quote on feed {self._stock_feed}")
            else:
                provenance = self._stock_provenance(row.instant("t"))
                found[symbol] = _quote(Share(symbol), row, provenance)
        return found

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """Contracts expiring inside the window counted from ``on``, each with its own quote's time.

        A listed contract that was not quoted is in it, without a price; what the vendor left out
        (greeks, volatility, open interest) is None. The chain's instant is its newest quote's.
        Raises: as every read of ``AlpacaHttp``; a chain that could not be read whole is not returned.
        """
        expiries = {
            "expiration_date_gte": (on + timedelta(days=window.min_dte)).isoformat(),
            "expiration_date_lte": (on + timedelta(days=window.max_dte)).isoformat(),
        }
        if len(set(window.rights)) == 1:
            expiries["type"] = "call" if window.rights[0] is Right.CALL else "put"
        listed = self._listed(underlying, expiries)
        snapshots = self._snapshots(underlying, expiries)
        quotes = {symbol: snapshot.child("latestQuote") for symbol, snapshot in snapshots.items()}
        times = {symbol: row.instant("t") for symbol, row in quotes.items() if row is not None}
        newest = self._option_provenance(max(times.values()) if times else self._now())
        chain = []
        for symbol in sorted(listed.keys() | snapshots.keys()):
            contract = _contract(underlying, symbol, listed.get(symbol))
            provenance = replace(newest, as_of=times.get(symbol, newest.as_of))
            quote = _quote(contract, quotes.get(symbol), provenance)
            chain.append(_option_quote(quote, snapshots.get(symbol), listed.get(symbol), on))
        return Chain(
            underlying, tuple(each for each in chain if each.contract.right in window.rights), newest
        )

    def corporate_actions(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[CorporateAction, ...] | Missing]:
        """Announced and past actions that take effect in the span, by day; every symbol is answered for.

        Raises: as every read of ``AlpacaHttp``.
        """
        found: dict[Underlying, list[CorporateAction]] = {symbol: [] for symbol in symbols}
        provenance = self._stock_provenance(self._now())
        for part in _parts(symbols):
            # The span is of the day an action is processed, which for a dividend is its payment.
            processed = {"start": first.isoformat(), "end": (last + LONGEST_TO_PAY).isoformat()}
            params = {**processed, "symbols": ",".join(part), "limit": 1_000}
            for page in self._events.pages("/corporate-actions", params, "corporate_actions"):
                for action in actions_of(row_of("corporate actions", page), provenance):
                    if first <= effective(action) <= last:
                        name = action.old if isinstance(action, Renamed) else action.underlying
                        found.setdefault(name, []).append(action)
        return {symbol: tuple(sorted(found[symbol], key=effective)) for symbol in symbols}

    def news(self, symbols: Sequence[Underlying], since: datetime) -> tuple[Headline, ...]:
        """Items that were written or changed at or after ``since``, oldest first.

        Raises: as every read of ``AlpacaHttp``.
        """
        found: dict[str, Headline] = {}
        for part in _parts(symbols):
            params = {"start": utc_text(since), "symbols": ",".join(part), "sort": "asc", "limit": 50}
            for page in self._news.pages("/news", params, "news"):
                for row in rows_of("news", page, "id"):
                    item = headline_of(row, self._source("news"), self._stock_class(None))
                    found[item.id] = item
        return tuple(sorted(found.values(), key=lambda item: (item.at, item.id)))

    def _listed(self, underlying: Underlying, expiries: Mapping[str, str]) -> dict[str, Row]:
        """Contracts by symbol. Both ends of the expiries are always sent: without the later one the vendor
        answers with this week's contracts alone, and does not say so."""
        params = {**expiries, "underlying_symbols": underlying, "status": "active", "limit": 10_000}
        pages = self._trading.pages("/options/contracts", params, "option_contracts")
        rows = (row for page in pages for row in rows_of("contract", page, "symbol"))
        return {row.text("symbol"): row for row in rows}

    def _snapshots(self, underlying: Underlying, expiries: Mapping[str, str]) -> dict[str, Row]:
        path = f"/options/snapshots/{url_quote(underlying, safe='')}"
        params = {**expiries, "feed": self._option_feed, "limit": 1_000}
        pages = self._options.pages(path, params, "snapshots")
        items = (item for page in pages for item in row_of("snapshots", page).fields.items())
        return {symbol: row_of(f"snapshot of {symbol}", value) for symbol, value in items}

    def _each(
        self, symbols: Sequence[Underlying], path: str, key: str | None
    ) -> Iterator[tuple[Underlying, Row | None]]:
        """Every symbol that was asked for, with its object, or None when it did not come."""
        for part in _parts(symbols):
            answer = self._stocks.get(path, {"symbols": ",".join(part), "feed": self._stock_feed})
            body = row_of(path, answer)
            told = body if key is None else body.child(key)
            if told is None:
                raise BadResponse(f"GET {path}: the answer has no {key!r}; it is unknown, not empty")
            for symbol in part:
                yield symbol, told.child(symbol)

    def _now(self) -> datetime:
        return row_of("clock", self._trading.get("/clock")).instant("timestamp")

    def _newest_complete_day(self) -> tuple[datetime, date]:
        """The broker's time, and today once its session is over (yesterday until then)."""
        clock = row_of("clock", self._trading.get("/clock"))
        now = clock.instant("timestamp")
        today = now.astimezone(NEW_YORK).date()
        opens = clock.instant("next_open").astimezone(NEW_YORK).date()
        unfinished = clock.flag("is_open") or opens == today
        return now, today - timedelta(days=1) if unfinished else today

    def _stock_provenance(self, as_of: datetime) -> Provenance:
        grade = self._stock_class(self._stocks.header(_FEED_HEADER))
        return Provenance(self._source(self._stock_feed), grade, as_of)

    def _option_provenance(self, as_of: datetime) -> Provenance:
        grade = self._option_class(self._options.header(_FEED_HEADER))
        return Provenance(self._source(self._option_feed), grade, as_of)

    def _source(self, feed: str) -> str:
        return "practice exchange" if self._practice else f"alpaca {feed}"

    def _stock_class(self, said: str | None) -> FeedClass:
        own = FeedClass.REPLAYED if self._practice else STOCK_FEEDS[self._stock_feed]
        return own if said is None else _lesser(own, _feed_class(said))

    def _option_class(self, said: str | None) -> FeedClass:
        own = FeedClass.MODELLED if self._practice else OPTION_FEEDS[self._option_feed]
        return own if said is None else _lesser(own, _feed_class(said))


def _lesser(one: FeedClass, other: FeedClass) -> FeedClass:
    return max(one, other, key=_TRUST.index)


def _feed_class(said: str) -> FeedClass:
    """What an exchange says of its own prices; words we do not know are trusted least."""
    try:
        return FeedClass(said.strip().lower())
    except ValueError:
        return _TRUST[-1]


def _parts(symbols: Sequence[Underlying]) -> Iterator[Sequence[Underlying]]:
    for start in range(0, len(symbols), _SYMBOLS_A_CALL):
        yield symbols[start : start + _SYMBOLS_A_CALL]


def _midnight(day: date, minutes: int = 0) -> str:
    return utc_text(datetime.combine(day, time(minute=minutes), NEW_YORK))


def _unanswered(
    symbols: Sequence[Underlying], found: Mapping[Underlying, Any], reason: str
) -> tuple[Missing, ...]:
    return tuple(Missing(symbol, reason) for symbol in symbols if not found.get(symbol))


def _bar(symbol: Underlying, row: Row) -> dict[str, Any]:
    """A daily bar; the vendor stamps it with midnight in New York."""
    values = zip(COLUMNS, (float(row.number(name)) for name in "ohlcv"), strict=True)
    stamp = row.instant("t").astimezone(NEW_YORK)
    if stamp.time() != time():
        raise row.bad("t", "midnight in New York, so this is no daily bar")
    return {"symbol": str(symbol), "session": stamp.date(), **dict(values)}


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(records), columns=["symbol", "session", *COLUMNS])
    frame["session"] = pd.to_datetime(frame["session"]).astype("datetime64[ns]")
    frame = frame.astype(dict.fromkeys(COLUMNS, "float64"))
    twice = frame[frame.duplicated(["symbol", "session"])]
    if len(twice):
        symbol, session = twice.iloc[0][["symbol", "session"]]
        raise BadResponse(
            f"bars: {symbol} has two bars of {session:%Y-%m-%d}; nothing of this answer is used"
        )
    return frame.sort_values(["symbol", "session"], ignore_index=True)


def _quote(instrument: Share | OptionContract, row: Row | None, provenance: Provenance) -> Quote:
    if row is None:
        return Quote(instrument, None, None, 0, 0, provenance)
    sides = []
    for name in ("bp", "ap"):
        price = row.number(name)
        if price < 0:
            raise row.bad(name, "a price, or 0 for no such side")
        sides.append(Price(price) if price else None)
    return Quote(instrument, sides[0], sides[1], row.whole("bs"), row.whole("as"), provenance)


def _contract(underlying: Underlying, symbol: str, listing: Row | None) -> OptionContract:
    """The contract a symbol names; not standard when its listing says it delivers something else than 100."""
    try:
        contract = parse_occ(symbol)
    except ValueError:
        raise BadResponse(f"chain of {underlying}: {symbol!r} is not an option symbol") from None
    if contract.underlying != underlying:
        raise BadResponse(f"chain of {underlying}: {symbol} is a contract on {contract.underlying}")
    if listing is not None:
        sizes = (listing.optional_number("multiplier"), listing.optional_number("size"))
        if any(size not in (None, contract.multiplier) for size in sizes):
            return replace(contract, standard=False)
    return contract


def _option_quote(quote: Quote, snapshot: Row | None, listing: Row | None, on: date) -> OptionQuote:
    interest = None if listing is None else listing.optional_number("open_interest")
    greeks = None if snapshot is None else snapshot.child("greeks")
    bar = None if snapshot is None else snapshot.child("dailyBar")
    traded = bar is not None and bar.instant("t").astimezone(NEW_YORK).date() == on

    def greek(name: str) -> float | None:
        return None if greeks is None else _estimate(greeks, name)

    return OptionQuote(
        quote=quote,
        iv=None if snapshot is None else _estimate(snapshot, "impliedVolatility"),
        delta=greek("delta"),
        gamma=greek("gamma"),
        theta=greek("theta"),
        vega=greek("vega"),
        open_interest=None if interest is None else int(interest),
        volume=bar.whole("v") if bar is not None and traded else None,
    )


def _estimate(row: Row, name: str) -> float | None:
    """A model's number; None when the vendor gave none. A volatility of 0 is no volatility."""
    value = row.optional_number(name)
    if value is None or (name == "impliedVolatility" and value <= 0):
        return None
    return float(value)

"""Bars, quotes, chains and dated events from Polygon (since 2025 Massive), over polygon-api-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from wsb_core.domain.calendar import NEW_YORK, Session, session_on
from wsb_core.domain.contracts import OptionContract, Right, Share
from wsb_core.domain.errors import BadResponse, ConfigError, NotArmed
from wsb_core.domain.events import CashDividend, CorporateAction, EarningsDate, ReportTime, Split, Yields
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import Chain, FeedClass, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.vendors import polygon_rows as rows
from wsb_core.vendors.alpaca_rows import Row
from wsb_core.vendors.polygon_bars import bar_values, bars_frame, daily_bar, without_dividends
from wsb_core.vendors.polygon_options import OptionSnapshot, option_quote, option_snapshot
from wsb_core.vendors.polygon_rows import INDICES, NANOS, lesser, ticker

if TYPE_CHECKING:
    from wsb_core.vendors.polygon_http import Page

FEEDS = (FeedClass.REALTIME, FeedClass.DELAYED)
"""What a plan can be: its prices are of now, or 15 minutes old."""
FREE_REQUESTS_A_MINUTE = 5
YIELD_TENORS: Mapping[str, float] = {
    "yield_1_month": 1 / 12,
    "yield_3_month": 0.25,
    "yield_6_month": 0.5,
    "yield_1_year": 1.0,
    "yield_2_year": 2.0,
    "yield_3_year": 3.0,
    "yield_5_year": 5.0,
    "yield_7_year": 7.0,
    "yield_10_year": 10.0,
    "yield_20_year": 20.0,
    "yield_30_year": 30.0,
}
_SHARES = (DataKind.BARS, DataKind.RAW_BARS, DataKind.TODAY, DataKind.QUOTES)
_SYMBOLS_A_CALL = 200
"""Keeps the address line well below what gateways accept."""
_CHAIN_PATIENCE = 6
"""A chain is dozens of pages: it may take this many deadlines, each page one at most."""
_SETTLED = timedelta(minutes=20)
"""How long after the close a daily bar still changes: the official close comes late, delayed prices later."""
_HALF_A_YEAR = timedelta(days=183)
_YIELDS_TAKEN = time(15, 30)
"""Source: US Treasury, par yields are of bid prices at about 3:30 PM in New York."""


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """The vendor's own time, and whether the regular session is on."""

    at: datetime
    is_open: bool


class PolygonData:
    """What one plan of Polygon's serves; on the practice exchange the same in the same words.

    Bars, dividends and splits take a request or more for each symbol. A deadline bounds one request;
    for chains, which are many pages, ``_CHAIN_PATIENCE`` of them bound the whole.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        stock_feed: str,
        option_feed: str,
        practice: bool,
        requests_a_minute: int | None = FREE_REQUESTS_A_MINUTE,
        deadline_seconds: float = 10.0,
    ) -> None:
        """``requests_a_minute`` is the plan's; None for a paid one, which has no limit. Sends nothing.

        Raises: ConfigError for a feed that no plan has, no key, or no host; NotArmed for a host on this
        machine that is not called practice.
        """
        from wsb_core.vendors.hosts import is_loopback
        from wsb_core.vendors.polygon_http import PolygonHttp

        for name, feed in (("stock_feed", stock_feed), ("option_feed", option_feed)):
            if feed not in FEEDS:
                raise ConfigError(f"{name} must be one of {', '.join(FEEDS)}, not {feed!r}")
        if is_loopback(base_url) and not practice:
            raise NotArmed(
                f"{base_url} is on this machine: its prices are practice, not {stock_feed}; say practice"
            )
        self._stock_feed, self._option_feed = FeedClass(stock_feed), FeedClass(option_feed)
        self._practice, self._deadline = practice, deadline_seconds
        self._per_minute = None if practice else requests_a_minute
        self._http = PolygonHttp(key, base_url, deadline_seconds=deadline_seconds)

    def __repr__(self) -> str:
        return f"PolygonData(stock_feed={self._stock_feed.value!r}, option_feed={self._option_feed.value!r})"

    @property
    def name(self) -> str:
        return "polygon"

    @property
    def services(self) -> Mapping[DataKind, Service]:
        """Bars and quotes are of the share plan's class, chains of the option plan's, dated facts delayed."""

        def service(kind: DataKind, deadlines: int = 1) -> Service:
            return Service(self._class(kind), self._per_minute, deadlines * self._deadline)

        dated = (DataKind.EARNINGS, DataKind.ACTIONS, DataKind.YIELDS)
        found = {kind: service(kind) for kind in (*_SHARES, *dated)}
        return found | {DataKind.CHAIN: service(DataKind.CHAIN, _CHAIN_PATIENCE)}

    def status(self) -> MarketStatus:
        """The market as the vendor sees it. Raises: as every read of ``PolygonHttp``."""
        body = self._http.get("/v1/marketstatus/now").body
        word = body.text("market")
        if word not in ("open", "closed", "extended-hours"):
            raise body.bad("market", "open, closed or extended-hours")
        return MarketStatus(body.instant("serverTime"), word == "open")

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars of completed sessions, adjusted for splits and dividends as known now; today's 20
        minutes after its close. As of the newest session's close.

        The vendor adjusts for splits; dividends are taken out here. A symbol whose dividends cannot be
        (another currency, more than the price) is missing, with the reason. An index has no volume: NaN.
        Raises: as every read of ``PolygonHttp``; nothing partial is returned.
        """
        return self._daily(symbols, first, last, adjusted=True)

    def raw_bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """As ``bars``, in prices and shares as they were traded."""
        return self._daily(symbols, first, last, adjusted=False)

    def _daily(self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool) -> Bars:
        now = self.status().at
        newest = min(last, _newest_complete(now))
        feed = self._class(DataKind.BARS)
        records: list[dict[str, Any]] = []
        missing: list[Missing] = []
        for symbol in symbols:
            told, its_feed = ([], feed) if first > newest else self._history(symbol, first, now, adjusted)
            if isinstance(told, str):
                missing.append(Missing(symbol, told))
                continue
            kept = [row for row in told if row["session"] <= newest]
            if not kept:
                missing.append(Missing(symbol, f"no daily bar from {first} to {last}"))
            records += kept
            feed = lesser(feed, its_feed)
        as_of = max((_closed(row["session"], now) for row in records), default=now)
        provenance = self._provenance(self._stock_feed, feed, as_of)
        return Bars(bars_frame(records), adjusted, provenance, tuple(missing))

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """The session so far, as of the symbol that was updated longest ago; one without a bar of the
        vendor's today is missing, and named. Raises: as ``bars``."""
        day = self.status().at.astimezone(NEW_YORK).date()
        records, missing, times = [], [], []
        feed = self._class(DataKind.TODAY)
        for symbol, row, its_feed in self._snapshots(symbols):
            told = _session_so_far(symbol, row, day)
            if isinstance(told, Missing):
                missing.append(told)
                continue
            record, at = told
            records.append(record)
            times.append(at)
            feed = lesser(feed, its_feed)
        as_of = min(times, default=datetime.combine(day, time.min, NEW_YORK))
        return Bars(
            bars_frame(records), True, self._provenance(self._stock_feed, feed, as_of), tuple(missing)
        )

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        """The latest quote of each share with its own time; a side quoted at 0 is None.

        Many come with one snapshot. A symbol of which that has no quote (the vendor clears it before
        dawn) is asked for singly; where the plan has no quotes at all, ``Missing`` says so.
        Raises: as every read of ``PolygonHttp``.
        """
        from wsb_core.vendors.polygon_http import NotEntitled, NotFound

        found: dict[Underlying, Quote | Missing] = {}
        refused: NotEntitled | None = None
        for symbol, row, feed in self._snapshots(symbols):
            if symbol in INDICES:
                found[symbol] = Missing(symbol, "an index has a value and no quote")
                continue
            told = None if row is None else row.child("lastQuote")
            try:
                if told is not None and told.fields:
                    found[symbol] = self._quote(symbol, told, feed)
                elif refused is None:
                    found[symbol] = self._last_nbbo(symbol)
            except NotFound as error:
                found[symbol] = Missing(symbol, str(error))
            except NotEntitled as error:
                refused = error
            if symbol not in found:
                found[symbol] = Missing(symbol, str(refused))
        return {symbol: found[symbol] for symbol in symbols}

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """Contracts expiring inside the window counted from ``on``, each with its own quote's time.

        A listed contract that was not quoted is in it, without a price; what the vendor left out (greeks,
        volatility, open interest) is None. The chain's instant is its newest quote's, its class the least.
        Raises: NotEntitled when the plan has no option quotes; else as every read of ``PolygonHttp``: a
        chain that could not be read whole is not returned.
        """
        expiries = {
            "expiration_date.gte": (on + timedelta(days=window.min_dte)).isoformat(),
            "expiration_date.lte": (on + timedelta(days=window.max_dte)).isoformat(),
        }
        if len(set(window.rights)) == 1:
            expiries["contract_type"] = "call" if window.rights[0] is Right.CALL else "put"
        listed = self._listed(underlying, expiries)
        snapshots = self._option_snapshots(underlying, expiries)
        contracts = {symbol: each.contract for symbol, each in snapshots.items()} | listed
        for contract in contracts.values():
            if not window.min_dte <= contract.dte(on) <= window.max_dte:
                raise BadResponse(
                    f"chain of {underlying}: {contract.symbol} is outside the expiries asked for"
                )
        _refuse_without_quotes(underlying, snapshots)
        newest = max((each.at for each in snapshots.values() if each.at), default=None) or self.status().at
        feed = max(
            (each.feed for each in snapshots.values()),
            key=rows.TRUST.index,
            default=self._class(DataKind.CHAIN),
        )
        whole = self._provenance(self._option_feed, feed, newest)
        quotes = (
            option_quote(contract, snapshots.get(symbol), whole, on)
            for symbol, contract in sorted(contracts.items())
            if contract.right in window.rights
        )
        return Chain(underlying, tuple(quotes), whole)

    def corporate_actions(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[CorporateAction, ...] | Missing]:
        """Dividends and splits with an ex-date in the span, by date; the vendor's renamings are not read.

        ``Missing`` where the vendor does not know the symbol, or a dividend is not in dollars.
        Raises: as every read of ``PolygonHttp``.
        """
        at = self.status().at
        return {symbol: self._actions(symbol, first, last, at) for symbol in symbols}

    def yields(self, first: date, last: date) -> tuple[Yields, ...]:
        """Par yields of the days published in the span; tenors the vendor left out are absent.

        Raises: as every read of ``PolygonHttp``, and BadResponse for a figure that is no percentage.
        """
        params = {"date.gte": first, "date.lte": last, "sort": "date.asc", "limit": 50_000}
        found: dict[date, Yields] = {}
        for page in self._http.pages("/fed/v1/treasury-yields", params):
            for row in page.rows():
                day = row.day("date")
                at = datetime.combine(day, _YIELDS_TAKEN, NEW_YORK)
                told = Yields(day, _percentages(row), self._dated(DataKind.YIELDS, page, at))
                if found.setdefault(day, told) is not told:
                    raise row.bad("date", "a day that has not come before")
        return tuple(found[day] for day in sorted(found) if first <= day <= last)

    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[EarningsDate, ...] | Missing]:
        """Announcements as Benzinga knows them. Before the open, during or after the close is told where
        the hour means the same in New York and in UTC: the vendor does not say which it is.

        Nothing announced is an empty tuple only where a later announcement is known; else ``Missing``.
        Raises: NotEntitled when the key lacks this subscription; else as every read of ``PolygonHttp``.
        """
        found: dict[Underlying, list[EarningsDate]] = {symbol: [] for symbol in symbols}
        for part in _parts(symbols):
            params = {
                "ticker.any_of": ",".join(part),
                "date.gte": first,
                "date.lte": last + _HALF_A_YEAR,
                "sort": "date.asc",
                "limit": 50_000,
            }
            for page in self._http.pages("/benzinga/v1/earnings", params):
                for row in page.rows():
                    symbol = Underlying(row.text("ticker"))
                    if symbol not in found:
                        raise row.bad("ticker", "one of those asked for")
                    found[symbol].append(self._announcement(symbol, row, page))
        return {symbol: _announced(symbol, found[symbol], first, last) for symbol in symbols}

    def _announcement(self, symbol: Underlying, row: Row, page: Page) -> EarningsDate:
        confirmed = {"confirmed": True, "projected": False}.get(row.optional_text("date_status") or "")
        provenance = self._dated(DataKind.EARNINGS, page, row.instant("last_updated"))
        return EarningsDate(symbol, row.day("date"), _report_time(row), confirmed, provenance)

    def _history(
        self, symbol: Underlying, first: date, now: datetime, adjusted: bool
    ) -> tuple[list[dict[str, Any]] | str, FeedClass]:
        """Bars to ``now`` by date, or why there are none, and of what class they are."""
        today = now.astimezone(NEW_YORK).date()
        path = f"/v2/aggs/ticker/{url_quote(ticker(symbol), safe=':')}/range/1/day/{first}/{today}"
        wanted = "true" if adjusted else "false"
        params = {"adjusted": wanted, "sort": "asc", "limit": 50_000}
        records: list[dict[str, Any]] = []
        feed = self._class(DataKind.BARS)
        for page in self._http.pages(path, params):
            if page.body.text("ticker") != ticker(symbol):
                raise page.body.bad("ticker", ticker(symbol))
            if page.body.fields.get("adjusted", adjusted) is not adjusted:
                raise page.body.bad("adjusted", wanted)
            records += [daily_bar(symbol, row) for row in page.rows()]
            feed = lesser(feed, self._class(DataKind.BARS, page))
        records.sort(key=lambda record: record["session"])
        if not adjusted or not records or symbol in INDICES:
            return records, feed
        dividends = self._dividends(symbol, first, today, now)
        if isinstance(dividends, str):
            return dividends, feed
        if not dividends:
            return records, feed
        return without_dividends(records, dividends, self._splits(symbol, first, today, now)), feed

    def _actions(
        self, symbol: Underlying, first: date, last: date, at: datetime
    ) -> tuple[CashDividend | Split, ...] | Missing:
        from wsb_core.vendors.polygon_http import NotFound

        dividends = self._dividends(symbol, first, last, at)
        if isinstance(dividends, str):
            return Missing(symbol, dividends)
        found: list[CashDividend | Split] = [*dividends, *self._splits(symbol, first, last, at)]
        if not found:
            # The vendor has no dividends of a symbol it has never heard of either.
            try:
                self._http.get(f"/v3/reference/tickers/{url_quote(ticker(symbol), safe=':')}").row()
            except NotFound as error:
                return Missing(symbol, str(error))
        return tuple(sorted(found, key=lambda action: action.ex_date))

    def _dividends(
        self, symbol: Underlying, first: date, last: date, at: datetime
    ) -> list[CashDividend] | str:
        """By ex-date; or why they are of no use."""
        found = []
        for row, page in self._dated_rows("/v3/reference/dividends", "ex_dividend_date", symbol, first, last):
            if row.optional_text("currency") != "USD":
                return f"its dividend of {row.day('ex_dividend_date')} is not said to be in dollars"
            found.append(
                CashDividend(
                    symbol,
                    row.day("ex_dividend_date"),
                    Price(rows.positive(row, "cash_amount")),
                    row.day("pay_date") if row.optional_text("pay_date") else None,
                    {"CD": False, "SC": True}.get(row.optional_text("dividend_type") or ""),
                    self._dated(DataKind.ACTIONS, page, at),
                )
            )
        return found

    def _splits(self, symbol: Underlying, first: date, last: date, at: datetime) -> list[Split]:
        found = []
        for row, page in self._dated_rows("/v3/reference/splits", "execution_date", symbol, first, last):
            ratio = rows.positive(row, "split_to") / rows.positive(row, "split_from")
            if ratio == 1:
                raise row.bad("split_to", "another number than split_from")
            provenance = self._dated(DataKind.ACTIONS, page, at)
            found.append(Split(symbol, row.day("execution_date"), ratio, provenance))
        return found

    def _dated_rows(
        self, path: str, name: str, symbol: Underlying, first: date, last: date
    ) -> Iterator[tuple[Row, Page]]:
        params = {"ticker": symbol, f"{name}.gte": first, f"{name}.lte": last, "limit": 1000}
        for page in self._http.pages(path, params):
            for row in page.rows():
                if row.text("ticker") != symbol:
                    raise row.bad("ticker", symbol)
                if not first <= row.day(name) <= last:
                    raise row.bad(name, f"a day from {first} to {last}")
                yield row, page

    def _snapshots(self, symbols: Sequence[Underlying]) -> Iterator[tuple[Underlying, Row | None, FeedClass]]:
        """Every symbol that was asked for, with its snapshot (None when it did not come) and its class.

        An index is not asked for: a share may bear the same name.
        """
        for part in _parts([symbol for symbol in symbols if symbol not in INDICES]):
            params = {"tickers": ",".join(part)}
            page = self._http.get("/v2/snapshot/locale/us/markets/stocks/tickers", params)
            told = {row.text("ticker"): row for row in page.rows("tickers")}
            for symbol in part:
                yield symbol, told.get(symbol), self._class(DataKind.QUOTES, page)
        for symbol in symbols:
            if symbol in INDICES:
                yield symbol, None, self._class(DataKind.QUOTES)

    def _last_nbbo(self, symbol: Underlying) -> Quote:
        page = self._http.get(f"/v2/last/nbbo/{url_quote(symbol, safe='')}")
        row = page.row()
        if row.text("T") != symbol:
            raise row.bad("T", symbol)
        return self._quote(symbol, row, self._class(DataKind.QUOTES, page))

    def _quote(self, symbol: Underlying, row: Row, feed: FeedClass) -> Quote:
        (bid, bid_size), (ask, ask_size) = rows.side(row, "p", "s"), rows.side(row, "P", "S")
        provenance = self._provenance(self._stock_feed, feed, rows.required_instant(row, "t", NANOS))
        return Quote(Share(symbol), bid, ask, bid_size, ask_size, provenance)

    def _listed(self, underlying: Underlying, expiries: Mapping[str, str]) -> dict[str, OptionContract]:
        params = {**expiries, "underlying_ticker": underlying, "limit": 1000}
        pages = self._http.pages("/v3/reference/options/contracts", params, seconds=self._patience)
        found: dict[str, OptionContract] = {}
        for row in (row for page in pages for row in page.rows()):
            if row.text("underlying_ticker") != underlying:
                raise row.bad("underlying_ticker", underlying)
            _add(found, row, row.text("ticker"), rows.contract(row, underlying))
        return found

    def _option_snapshots(
        self, underlying: Underlying, expiries: Mapping[str, str]
    ) -> dict[str, OptionSnapshot]:
        path = f"/v3/snapshot/options/{url_quote(ticker(underlying), safe=':')}"
        found: dict[str, OptionSnapshot] = {}
        for page in self._http.pages(path, {**expiries, "limit": 250}, seconds=self._patience):
            feed = self._class(DataKind.CHAIN, page)
            for row in page.rows():
                asset, details = row.child("underlying_asset"), row.child("details")
                if asset is not None and asset.text("ticker") not in (underlying, ticker(underlying)):
                    raise asset.bad("ticker", underlying)
                if details is None:
                    raise row.bad("details", "the contract")
                contract = rows.contract(details, underlying)
                _add(found, row, details.text("ticker"), option_snapshot(contract, row, feed))
        return found

    @property
    def _patience(self) -> float:
        return _CHAIN_PATIENCE * self._deadline

    def _dated(self, kind: DataKind, page: Page, as_of: datetime) -> Provenance:
        return Provenance(self._source("reference"), self._class(kind, page), as_of)

    def _provenance(self, plan: FeedClass, feed: FeedClass, as_of: datetime) -> Provenance:
        return Provenance(self._source(plan), feed, as_of)

    def _source(self, words: str) -> str:
        return "practice exchange" if self._practice else f"polygon {words}"

    def _class(self, kind: DataKind, page: Page | None = None) -> FeedClass:
        """The plan's, or what the answer says of itself if that is less; unknown words are trusted least."""
        plans = {DataKind.CHAIN: self._option_feed, **dict.fromkeys(_SHARES, self._stock_feed)}
        own = plans.get(kind, FeedClass.DELAYED)
        if self._practice:
            own = FeedClass.MODELLED if kind is DataKind.CHAIN else FeedClass.REPLAYED
        if page is not None and page.delayed:
            own = lesser(own, FeedClass.DELAYED)
        if page is None or page.feed is None:
            return own
        words = page.feed.strip().lower()
        return lesser(own, FeedClass(words) if words in rows.TRUST else rows.TRUST[-1])


def _parts(symbols: Sequence[Underlying]) -> Iterator[Sequence[Underlying]]:
    for start in range(0, len(symbols), _SYMBOLS_A_CALL):
        yield symbols[start : start + _SYMBOLS_A_CALL]


def _newest_complete(now: datetime) -> date:
    """Today once its session is over and its bar settled, yesterday until then."""
    today = now.astimezone(NEW_YORK).date()
    session = session_on(today)
    unfinished = session is not None and now < session.closes + _SETTLED
    return today - timedelta(days=1) if unfinished else today


def _closed(day: date, now: datetime) -> datetime:
    session = session_on(day)
    return now if session is None else min(session.closes, now)


def _session_so_far(
    symbol: Underlying, row: Row | None, day: date
) -> tuple[dict[str, Any], datetime] | Missing:
    """The bar of ``day`` and when it was updated. Before the open the vendor's is all zeros."""
    bar = None if row is None else row.child("day")
    if row is None or bar is None or not bar.optional_number("v"):
        return Missing(symbol, f"no bar of {day} yet")
    updated = rows.required_instant(row, "updated", NANOS)
    if updated.astimezone(NEW_YORK).date() != day:
        return Missing(
            symbol, f"no bar of {day} yet; the newest is of {updated.astimezone(NEW_YORK):%Y-%m-%d}"
        )
    return {"symbol": str(symbol), "session": day, **bar_values(symbol, bar)}, updated


def _add(found: dict[str, Any], row: Row, symbol: str, value: Any) -> None:
    if symbol in found:
        raise BadResponse(f"{row.what}: {symbol} came twice; nothing of this answer is used")
    found[symbol] = value


def _refuse_without_quotes(underlying: Underlying, snapshots: Mapping[str, OptionSnapshot]) -> None:
    """Raises: NotEntitled when there are contracts and not one of them has so much as an empty quote."""
    from wsb_core.vendors.polygon_http import NotEntitled

    if snapshots and all(each.quote is None for each in snapshots.values()):
        raise NotEntitled(
            f"chain of {underlying}: {len(snapshots)} contracts came and none with a quote: "
            "the option plan of this key has no quotes; add them or take chains from another source"
        )


def _percentages(row: Row) -> dict[float, float]:
    found = {}
    for name, years in YIELD_TENORS.items():
        value = row.optional_number(name)
        if value is not None and not Decimal(-5) < value < Decimal(30):
            raise row.bad(name, "a yield in percent")
        if value is not None:
            found[years] = float(value)
    return found


def _report_time(row: Row) -> ReportTime:
    """Unknown unless the hour means the same as New York's and as UTC's; midnight is no hour."""
    text, session = row.optional_text("time"), session_on(row.day("date"))
    if text is None or session is None:
        return ReportTime.UNKNOWN
    try:
        hour = time.fromisoformat(text)
    except ValueError:
        raise row.bad("time", "HH:MM:SS") from None
    if hour == time.min:
        return ReportTime.UNKNOWN
    zones = (NEW_YORK, UTC) if hour.tzinfo is None else (hour.tzinfo,)
    readings = {
        _part_of_day(datetime.combine(session.day, hour.replace(tzinfo=zone)), session) for zone in zones
    }
    return readings.pop() if len(readings) == 1 else ReportTime.UNKNOWN


def _part_of_day(at: datetime, session: Session) -> ReportTime:
    if at < session.opens:
        return ReportTime.BEFORE_OPEN
    return ReportTime.AFTER_CLOSE if at >= session.closes else ReportTime.DURING


def _announced(
    symbol: Underlying, known: Sequence[EarningsDate], first: date, last: date
) -> tuple[EarningsDate, ...] | Missing:
    if any(each.day >= first for each in known):
        inside = (each for each in known if first <= each.day <= last)
        return tuple(sorted(inside, key=lambda each: each.day))
    return Missing(symbol, f"no announcement is known from {first} to {last}, nor in the half year after")

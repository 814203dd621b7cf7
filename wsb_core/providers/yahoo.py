"""Bars, quotes, chains, announcements and yields from Yahoo, over yfinance: for scans and research alone.

Yahoo promises nothing and says so little of its quotes' age that all of it counts as delayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import nan
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wsb_core.domain.calendar import NEW_YORK, session_on, sessions_between
from wsb_core.domain.contracts import OptionContract, Right, Share, parse_occ
from wsb_core.domain.errors import BadResponse, ProviderRefused
from wsb_core.domain.events import EarningsDate, ReportTime, Yields
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.vendors.alpaca_rows import Row, row_of, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from wsb_core.vendors.yahoo_http import Answer

REQUESTS_A_MINUTE = 30
"""Yahoo publishes no limit; clients report blocks above some 2,000 an hour."""
COLUMNS = ("open", "high", "low", "close", "volume")
INDICES: Mapping[str, str] = {name: f"^{name}" for name in ("SPX", "XSP", "VIX", "NDX", "RUT", "DJX")}
"""Underlyings that Yahoo marks as an index; other tickers keep their name, with a dash for the dot."""
YIELD_TENORS: Mapping[str, float] = {"^IRX": 0.25, "^FVX": 5.0, "^TNX": 10.0, "^TYX": 30.0}
_SETTLED = timedelta(minutes=20)
"""How long after the close a daily bar still changes: the official close comes late, and delayed later."""
_SYMBOLS_A_CALL = 50
_TRUST = tuple(FeedClass)
_NOTHING = frozenset({"Not Found", "Bad Request", "Unprocessable Entity"})
_NO_TIME = time(10, 59)
"""In UTC: what Yahoo puts where it knows the day of an announcement and not the hour."""
_BILL_DAYS = 91


class YahooData:
    """Yahoo, or the practice exchange in Yahoo's words when ``practice_url`` is given.

    One request a symbol for bars, announcements and yields, one for fifty quotes, one an expiry for chains.
    """

    def __init__(self, *, practice_url: str | None = None, deadline_seconds: float = 10.0) -> None:
        """Sends nothing. Raises: ConfigError for a deadline that is not positive."""
        from wsb_core.vendors.yahoo_http import YahooHttp

        self._practice, self._deadline = practice_url is not None, deadline_seconds
        self._http = YahooHttp(practice_url, deadline_seconds=deadline_seconds)

    def __repr__(self) -> str:
        return f"YahooData(practice={self._practice})"

    @property
    def name(self) -> str:
        return "yahoo"

    @property
    def services(self) -> Mapping[DataKind, Service]:
        """Never better than delayed. The deadline bounds one request with its cookie and crumb."""
        per_minute = None if self._practice else REQUESTS_A_MINUTE
        kinds = (DataKind.BARS, DataKind.QUOTES, DataKind.CHAIN, DataKind.EARNINGS, DataKind.YIELDS)
        return {kind: Service(self._class(kind, None), per_minute, self._deadline) for kind in kinds}

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars of completed sessions, adjusted for splits and dividends; today's 20 minutes after it.

        A session of which any price is null is left out; a volume that is null is NaN. A symbol whose
        bars are in another currency, of another length or cannot be read is missing, with the reason.
        As of the latest trade among them.
        Raises: ProviderUnavailable or BadResponse as soon as one request fails; nothing partial comes back.
        """
        records: list[dict[str, Any]] = []
        missing: list[Missing] = []
        answer, newest = None, None
        for symbol in symbols:
            answer = self._chart(symbol, first, last)
            try:
                rows, traded = _daily(symbol, answer, first, last)
            except BadResponse as error:
                missing.append(Missing(symbol, str(error)))
                continue
            newest = traded if newest is None else max(newest, traded)
            records += rows
            if not rows:
                missing.append(Missing(symbol, f"no daily bar from {first} to {last}"))
        if answer is None:
            raise ProviderRefused("bars: no symbol was asked for; name at least one")
        provenance = self._provenance(DataKind.BARS, answer, newest or answer.at)
        return Bars(_frame(records), True, provenance, tuple(missing))

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        """Bid and ask of each symbol, as of its last trade (they carry no time of their own).

        A side quoted at 0, as all are out of session, is None. Sizes are as Yahoo gives them, 0 when absent.
        """
        found: dict[Underlying, Quote | Missing] = {}
        for start in range(0, len(symbols), _SYMBOLS_A_CALL):
            part = symbols[start : start + _SYMBOLS_A_CALL]
            params = {"symbols": ",".join(map(_ticker, part)), "formatted": "false"}
            answer = self._http.get("/v7/finance/quote", params)
            told = _results("quotes", answer, "quoteResponse")
            if isinstance(told, str):
                raise BadResponse(f"quotes: {told}; they are unknown, not absent")
            rows = {row.optional_text("symbol"): row for row in told}
            for symbol in part:
                provenance = self._provenance(DataKind.QUOTES, answer, answer.at)
                found[symbol] = _share_quote(symbol, rows.get(_ticker(symbol)), provenance)
        return found

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """Contracts expiring inside the window counted from ``on``, as of the share's last trade.

        Without a quoted side there is no volatility: Yahoo fills in a power of two. Greeks are never given.
        Raises: ProviderRefused when Yahoo lists no options of it; ProviderUnavailable or BadResponse when
        any expiry could not be read whole: nothing partial comes back.
        """
        path = f"/v7/finance/options/{url_quote(_ticker(underlying), safe='')}"
        answer = self._http.get(path, {})
        listing = self._options(underlying, answer)
        quotes: list[OptionQuote] = []
        provenances = []
        for stamp in _stamps(listing, "expirationDates"):
            expiry = stamp.astimezone(UTC).date()
            if not window.min_dte <= (expiry - on).days <= window.max_dte:
                continue
            told = listing
            if _series(told, expiry) is None:
                answer = self._http.get(path, {"date": int(stamp.timestamp())})
                told = self._options(underlying, answer)
            provenances.append(self._provenance(DataKind.CHAIN, answer, _spot_time(told)))
            quotes += _expiry_quotes(underlying, told, expiry, window.rights, on, provenances[-1])
        quotes.sort(key=lambda each: (each.contract.expiry, each.contract.strike, each.contract.right))
        oldest = min(provenances, key=lambda each: each.as_of, default=None)
        return Chain(
            underlying,
            tuple(quotes),
            oldest or self._provenance(DataKind.CHAIN, answer, _spot_time(listing)),
        )

    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[EarningsDate, ...] | Missing]:
        """The one announcement Yahoo knows of each name: the next, or the last one until the next is set.

        A range of days comes as each trading day in it, not confirmed: it may be any of them. One day that
        Yahoo calls no estimate is not confirmed by the company either: ``confirmed`` is then None. An empty
        tuple only where Yahoo's date lies after ``last`` and nothing before Yahoo's today was asked for.
        """
        return {symbol: self._announcements(symbol, first, last) for symbol in symbols}

    def yields(self, first: date, last: date) -> tuple[Yields, ...]:
        """3 months, 5, 10 and 30 years, where Yahoo has them; as of each day's close.

        The 3-month figure is a bill's discount rate, told here as its bond-equivalent yield.
        Raises: BadResponse for a figure that is no percentage; ProviderRefused when no tenor is known.
        """
        days: dict[date, dict[float, float]] = {}
        provenance, why = None, []
        for symbol, years in YIELD_TENORS.items():
            answer = self._chart(Underlying(symbol), first, last)
            found = _results(f"yields {symbol}", answer, "chart")
            if isinstance(found, str):
                why.append(found)
                continue
            rows, _ = _daily(Underlying(symbol), answer, first, last)
            for row in rows:
                days.setdefault(row["session"], {})[years] = _percent(symbol, row)
            provenance = self._provenance(DataKind.YIELDS, answer, answer.at)
        if provenance is None:
            raise ProviderRefused(f"yields: Yahoo knows none of {', '.join(YIELD_TENORS)}: {'; '.join(why)}")
        return tuple(
            Yields(day, days[day], replace(provenance, as_of=_ends(day, provenance.as_of)))
            for day in sorted(days)
        )

    def _chart(self, symbol: Underlying, first: date, last: date) -> Answer:
        begins, ends = (
            datetime.combine(day, time.min, NEW_YORK) for day in (first, last + timedelta(days=1))
        )
        params = {
            "period1": int(begins.timestamp()),
            "period2": int(ends.timestamp()),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }
        return self._http.get(f"/v8/finance/chart/{url_quote(_ticker(symbol), safe='')}", params)

    def _options(self, underlying: Underlying, answer: Answer) -> Row:
        what = f"chain of {underlying}"
        told = _results(what, answer, "optionChain")
        if isinstance(told, str):
            raise ProviderRefused(f"{what}: {told}")
        if not told:
            raise ProviderRefused(f"{what}: Yahoo does not know the symbol")
        listing = _only(what, told)
        if listing.optional_text("underlyingSymbol") != _ticker(underlying):
            raise listing.bad("underlyingSymbol", _ticker(underlying))
        if not _stamps(listing, "expirationDates"):
            raise ProviderRefused(f"{what}: Yahoo lists no options of it")
        return listing

    def _announcements(
        self, symbol: Underlying, first: date, last: date
    ) -> tuple[EarningsDate, ...] | Missing:
        path = f"/v10/finance/quoteSummary/{url_quote(_ticker(symbol), safe='')}"
        answer = self._http.get(path, {"modules": "calendarEvents", "formatted": "false"})
        told = _results(f"earnings of {symbol}", answer, "quoteSummary")
        if isinstance(told, str):
            return Missing(symbol, told)
        events = _only(f"earnings of {symbol}", told).child("calendarEvents")
        earnings = None if events is None else events.child("earnings")
        stamps = () if earnings is None else _stamps(earnings, "earningsDate")
        if earnings is None or not stamps:
            return Missing(symbol, "Yahoo gives no announcement date")
        provenance = self._provenance(DataKind.EARNINGS, answer, answer.at)
        return _covered(symbol, _dates(symbol, earnings, stamps, provenance), first, last)

    def _provenance(self, kind: DataKind, answer: Answer, as_of: datetime) -> Provenance:
        source = "practice exchange" if self._practice else "yahoo"
        return Provenance(source, self._class(kind, answer.feed), as_of)

    def _class(self, kind: DataKind, said: str | None) -> FeedClass:
        """Delayed at best; an exchange that says its prices are less is believed, in words unknown least."""
        own = FeedClass.DELAYED
        if self._practice:
            own = FeedClass.MODELLED if kind is DataKind.CHAIN else FeedClass.REPLAYED
        if said is None:
            return own
        words = said.strip().lower()
        heard = FeedClass(words) if words in set(FeedClass) else _TRUST[-1]
        return max(own, heard, key=_TRUST.index)


def _ticker(symbol: Underlying) -> str:
    return INDICES.get(symbol, symbol.replace(".", "-"))


def _results(what: str, answer: Answer, key: str) -> tuple[Row, ...] | str:
    """What is under ``key``, or Yahoo's own words when it says that there is nothing."""
    body = row_of(what, answer.body)
    told = body.child(key) or body.child("finance")
    if told is None:
        raise BadResponse(f"{what}: the answer has no {key!r}; it is unknown, not empty")
    error = told.child("error")
    if error is None:
        return rows_of(what, told.fields.get("result"))
    words = f"{error.optional_text('code')}: {error.optional_text('description')}"
    if error.optional_text("code") not in _NOTHING:
        raise BadResponse(f"{what}: {words}")
    return words


def _only(what: str, rows: Sequence[Row]) -> Row:
    if len(rows) != 1:
        raise BadResponse(f"{what}: {len(rows)} results, not one; nothing of this answer is used")
    return rows[0]


def _instant(row: Row, name: str) -> datetime:
    return _epoch(row, name, row.fields.get(name))


def _stamps(row: Row, name: str) -> tuple[datetime, ...]:
    """Instants in order; none when the list is absent or empty."""
    told = row.fields.get(name)
    if told is None:
        return ()
    if not isinstance(told, list):
        raise row.bad(name, "a list of epoch seconds")
    return tuple(sorted(_epoch(row, name, value) for value in told))


def _epoch(row: Row, name: str, value: Any) -> datetime:
    """Seconds since 1970; a figure that would lie outside 1970 to 2100 is in another unit."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 4_102_444_800:
        raise row.bad(name, "epoch seconds")
    return datetime.fromtimestamp(value, UTC)


def _daily(
    symbol: Underlying, answer: Answer, first: date, last: date
) -> tuple[list[dict[str, Any]], datetime]:
    """Completed sessions from ``first`` to ``last``, and when the symbol last traded."""
    what = f"bars of {symbol}"
    told = _results(what, answer, "chart")
    if isinstance(told, str):
        raise BadResponse(f"{what}: {told}")
    chart = _only(what, told)
    meta = chart.child("meta") or Row(what, {})
    for name, wanted in (("symbol", _ticker(symbol)), ("dataGranularity", "1d"), ("currency", "USD")):
        # An index may have no currency; nothing else may be in another one.
        if meta.optional_text(name) not in ((wanted, None) if name == "currency" else (wanted,)):
            raise meta.bad(name, wanted)
    rows = [row for row in _rows(symbol, chart, _zone(meta)) if row is not None]
    if len(rows) > 1 and rows[-1]["session"] == rows[-2]["session"]:
        # While a session lasts, Yahoo may add its newest price as a row of its own.
        del rows[-2]
    kept = [row for row in rows if first <= row["session"] <= last and _finished(row["session"], answer.at)]
    return kept, _instant(meta, "regularMarketTime")


def _zone(meta: Row) -> ZoneInfo:
    try:
        return ZoneInfo(meta.text("exchangeTimezoneName"))
    except (ZoneInfoNotFoundError, ValueError):
        raise meta.bad("exchangeTimezoneName", "a time zone") from None


def _rows(symbol: Underlying, chart: Row, zone: ZoneInfo) -> Iterator[dict[str, Any] | None]:
    """Every row; None for one of which a price is null, which is a session Yahoo knows nothing of."""
    stamps = chart.fields.get("timestamp") or []
    indicators = chart.child("indicators") or Row(chart.what, {})
    quote = _only(f"{chart.what} quote", rows_of("quote", indicators.fields.get("quote")))
    if not stamps and not quote.fields:
        return
    adjusted = _only(f"{chart.what} adjclose", rows_of("adjclose", indicators.fields.get("adjclose")))
    columns = [quote.fields.get(name) for name in COLUMNS] + [adjusted.fields.get("adjclose")]
    if not all(isinstance(column, list) and len(column) == len(stamps) for column in columns):
        raise BadResponse(f"{chart.what}: columns and time stamps differ in length; nothing of it is used")
    for stamp, *values in zip(stamps, *(column or () for column in columns), strict=True):
        row = Row(f"bar of {symbol}", dict(zip((*COLUMNS, "adjclose"), values, strict=True)))
        day = _epoch(row, "timestamp", stamp).astimezone(zone).date()
        yield _bar(symbol, day, row)


def _bar(symbol: Underlying, day: date, row: Row) -> dict[str, Any] | None:
    """Yahoo's prices are adjusted for splits; ``adjclose`` over ``close`` is what dividends add."""
    prices = {name: row.optional_number(name) for name in (*COLUMNS[:4], "adjclose")}
    for name, price in prices.items():
        if price is not None and price <= 0 and not str(symbol).startswith("^"):
            raise row.bad(name, "a positive price")
    found = {name: float(price) for name, price in prices.items() if price is not None}
    if len(found) < len(prices):
        return None
    factor = found.pop("adjclose") / found["close"] if found["close"] else 1.0
    volume = row.optional_number("volume")
    return {
        "symbol": str(symbol),
        "session": day,
        **{name: price * factor for name, price in found.items()},
        "volume": nan if volume is None else float(volume),
    }


def _finished(day: date, at: datetime) -> bool:
    """Whether the session of ``day`` was over, and its bar settled, at ``at``."""
    today = at.astimezone(NEW_YORK).date()
    if day != today:
        return day < today
    session = session_on(day)
    return session is not None and session.closes + _SETTLED <= at


def _ends(day: date, at: datetime) -> datetime:
    session = session_on(day)
    return at if session is None else min(session.closes, at)


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(records), columns=["symbol", "session", *COLUMNS])
    frame["session"] = pd.to_datetime(frame["session"]).astype("datetime64[ns]")
    frame = frame.astype(dict.fromkeys(COLUMNS, "float64"))
    twice = frame[frame.duplicated(["symbol", "session"])]
    if len(twice):
        symbol, session = twice.iloc[0][["symbol", "session"]]
        raise BadResponse(f"bars: {symbol} has two bars of {session:%Y-%m-%d}; nothing of it is used")
    return frame.sort_values(["symbol", "session"], ignore_index=True)


def _percent(symbol: str, row: Mapping[str, Any]) -> float:
    """Source of the bond-equivalent yield of a bill: 365 d / (360 - days d), d the discount rate."""
    rate = float(row["close"])
    if not -2 < rate < 20:
        raise BadResponse(f"yields: {symbol} is {rate} on {row['session']}, which is no yield in percent")
    return 365 * rate / (360 - _BILL_DAYS * rate / 100) if symbol == "^IRX" else rate


def _share_quote(symbol: Underlying, row: Row | None, provenance: Provenance) -> Quote | Missing:
    if row is None or row.optional_text("quoteType") == "NONE":
        return Missing(symbol, "Yahoo does not know the symbol")
    if not {"bid", "ask"} & row.fields.keys():
        return Missing(symbol, "Yahoo gives neither bid nor ask")
    try:
        if row.optional_text("currency") not in ("USD", None):
            raise row.bad("currency", "USD")
        return _quote(
            Share(symbol),
            row,
            replace(provenance, as_of=_instant(row, "regularMarketTime")),
            "bidSize",
            "askSize",
        )
    except BadResponse as error:
        return Missing(symbol, str(error))


def _quote(
    instrument: Share | OptionContract,
    row: Row,
    provenance: Provenance,
    bid_size: str = "",
    ask_size: str = "",
) -> Quote:
    sides = []
    for name in ("bid", "ask"):
        price = row.optional_number(name) or Decimal(0)
        if price < 0:
            raise row.bad(name, "a price, or 0 for no such side")
        sides.append(Price(price) if price else None)
    sizes = [int(row.optional_number(name) or 0) for name in (bid_size, ask_size)]
    return Quote(instrument, sides[0], sides[1], sizes[0], sizes[1], provenance)


def _spot_time(listing: Row) -> datetime:
    """When the share last traded: options have no time of their own here."""
    return _instant(listing.child("quote") or Row(listing.what, {}), "regularMarketTime")


def _series(listing: Row, expiry: date) -> Row | None:
    """The calls and puts of ``expiry``; None when the answer is about another one."""
    for row in rows_of(f"{listing.what} options", listing.fields.get("options")):
        if _instant(row, "expirationDate").date() == expiry:
            return row
    return None


def _expiry_quotes(
    underlying: Underlying,
    listing: Row,
    expiry: date,
    rights: Sequence[Right],
    on: date,
    provenance: Provenance,
) -> Iterator[OptionQuote]:
    series = _series(listing, expiry)
    if series is None:
        raise BadResponse(f"{listing.what}: asked for {expiry}, and the answer is about another expiry")
    for right in dict.fromkeys(rights):
        side = "calls" if right is Right.CALL else "puts"
        for row in rows_of(f"{listing.what} {side}", series.fields.get(side), "contractSymbol"):
            contract = _contract(underlying, row)
            if (contract.expiry, contract.right) != (expiry, right):
                raise row.bad("contractSymbol", f"one of the {side} of {expiry}")
            yield _option_quote(_quote(contract, row, provenance), row, on)


def _contract(underlying: Underlying, row: Row) -> OptionContract:
    """The contract a row names; not standard when Yahoo says that it is of another size."""
    try:
        contract = parse_occ(row.text("contractSymbol"))
    except ValueError:
        raise row.bad("contractSymbol", "an option symbol") from None
    if contract.underlying != underlying:
        raise row.bad("contractSymbol", f"a contract on {underlying}")
    if contract.strike != row.number("strike"):
        raise row.bad("strike", f"{contract.strike}, which its symbol says")
    regular = row.optional_text("contractSize") in ("REGULAR", None)
    return contract if regular else replace(contract, standard=False)


def _option_quote(quote: Quote, row: Row, on: date) -> OptionQuote:
    iv, interest = row.optional_number("impliedVolatility"), row.optional_number("openInterest")
    volume = row.optional_number("volume")
    traded = row.fields.get("lastTradeDate") is not None and (
        _instant(row, "lastTradeDate").astimezone(NEW_YORK).date() == on
    )
    return OptionQuote(
        quote=quote,
        iv=float(iv) if iv and iv > 0 and quote.two_sided else None,
        open_interest=None if interest is None else int(interest),
        # Yahoo keeps telling the volume of the day on which the contract last traded.
        volume=int(volume) if volume is not None and traded else None,
    )


def _dates(
    symbol: Underlying, earnings: Row, stamps: Sequence[datetime], provenance: Provenance
) -> tuple[EarningsDate, ...]:
    days = [_day(stamp) for stamp in stamps]
    if len(days) == 1 and earnings.fields.get("isEarningsDateEstimate") is not True:
        return (EarningsDate(symbol, days[0], _report_time(stamps[0]), None, provenance),)
    try:
        each = sessions_between(days[0], days[-1]) or days
    except ValueError:
        raise earnings.bad("earningsDate", "days of the exchange calendar") from None
    return tuple(EarningsDate(symbol, day, ReportTime.UNKNOWN, False, provenance) for day in each)


def _day(stamp: datetime) -> date:
    """The New York date; midnight in UTC is a date without an hour, and in New York the evening before."""
    return stamp.date() if stamp.time() == time() else stamp.astimezone(NEW_YORK).date()


def _report_time(stamp: datetime) -> ReportTime:
    if stamp.time() in (time(), _NO_TIME):
        return ReportTime.UNKNOWN
    session = session_on(_day(stamp))
    if session is None:
        return ReportTime.UNKNOWN
    if stamp < session.opens:
        return ReportTime.BEFORE_OPEN
    return ReportTime.AFTER_CLOSE if stamp >= session.closes else ReportTime.DURING


def _covered(
    symbol: Underlying, dates: tuple[EarningsDate, ...], first: date, last: date
) -> tuple[EarningsDate, ...] | Missing:
    """Those in the span; none of them is an answer only where Yahoo can know that there is none."""
    found = tuple(each for each in dates if first <= each.day <= last)
    today = dates[0].provenance.as_of.astimezone(NEW_YORK).date()
    if found or today <= first <= last < dates[0].day:
        return found
    known = f"Yahoo knows the announcement of {dates[0].day} alone"
    return Missing(symbol, f"{known}, and cannot tell of {first} to {last}")

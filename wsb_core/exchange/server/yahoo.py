"""The practice exchange in Yahoo's words: cookie and crumb, charts, quotes, options, calendar events.

Yahoo is several hosts, told apart here by the Host header: who asks for none of them is not answered.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from wsb_core.domain.calendar import NEW_YORK, shift
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.events import EarningsDate, ReportTime, Yields
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange import hours
from wsb_core.exchange.model import CorporateAction, Listed
from wsb_core.exchange.rules import wire_symbol

from . import parse, stocks
from .almanac import ALMANAC
from .dated import dated
from .faults import Handler
from .parse import Malformed
from .venue import VENUE, Venue

routes = web.RouteTableDef()
Json = dict[str, Any]
CRUMB: web.AppKey[str] = web.AppKey("yahoo_crumb", str)
_DOMAIN = ".yahoo.com"
_COOKIE_HOST, _COOKIE = "fc.yahoo.com", "A3"
_CRUMB_PATH, _GUARDED = "/v1/test/getcrumb", ("/v7/", "/v10/")
_KEYS = {
    "/v8/finance/chart/": "chart",
    "/v7/finance/options/": "optionChain",
    "/v10/finance/quoteSummary/": "quoteSummary",
    "/v7/finance/quote": "quoteResponse",
    "/ws/fundamentals-timeseries/": "timeseries",
}
_RANGES = {"1d": 0, "5d": 4, "1mo": 31, "3mo": 92, "6mo": 183, "1y": 366, "2y": 731, "5y": 1827, "10y": 3653}
_TENORS = {"^IRX": 0.25, "^FVX": 5.0, "^TNX": 10.0, "^TYX": 30.0}
_BILL_DAYS = 91
_ZONE = "America/New_York"
_NO_VOLATILITY = 1e-05
"""What Yahoo gives as the volatility of a contract without a quote."""
_RANGE_OF_DAYS = timedelta(days=14)
"""Announcements this close together that are not confirmed are one, on one of those days."""
_HOURS = {ReportTime.BEFORE_OPEN: time(7), ReportTime.DURING: time(12), ReportTime.AFTER_CLOSE: time(16, 5)}
_NO_HOUR = time(10, 59, tzinfo=UTC)
_NO_CHART = "No data found, symbol may be delisted"


class _Nothing(Exception):
    """There is nothing of what was asked for: 404, in Yahoo's own words."""


def mount(app: web.Application) -> None:
    """Add this vendor's routes to the exchange's own."""
    app[CRUMB] = secrets.token_hex(6)
    app.add_routes(routes)


@web.middleware
async def speaks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what is asked of Yahoo's hosts as they do; the rest goes on to the next.

    Cookie first, then crumb: charts are told to everybody, all else to who shows both.
    """
    host, path = request.host.partition(":")[0], request.path
    if not host.endswith(_DOMAIN):
        return _missing() if path.startswith(tuple(_KEYS)) else await handler(request)
    if host == _COOKIE_HOST:
        return _cookie(request)
    known = request.cookies.get(_COOKIE) == request.app[CRUMB]
    if path.startswith(_GUARDED) and not (known and request.query.get("crumb") == request.app[CRUMB]):
        return _refusal(request, 401, "Unauthorized", "Invalid Crumb")
    if path == _CRUMB_PATH and not known:
        return _refusal(request, 401, "Unauthorized", "Invalid Cookie")
    if not host.startswith("query"):
        return _missing()
    try:
        return await request.match_info.handler(request)
    except Malformed as error:
        return _refusal(request, 422, "Unprocessable Entity", str(error))
    except _Nothing as error:
        return _refusal(request, 404, "Not Found", str(error))
    except web.HTTPNotFound:
        return _refusal(request, 404, "Not Found", "HTTP 404 Not Found")


def _missing() -> web.Response:
    return web.Response(status=404, text="<html><body>Not Found</body></html>", content_type="text/html")


def _cookie(request: web.Request) -> web.Response:
    """As Yahoo's own: the page is missing and its cookie is what one came for."""
    answer = web.Response(status=404)
    answer.set_cookie(_COOKIE, request.app[CRUMB], domain=_DOMAIN, max_age=31_536_000)
    return answer


def _refusal(request: web.Request, status: int, code: str, words: str) -> web.Response:
    keys = [key for prefix, key in _KEYS.items() if request.path.startswith(prefix)]
    key = "finance" if status == 401 or not keys else keys[0]
    body = {key: {"result": None, "error": {"code": code, "description": words}}}
    return web.json_response(body, status=status, headers=dated(request.app[VENUE], FeedClass.REPLAYED))


def _answer(venue: Venue, key: str, result: Sequence[Json], feed: FeedClass) -> web.Response:
    return web.json_response({key: {"result": list(result), "error": None}}, headers=dated(venue, feed))


@routes.get(_CRUMB_PATH)
async def crumb(request: web.Request) -> web.Response:
    return web.Response(text=request.app[CRUMB])


def _name(ticker: str) -> Underlying:
    """What the feed calls it: Yahoo puts a caret before an index and a dash for a dot."""
    return Underlying(ticker.upper().removeprefix("^").replace("-", "."))


def _ticker(venue: Venue, name: Underlying) -> str:
    return name.replace(".", "-") if name in venue.exchange.feed.symbols() else f"^{name}"


def _known(venue: Venue, ticker: str) -> Underlying | None:
    """The feed's name of a ticker; None when it has no prices of it, or Yahoo spells it otherwise."""
    name = _name(ticker)
    return name if venue.has_data(name) and _ticker(venue, name) == ticker.upper() else None


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _stamp(day: date) -> int:
    """Midnight in UTC, which is how Yahoo writes a date."""
    return _epoch(datetime.combine(day, time(), UTC))


def _opens(day: date) -> int:
    session = hours.session_of(day)
    return _epoch(datetime.combine(day, time(9, 30), NEW_YORK) if session is None else session.opens)


def _traded_at(venue: Venue) -> datetime:
    """When the newest price of the feed is from."""
    return venue.now if venue.is_open() else hours.last_closed(venue.now).closes


@routes.get("/v8/finance/chart/{symbol}")
async def chart(request: web.Request) -> web.Response:
    """Bars by the day or the minute, adjusted for splits; ``adjclose`` is adjusted for dividends too."""
    venue, query = request.app[VENUE], request.query
    ticker = request.match_info["symbol"].upper()
    interval = parse.choice(query, "interval", ("1d", "1m"), "1d")
    start, end = _span(venue, query)
    events: Json = {}
    if ticker in _TENORS:
        rows = list(_yield_rows(venue, request.app[ALMANAC].yields, ticker, start, end))
        price = rows[-1]["c"] if rows else None
    else:
        name = _known(venue, ticker)
        if name is None:
            raise _Nothing(_NO_CHART)
        minutes = interval == "1m"
        rows = _minute_rows(venue, name, start, end) if minutes else _day_rows(venue, name, start, end)
        latest = stocks.day_bar(venue, name)
        price = None if latest is None else float(latest.close)
        events = _events(venue, name, start, end, parse.words(query, "events"))
    told = {
        "meta": _meta(venue, ticker, interval, query.get("range", ""), price),
        **({"timestamp": [row["at"] for row in rows]} if rows else {}),
        **({"events": events} if events else {}),
        "indicators": _indicators(rows, adjusted=interval == "1d"),
    }
    return _answer(venue, "chart", [told], FeedClass.REPLAYED)


def _span(venue: Venue, query: parse.Query) -> tuple[datetime, datetime]:
    """From ``period1`` up to and without ``period2``, or as far back as ``range`` says; never past now."""
    if "period1" in query:
        try:
            first, last = (int(query[name]) for name in ("period1", "period2"))
        except (KeyError, ValueError):
            raise Malformed("Invalid input - period1 and period2 are seconds since 1970") from None
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=first)
        return start, min(datetime.fromtimestamp(last, UTC) - timedelta(seconds=1), venue.now)
    span = parse.choice(query, "range", (*_RANGES, "ytd", "max"), "1d")
    newest = hours.last_session(hours.trading_date(_traded_at(venue)))
    if span == "max":
        day = venue.exchange.feed.sessions()[0]
    elif span == "ytd":
        day = date(newest.year, 1, 1)
    else:
        back = _RANGES[span]
        day = shift(newest, -back) if back < 5 else newest - timedelta(days=back)
    return datetime.combine(day, time(), NEW_YORK), venue.now


def _day_rows(venue: Venue, name: Underlying, start: datetime, end: datetime) -> list[Json]:
    """The session that is on comes last, at the time of its newest price."""
    [(_, whole)] = stocks.daily(venue, [name], start, end, "split")
    [(_, paid)] = stocks.daily(venue, [name], start, end, "all")
    rows = []
    for bar, adjusted in zip(whole, paid, strict=True):
        day = datetime.fromisoformat(bar["t"]).astimezone(NEW_YORK).date()
        live = venue.is_open() and day == venue.today
        rows.append({**bar, "adjclose": adjusted["c"], "at": _epoch(venue.now) if live else _opens(day)})
    return rows


def _minute_rows(venue: Venue, name: Underlying, start: datetime, end: datetime) -> list[Json]:
    bars = stocks.minutes(venue, name, start, end)
    return [{**bar, "at": _epoch(datetime.fromisoformat(bar["t"]))} for bar in bars]


def _yield_rows(
    venue: Venue, table: Sequence[Yields] | None, ticker: str, start: datetime, end: datetime
) -> Iterator[Json]:
    """Published yields in percent, in the figure that Yahoo gives: for bills the discount rate."""
    if table is None:
        raise _Nothing(_NO_CHART)
    for row in sorted(table, key=lambda each: each.day):
        at, session = _opens(row.day), hours.session_of(row.day)
        rate = row.percent.get(_TENORS[ticker])
        over = session is not None and session.closes <= venue.now
        if rate is None or not over or not _epoch(start) <= at <= _epoch(end):
            continue
        if ticker == "^IRX":
            rate = 360 * rate / (365 + _BILL_DAYS * rate / 100)
        yield {**dict.fromkeys(("o", "h", "l", "c", "adjclose"), round(rate, 6)), "v": 0, "at": at}


def _indicators(rows: Sequence[Mapping[str, Any]], *, adjusted: bool) -> Json:
    names = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    quote = {name: [row[short] for row in rows] for name, short in names.items()} if rows else {}
    closes = {"adjclose": [row["adjclose"] for row in rows]} if rows and adjusted else {}
    return {"quote": [quote], **({"adjclose": [closes]} if adjusted else {})}


def _meta(venue: Venue, ticker: str, interval: str, span: str, price: float | None) -> Json:
    offset = venue.now.astimezone(NEW_YORK).utcoffset() or timedelta()
    session = hours.current_or_next(venue.now)
    period = {"timezone": "EST", "gmtoffset": int(offset.total_seconds())}
    regular = {**period, "start": _epoch(session.opens), "end": _epoch(session.closes)}
    return {
        "currency": "USD",
        "symbol": ticker,
        "exchangeName": "NYQ",
        "fullExchangeName": "practice exchange",
        "instrumentType": "INDEX" if ticker.startswith("^") else "EQUITY",
        "firstTradeDate": _opens(venue.exchange.feed.sessions()[0]),
        "regularMarketTime": _epoch(_traded_at(venue)),
        "hasPrePostMarketData": False,
        "gmtoffset": int(offset.total_seconds()),
        "timezone": "EST",
        "exchangeTimezoneName": _ZONE,
        **({} if price is None else {"regularMarketPrice": price}),
        "priceHint": 2,
        "currentTradingPeriod": dict.fromkeys(("pre", "regular", "post"), regular),
        "dataGranularity": interval,
        "range": span,
        "validRanges": [*_RANGES, "ytd", "max"],
    }


def _events(venue: Venue, name: Underlying, start: datetime, end: datetime, wanted: Sequence[str]) -> Json:
    """Dividends, in the shares of now, and splits that went ex in the span."""
    first, last = (at.astimezone(NEW_YORK).date() for at in (start, end))
    feed = venue.exchange.feed
    actions = feed.corporate_actions(name, first, venue.today)
    splits = [action for action in actions if action.ratio is not None]
    found: dict[str, Json] = {}
    for action in actions:
        at = _opens(action.ex_date)
        if action.ex_date > last:
            continue
        if action.dividend is not None and "div" in wanted:
            amount = {"amount": _in_shares_of_now(action, splits), "date": at}
            found.setdefault("dividends", {})[str(at)] = amount
        if action.ratio is not None and {"split", "splits"} & set(wanted):
            new, old = action.ratio.as_integer_ratio()
            ratio = {"numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
            found.setdefault("splits", {})[str(at)] = {"date": at, **ratio}
    return dict(found)


def _in_shares_of_now(dividend: CorporateAction, splits: Sequence[CorporateAction]) -> float:
    amount = Decimal(dividend.dividend or 0)
    for split in splits:
        if split.ex_date > dividend.ex_date:
            amount /= split.ratio or 1
    return float(amount)


@routes.get("/v7/finance/quote")
async def quotes(request: web.Request) -> web.Response:
    """What is known of those asked for; an unknown ticker is left out."""
    venue = request.app[VENUE]
    asked = parse.words(request.query, "symbols")
    if not asked:
        raise Malformed('Missing value for the "symbols" argument')
    known = {ticker.upper(): _known(venue, ticker) for ticker in asked}
    told = [_quote(venue, ticker, name) for ticker, name in known.items() if name is not None]
    return _answer(venue, "quoteResponse", told, FeedClass.REPLAYED)


def _quote(venue: Venue, ticker: str, name: Underlying) -> Json:
    """Both sides are 0 outside the session, as Yahoo's mostly are."""
    told, bar = stocks.quote(venue, name), stocks.day_bar(venue, name)
    body: Json = {
        "symbol": ticker,
        "quoteType": "INDEX" if ticker.startswith("^") else "EQUITY",
        "currency": "USD",
        "marketState": "REGULAR" if venue.is_open() else "CLOSED",
        "quoteSourceName": "practice exchange",
        "exchangeTimezoneName": _ZONE,
        "exchangeDataDelayedBy": 0,
        "regularMarketTime": _epoch(_traded_at(venue)),
        "bid": told["bp"],
        "bidSize": told["bs"],
        "ask": told["ap"],
        "askSize": told["as"],
    }
    if bar is not None:
        prices = {"Open": bar.open, "DayHigh": bar.high, "DayLow": bar.low, "Price": bar.close}
        body |= {f"regularMarket{word}": float(price) for word, price in prices.items()}
        body["regularMarketVolume"] = bar.volume
    return body


@routes.get("/v7/finance/options/{symbol}")
async def options(request: web.Request) -> web.Response:
    """One expiry: the one whose ``date`` is given, or the nearest; of a date without contracts none."""
    venue, ticker = request.app[VENUE], request.match_info["symbol"].upper()
    name = _known(venue, ticker)
    if name is None:
        return _answer(venue, "optionChain", [], FeedClass.MODELLED)
    listed = venue.exchange.feed.listed(name, venue.today)
    expiries = sorted({row.contract.expiry for row in listed})
    asked = request.query.get("date")
    if asked is not None and not asked.isdigit():
        raise Malformed("date is seconds since 1970")
    chosen = expiries[0] if expiries else None
    if asked is not None:
        chosen = datetime.fromtimestamp(int(asked), UTC).date()
    rows = [row for row in listed if row.contract.expiry == chosen]
    told = {
        "underlyingSymbol": ticker,
        "expirationDates": [_stamp(day) for day in expiries],
        "strikes": sorted({float(row.contract.strike) for row in rows}),
        "hasMiniOptions": False,
        "quote": _quote(venue, ticker, name),
        "options": [] if chosen is None else [_series(venue, name, chosen, rows)],
    }
    return _answer(venue, "optionChain", [told], FeedClass.MODELLED)


def _series(venue: Venue, name: Underlying, expiry: date, listed: Sequence[Listed]) -> Json:
    quoted: dict[OptionContract, OptionQuote] = {}
    if venue.is_open() and listed:
        dte = (expiry - venue.today).days
        found = venue.exchange.feed.chain(name, venue.now, ChainWindow(dte, dte))
        quoted = {each.contract: each for each in found}
    bar = stocks.day_bar(venue, name)
    spot = None if bar is None else Decimal(bar.close)
    body: Json = {"expirationDate": _stamp(expiry), "hasMiniOptions": False}
    for side, right in (("calls", Right.CALL), ("puts", Right.PUT)):
        rows = sorted((row for row in listed if row.contract.right is right), key=lambda r: r.contract.strike)
        body[side] = [_option(venue, row, quoted.get(row.contract), spot) for row in rows]
    return body


def _option(venue: Venue, listed: Listed, found: OptionQuote | None, spot: Decimal | None) -> Json:
    """No path of an option's trades is modelled: its last price is the present middle."""
    contract, mid = listed.contract, None if found is None else found.mid
    call = contract.right is Right.CALL
    inside = spot is not None and (contract.strike < spot if call else contract.strike > spot)
    body: Json = {
        "contractSymbol": wire_symbol(contract),
        "strike": float(contract.strike),
        "currency": "USD",
        "lastPrice": float(mid or 0),
        "change": 0,
        "percentChange": 0,
        "bid": float((found.bid if found is not None else None) or 0),
        "ask": float((found.ask if found is not None else None) or 0),
        "contractSize": "REGULAR" if contract.standard else "NON_STANDARD",
        "expiration": _stamp(contract.expiry),
        "lastTradeDate": _epoch(_traded_at(venue)),
        "impliedVolatility": _NO_VOLATILITY if found is None or found.iv is None else round(found.iv, 6),
        "inTheMoney": inside,
    }
    if listed.open_interest is not None:
        body["openInterest"] = listed.open_interest
    if found is not None and found.volume:
        body["volume"] = found.volume
    return body


@routes.get("/v10/finance/quoteSummary/{symbol}")
async def quote_summary(request: web.Request) -> web.Response:
    """Calendar events; the exchange knows nothing for the other modules, which are left out."""
    venue, ticker = request.app[VENUE], request.match_info["symbol"].upper()
    modules, table = parse.words(request.query, "modules"), request.app[ALMANAC].earnings
    name = _known(venue, ticker)
    if name is None:
        raise _Nothing(f"Quote not found for symbol: {ticker}")
    if table is None or "calendarEvents" not in modules:
        told = ",".join(modules)
        raise _Nothing(f"No fundamentals data found for any of the summaryTypes={told}")
    earnings = _earnings(table.get(name, ()), venue.today)
    events: Json = {"maxAge": 1, "earnings": earnings, **_ex_dividend(venue, name)}
    return _answer(venue, "quoteSummary", [{"calendarEvents": events}], FeedClass.REPLAYED)


@routes.get("/ws/fundamentals-timeseries/v1/finance/timeseries/{symbol}")
async def fundamentals(request: web.Request) -> web.Response:
    """The exchange knows none, of any symbol; yfinance asks before it gives a symbol up."""
    return _answer(request.app[VENUE], "timeseries", [], FeedClass.REPLAYED)


def _earnings(known: Sequence[EarningsDate], today: date) -> Json:
    """The next announcement, or the last one; a range where it is one of several days."""
    days = sorted(known, key=lambda each: each.day)
    coming = [each for each in days if each.day >= today] or days[-1:]
    if not coming:
        return {"earningsDate": [], "earningsCallDate": []}
    first = coming[0]
    open_days = [
        each for each in coming if each.confirmed is False and each.day - first.day <= _RANGE_OF_DAYS
    ]
    told = [first] if first.confirmed is not False else [open_days[0], *open_days[1:][-1:]]
    estimate = {} if first.confirmed is None else {"isEarningsDateEstimate": not first.confirmed}
    return {"earningsDate": [_announced(each) for each in told], "earningsCallDate": [], **estimate}


def _announced(row: EarningsDate) -> int:
    hour = _HOURS.get(row.time)
    at = datetime.combine(row.day, _NO_HOUR if hour is None else hour.replace(tzinfo=NEW_YORK))
    return _epoch(at)


def _ex_dividend(venue: Venue, name: Underlying) -> Json:
    """The next ex-date that is announced, or the last one."""
    first, last = venue.exchange.feed.sessions()[0], venue.today + stocks.ANNOUNCED_AHEAD
    actions = venue.exchange.feed.corporate_actions(name, first, last)
    days = [action.ex_date for action in actions if action.dividend is not None]
    return {"exDividendDate": _stamp(max(days))} if days else {}

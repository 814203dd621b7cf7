"""Announcement dates, and the session so far as a last resort, from Alpha Vantage."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import BadResponse, ConfigError, NotArmed, ProviderRefused, ProviderUnavailable
from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.vendors.alpaca_rows import Row, row_of
from wsb_core.vendors.hosts import is_loopback

if TYPE_CHECKING:
    import pandas as pd
    import requests

URL = "https://www.alphavantage.co"
KEY_VARIABLE = "ALPHA_VANTAGE_API_KEY"
REQUESTS_A_MINUTE = 5
REQUESTS_A_DAY = 25
"""Of the free plan."""
HORIZONS: Mapping[str, int] = {"3month": 90, "6month": 180, "12month": 360}
"""Days ahead that a calendar surely reaches."""
COLUMNS = ("open", "high", "low", "close", "volume")
_NEEDED = frozenset({"symbol", "reportDate"})
_TIMES = {"pre-market": ReportTime.BEFORE_OPEN, "post-market": ReportTime.AFTER_CLOSE}
_BUSY = frozenset({408, 425, 429})
_TRUST = tuple(FeedClass)
_FEED_HEADER = "X-WSB-Feed"
_QUOTE = {
    "open": "02. open",
    "high": "03. high",
    "low": "04. low",
    "close": "05. price",
    "volume": "06. volume",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """A body, the instant it was sent, and what a practice exchange says of its numbers."""

    text: str
    at: datetime
    feed: str | None


class AlphaVantageData:
    """One key's access. It serves announcements and, a request a symbol, the newest session's bar."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str = URL,
        practice: bool = False,
        horizon: str = "3month",
        deadline_seconds: float = 10.0,
    ) -> None:
        """``horizon`` is how far ahead the calendar is asked for: 3month, 6month or 12month.

        Sends nothing. Raises: ConfigError for no key, an unknown horizon or no deadline; NotArmed for a
        host on this machine that is not called practice.
        """
        # Loaded here: its HTTP stack is of no use to those who only look at the list of sources.
        import requests

        if not key:
            raise ConfigError(f"no key for Alpha Vantage: put {KEY_VARIABLE} into the environment")
        if horizon not in HORIZONS:
            raise ConfigError(f"horizon must be one of {', '.join(HORIZONS)}, not {horizon!r}")
        if deadline_seconds <= 0:
            raise ConfigError(f"deadline_seconds must be positive, not {deadline_seconds}")
        if is_loopback(base_url) and not practice:
            raise NotArmed(f"{base_url} is on this machine: its data is practice; say practice")
        self._key, self._url, self._practice = key, base_url.rstrip("/"), practice
        self._horizon, self._deadline = horizon, deadline_seconds
        self._session = requests.Session()
        # A proxy from the environment would see what is asked of an exchange on this machine.
        self._session.trust_env = not practice

    def __repr__(self) -> str:
        return f"AlphaVantageData({self._url!r}, horizon={self._horizon!r})"

    @property
    def name(self) -> str:
        return "alpha_vantage"

    @property
    def services(self) -> Mapping[DataKind, Service]:
        """Delayed at best. The free plan allows 5 requests a minute and 25 a day, and a port counts minutes
        alone: the day's end comes as ProviderUnavailable in the vendor's own words.

        One request brings the announcements of all names; the session so far takes one a symbol.
        """
        per_minute = None if self._practice else REQUESTS_A_MINUTE
        one = Service(self._class(None), per_minute, self._deadline)
        return {DataKind.EARNINGS: one, DataKind.TODAY: one}

    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[EarningsDate, ...] | Missing]:
        """Coming announcements by day, none of them called confirmed or not: the vendor does not say.

        A name with no row is missing, for the calendar does not tell "none" from "not covered"; so is one
        without a row in the span when that begins before the calendar or ends after it. As of the answer.
        Raises: ProviderUnavailable, BadResponse or ProviderRefused; nothing partial comes back.
        """
        params = {"function": "EARNINGS_CALENDAR", "horizon": self._horizon}
        if len(symbols) == 1:
            params["symbol"] = _ticker(symbols[0])
        answer = self._ask(params)
        provenance = self._provenance(answer)
        known: dict[str, list[EarningsDate]] = {}
        wanted = {_ticker(symbol): symbol for symbol in symbols}
        for row in _calendar(answer.text):
            ticker = row.text("symbol").replace(".", "-")
            if ticker in wanted:
                known.setdefault(ticker, []).append(_announcement(wanted[ticker], row, provenance))
        today = answer.at.astimezone(NEW_YORK).date()
        covered = today <= first and last <= today + timedelta(days=HORIZONS[self._horizon])
        return {
            symbol: _inside(symbol, known.get(ticker, []), first, last, covered)
            for ticker, symbol in wanted.items()
        }

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """The session so far, as of the answer; a symbol whose newest session is an earlier day is missing.

        On the free plan today's bar appears after the close. Raises: as ``earnings``.
        """
        records: list[dict[str, Any]] = []
        missing: list[Missing] = []
        answer = None
        for symbol in symbols:
            answer = self._ask({"function": "GLOBAL_QUOTE", "symbol": _ticker(symbol)})
            day = answer.at.astimezone(NEW_YORK).date()
            try:
                records.append(_bar(symbol, _global_quote(symbol, answer.text), day))
            except _NoBar as error:
                missing.append(Missing(symbol, str(error)))
        if answer is None:
            raise ProviderRefused("today: no symbol was asked for; name at least one")
        return Bars(_frame(records), True, self._provenance(answer), tuple(missing))

    def _ask(self, params: Mapping[str, str]) -> _Answer:
        """One request, sent once and not redirected: the address carries the key."""
        import requests

        what, ends = f"GET /query {params['function']}", monotonic() + self._deadline
        try:
            with self._session.get(
                f"{self._url}/query",
                params={**params, "apikey": self._key},
                timeout=self._deadline,
                allow_redirects=False,
                stream=True,
            ) as response:
                raw = _body(response, ends)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise BadResponse(f"{what}: the answer broke off: {self._scrub(error)}") from None
        except requests.RequestException as error:
            raise ProviderUnavailable(f"{what}: no answer: {self._scrub(error)}") from None
        text = raw.decode("utf-8", "replace")
        self._refuse(what, response.status_code, text)
        try:
            at = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError):
            raise BadResponse(f"{what}: the answer has no Date header, so its age is unknown") from None
        return _Answer(text, at, response.headers.get(_FEED_HEADER))

    def _refuse(self, what: str, status: int, text: str) -> None:
        """Errors come with status 200, as an object with one of three names. Two of them mean "not now"."""
        if status != 200:
            kind = ProviderUnavailable if status in _BUSY or status >= 500 else ProviderRefused
            raise kind(f"{what}: {status}: {self._scrub(text)}")
        told = _object(text)
        if told is None:
            return
        if "Error Message" in told:
            raise ProviderRefused(f"{what}: {self._scrub(told['Error Message'])}; check {KEY_VARIABLE}")
        words = " ".join(str(told[name]) for name in ("Note", "Information") if name in told)
        if "premium endpoint" in words:
            raise ProviderRefused(f"{what}: {self._scrub(words)}; the plan of this key lacks it")
        if words:
            raise ProviderUnavailable(f"{what}: {self._scrub(words)}")

    def _scrub(self, told: object) -> str:
        return str(told).replace(self._key, "***")[:500]

    def _provenance(self, answer: _Answer) -> Provenance:
        source = "practice exchange" if self._practice else "alpha vantage"
        return Provenance(source, self._class(answer.feed), answer.at)

    def _class(self, said: str | None) -> FeedClass:
        """Delayed at best; an exchange that says its data is less is believed, in words unknown least."""
        own = FeedClass.REPLAYED if self._practice else FeedClass.DELAYED
        if said is None:
            return own
        words = said.strip().lower()
        heard = FeedClass(words) if words in set(FeedClass) else _TRUST[-1]
        return max(own, heard, key=_TRUST.index)


class _NoBar(Exception):
    """The vendor has no bar of today for a symbol; the words say why."""


def _ticker(symbol: Underlying) -> str:
    """The vendor writes share classes with a dash."""
    return symbol.replace(".", "-")


def _body(response: requests.Response, ends: float) -> bytes:
    """The body whole; one that drips in is given up at the deadline."""
    from requests.exceptions import ChunkedEncodingError, ContentDecodingError, ReadTimeout
    from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError

    body = bytearray()
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if monotonic() > ends:
                raise ReadTimeout(f"the body was not complete in time ({len(body)} bytes came)")
    except ReadTimeoutError as error:
        raise ReadTimeout(str(error)) from error
    except DecodeError as error:
        raise ContentDecodingError(str(error)) from error
    except ProtocolError as error:
        raise ChunkedEncodingError(str(error)) from error
    return bytes(body)


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object a body is; None when it is something else."""
    try:
        told = json.loads(text)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _calendar(text: str) -> tuple[Row, ...]:
    """Rows of the calendar. A body that is no such table is unknown, not empty.

    A table that was cut off between two lines cannot be told from a whole one unless it lacks the last
    line's end; one cut inside a line has a row of the wrong length.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    if not set(header) >= _NEEDED:
        raise BadResponse(f"earnings: {text[:80]!r} is no calendar; it is unknown, not empty")
    rows = tuple(reader)
    if any(len(row) != len(header) for row in rows) or not text.endswith("\n"):
        raise BadResponse("earnings: the calendar breaks off; nothing of it is used")
    return tuple(Row("earnings", dict(zip(header, row, strict=True))) for row in rows)


def _announcement(symbol: Underlying, row: Row, provenance: Provenance) -> EarningsDate:
    told = (row.optional_text("timeOfTheDay") or "").strip().lower()
    return EarningsDate(
        symbol, _day(row, "reportDate"), _TIMES.get(told, ReportTime.UNKNOWN), None, provenance
    )


def _day(row: Row, name: str) -> date:
    try:
        return date.fromisoformat(row.text(name))
    except ValueError:
        raise row.bad(name, "a date") from None


def _inside(
    symbol: Underlying, known: Sequence[EarningsDate], first: date, last: date, covered: bool
) -> tuple[EarningsDate, ...] | Missing:
    if not known:
        return Missing(symbol, "Alpha Vantage's calendar has no row of it")
    found = sorted((each for each in known if first <= each.day <= last), key=lambda each: each.day)
    if not found and not covered:
        return Missing(symbol, f"Alpha Vantage's calendar does not reach from {first} to {last}")
    return tuple(found)


def _global_quote(symbol: Underlying, text: str) -> Row:
    what = f"today of {symbol}"
    told = _object(text)
    if told is None or "Global Quote" not in told:
        raise BadResponse(f"{what}: {text[:80]!r} has no 'Global Quote'; it is unknown, not empty")
    row = row_of(what, told["Global Quote"])
    if not row.fields:
        raise _NoBar("Alpha Vantage does not know the symbol")
    if row.text("01. symbol").replace(".", "-") != _ticker(symbol):
        raise row.bad("01. symbol", _ticker(symbol))
    return row


def _bar(symbol: Underlying, row: Row, day: date) -> dict[str, Any]:
    told = _day(row, "07. latest trading day")
    if told != day:
        raise _NoBar(f"no bar of {day} yet; the newest is of {told}")
    values = {name: row.number(field) for name, field in _QUOTE.items()}
    for name in COLUMNS[:4]:
        if values[name] <= 0:
            raise row.bad(_QUOTE[name], "a positive price")
    return {"symbol": str(symbol), "session": day, **{name: float(value) for name, value in values.items()}}


def _frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(records), columns=["symbol", "session", *COLUMNS])
    frame["session"] = pd.to_datetime(frame["session"]).astype("datetime64[ns]")
    return frame.astype(dict.fromkeys(COLUMNS, "float64")).sort_values(["symbol"], ignore_index=True)

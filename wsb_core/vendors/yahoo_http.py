"""yfinance's session with Yahoo: a deadline on every call, one send of each request, errors of this library.

Only its cookie and crumb exchange is used. Its readers (``Ticker``) hide errors as empty frames, keep
failed answers in a cache and date announcements in the time zone of this machine, so the bodies come
back as they were sent. Its own back end stays in use because Yahoo turns away clients without a
browser's TLS handshake; a requests session would be such a client, would have no bound on a whole call,
and ends in AttributeError on every fault of the network. A practice exchange is asked as a proxy.
"""

# yfinance takes most of a second to import: providers load this module only when an adapter is opened.
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import CurlOpt
from curl_cffi.requests import Session
from curl_cffi.requests.exceptions import ChunkedEncodingError, IncompleteRead, RequestException
from yfinance.data import YfData
from yfinance.exceptions import YFRateLimitError

from wsb_core.domain.errors import BadResponse, ConfigError, ProviderUnavailable, WsbError

HOST = "https://query2.finance.yahoo.com"
FEED_HEADER = "X-WSB-Feed"
_DATA_PATHS = ("/v7/finance/", "/v8/finance/", "/v10/finance/")
_RENEW = frozenset({401, 403})
"""Statuses after which yfinance fetches a new cookie and crumb and asks once more."""
_TOLD = frozenset({400, 404, 422})
"""Statuses that come with Yahoo's own words for why there is nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One body, the instant Yahoo says it was sent, and what a practice exchange says of its prices."""

    body: Any
    at: datetime
    feed: str | None


class _Status(Exception):
    """A data request was answered with an error: raised, because yfinance would ask again."""

    def __init__(self, response: Any) -> None:
        super().__init__(response.status_code)
        self.response = response


class _Session(Session):  # type: ignore[type-arg]
    """Sends each request once and before ``ends``; in practice mode to the exchange and nowhere else."""

    def __init__(self, practice_url: str | None) -> None:
        super().__init__(impersonate="chrome", trust_env=practice_url is None)
        # On a connection that it kept, curl would send a request again when no answer comes.
        self.curl_options[CurlOpt.FORBID_REUSE] = 1  # type: ignore[assignment]  # it takes numbers too
        if practice_url is not None:
            # As a proxy it is asked for every host there is, whatever the environment says of proxies.
            self.proxies = {"all": practice_url}
            self.curl_options[CurlOpt.NOPROXY] = ""
        self._practice = practice_url is not None
        self.ends = 0.0

    def request(self, method: Any, url: str, *_: Any, **options: Any) -> Any:
        parts = urlsplit(url)
        left = self.ends - monotonic()
        if left <= 0:
            raise ProviderUnavailable(f"{parts.path}: no time left to ask")
        data = parts.path.startswith(_DATA_PATHS)
        # The cookie is dispensable: a host that only hands it out must not use up the whole time.
        options["timeout"] = left if data else left / 3
        if self._practice:
            url = parts._replace(scheme="http").geturl()
            options["allow_redirects"] = False
        response = super().request(method, url, **options)
        if data and response.status_code >= 400 and response.status_code not in _RENEW:
            raise _Status(response)
        return response


class _Exchange(YfData):  # type: ignore[misc]
    """Cookie and crumb of one session, which nobody else's object has.

    yfinance hands out one object a process, and keeps cookies in a file on which the next session begins:
    a cookie that Yahoo no longer takes would be asked with again and again, and an exchange's sent to Yahoo.
    """

    @classmethod
    def over(cls, session: _Session) -> _Exchange:
        made: _Exchange = type.__call__(cls, session)
        return made

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802 - the name is yfinance's
        return "A3" in self._session.cookies

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802 - the name is yfinance's
        return False


class YahooHttp:
    """Reads of Yahoo's JSON. One call, cookie and crumb included, lasts at most ``deadline_seconds``."""

    def __init__(self, practice_url: str | None, *, deadline_seconds: float) -> None:
        """Sends nothing. Raises: ConfigError for a deadline that is not positive."""
        if deadline_seconds <= 0:
            raise ConfigError(f"deadline_seconds must be positive, not {deadline_seconds}")
        self._practice_url, self._deadline = practice_url, deadline_seconds
        self._session: _Session | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"YahooHttp(practice_url={self._practice_url!r})"

    def get(self, path: str, params: Mapping[str, Any]) -> Answer:
        """The JSON answered to ``path``, sent once; an error that Yahoo words itself is an answer too.

        Raises: ProviderUnavailable when there was no answer in time, or a 401, 403, 429 or 5xx;
        BadResponse when what came is not JSON.
        """
        with self._lock:
            try:
                response = self._ask(path, params)
            except Exception as error:
                raise _error(path, error) from None
        if response.status_code >= 400 and response.status_code not in _TOLD:
            self._forget()
            raise ProviderUnavailable(f"GET {path}: {response.status_code}: {response.text[:200]}")
        return _read(path, response)

    def _ask(self, path: str, params: Mapping[str, Any]) -> Any:
        """yfinance raises whatever it stumbles over, of its back end's classes and of none."""
        if self._session is None:
            self._session = _Session(self._practice_url)
            self._yf = _Exchange.over(self._session)
        self._session.ends = monotonic() + self._deadline
        try:
            return self._yf.get(HOST + path, params=dict(params), timeout=self._deadline)
        except _Status as status:
            return status.response

    def _forget(self) -> None:
        """A session that failed may hold a bad crumb: the next call begins with a new one."""
        if self._session is not None:
            self._session.close()
        self._session = None


def _error(path: str, error: Exception) -> WsbError:
    if isinstance(error, WsbError):
        return type(error)(f"GET {path}: {error}")
    told = f"GET {path}: {type(error).__name__}: {error}"[:500]
    if isinstance(error, IncompleteRead | ChunkedEncodingError):
        return BadResponse(told)
    return (ProviderUnavailable if isinstance(error, RequestException | YFRateLimitError) else BadResponse)(
        told
    )


def _read(path: str, response: Any) -> Answer:
    try:
        body = json.loads(response.text)
    except ValueError:
        told = f"{response.status_code} {response.text[:80]!r}"
        raise BadResponse(f"GET {path}: not JSON: {told}; it is unknown, not empty") from None
    try:
        at = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        raise BadResponse(f"GET {path}: the answer has no Date header, so its age is unknown") from None
    return Answer(body, at, response.headers.get(FEED_HEADER))

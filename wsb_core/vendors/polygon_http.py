"""polygon-api-client with a deadline on every request chain, no re-sends, and nothing taken for empty."""

# The client takes half a second to import: the registry loads this module only when the source is opened.
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from polygon import RESTClient
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import DecodeError, HTTPError, ProtocolError

from wsb_core.domain.errors import BadResponse, ConfigError, ProviderRefused, ProviderUnavailable, WsbError

from .alpaca_rows import Row, row_of, rows_of
from .polygon_rows import KEY_VARIABLES

_BUSY = frozenset({408, 413, 425, 429, 499})
"""The vendor's own client asks again after 413, 429 and 499."""
_GOOD = frozenset({"OK", "DELAYED"})
_CHUNK = 65_536
_Params = Mapping[str, Any]


class NotEntitled(ProviderRefused):
    """The plan of this key does not include what was asked for."""


class NotFound(ProviderRefused):
    """The vendor itself says, in its own words, that there is no such thing."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, whole: the object, and what its headers say of its prices (None when they say nothing)."""

    body: Row
    feed: str | None

    @property
    def delayed(self) -> bool:
        """Whether the vendor says that these prices are not of now."""
        return self.body.fields.get("status") == "DELAYED"

    def rows(self, name: str = "results") -> tuple[Row, ...]:
        """What is listed under ``name``.

        Empty only when the vendor says that there is nothing: with an empty list, or without one and
        with a count of 0. Raises: BadResponse otherwise, or when the count is another one.
        """
        what, told = self.body.what, self.body.fields.get(name)
        counts = [self.body.fields[key] for key in ("resultsCount", "count") if key in self.body.fields]
        if told is None and 0 in counts:
            return ()
        if told is None:
            raise BadResponse(f"{what}: the answer has no {name!r}; it is unknown, not empty")
        rows = rows_of(what, told)
        if any(count != len(rows) for count in counts):
            raise BadResponse(f"{what}: {len(rows)} rows came where {counts[0]} are counted; it is not whole")
        return rows

    def row(self, name: str = "results") -> Row:
        """The one object under ``name``. Raises: BadResponse when there is none."""
        found = self.body.child(name)
        if found is None:
            raise BadResponse(f"{self.body.what}: the answer has no {name!r}; it is unknown, not empty")
        return found


class PolygonHttp:
    """The vendor's own client, asked below its parsing: that hides statuses, truncation and absent keys.

    Nothing is sent twice, no redirect is followed, and the key goes to one host: of the address of a
    next page only path and query are used.
    """

    def __init__(self, key: str, base_url: str, *, deadline_seconds: float) -> None:
        """Sends nothing. Raises: ConfigError for no key, no host or no deadline."""
        if not key:
            raise ConfigError(f"no key for Polygon: put {' or '.join(KEY_VARIABLES)} into the environment")
        if deadline_seconds <= 0:
            raise ConfigError(f"deadline_seconds must be positive, not {deadline_seconds}")
        if not urlsplit(base_url).hostname:
            raise ConfigError(f"base_url must be an address such as https://api.polygon.io, not {base_url!r}")
        self._deadline, self._key = deadline_seconds, key
        # Its read timeout is taken and never used, its retries are silent: both are done here instead.
        self._client = RESTClient(api_key=key, base=base_url.rstrip("/"), retries=0)

    def __repr__(self) -> str:
        return f"PolygonHttp({urlsplit(self._client.BASE).netloc!r})"

    def get(self, path: str, params: _Params | None = None) -> Page:
        """The object answered.

        Raises: ProviderUnavailable, BadResponse, NotEntitled, NotFound or ProviderRefused, by ``_refusal``.
        """
        return self._get(path, params, monotonic() + self._deadline)

    def pages(self, path: str, params: _Params, *, seconds: float | None = None) -> Iterator[Page]:
        """Every page to the last one, all within ``seconds`` (the deadline of one request unless given)
        and each within the deadline of one.

        Raises: as ``get``, and BadResponse when a page leads back to one that came before.
        """
        ends = monotonic() + (seconds or self._deadline)
        asked: _Params | None = params
        following, seen = path, {path}
        while True:
            page = self._get(following, asked, min(ends, monotonic() + self._deadline), named=path)
            yield page
            told = page.body.optional_text("next_url")
            if told is None:
                return
            parts = urlsplit(told)
            following, asked = f"{parts.path}?{parts.query}", None
            if following in seen:
                raise BadResponse(f"GET {path}: the same next page came twice, the pages never end")
            seen.add(following)

    def _get(self, path: str, params: _Params | None, ends: float, named: str | None = None) -> Page:
        what = f"GET {named or path}"
        try:
            status, headers, raw = self._send(path, params, ends)
        except HTTPError as error:
            told = self._scrub(f"{type(error).__name__}: {error}")
            # "Connection broken" is what urllib3 calls a body that ended too early.
            if isinstance(error, DecodeError) or (isinstance(error, ProtocolError) and "broken" in told):
                raise BadResponse(f"{what}: the answer broke off: {told}") from None
            raise ProviderUnavailable(f"{what}: no answer: {told}") from None
        if status != 200:
            raise self._refusal(what, status, raw)
        body = row_of(what, _parsed(what, raw))
        word = body.optional_text("status")
        if word is not None and word not in _GOOD:
            raise self._refusal(what, 403 if word == "NOT_AUTHORIZED" else status, raw)
        return Page(body, headers.get("X-WSB-Feed"))

    def _send(self, path: str, params: _Params | None, ends: float) -> tuple[int, Mapping[str, str], bytes]:
        left = ends - monotonic()
        if left <= 0:
            raise HTTPError("the time for this answer was used up by its earlier pages")
        response = self._client.client.request(
            "GET",
            self._client.BASE + path,
            fields=dict(params) if params else None,
            headers=self._client.headers,
            timeout=Timeout(total=left),
            preload_content=False,
            # Neither re-sent nor led on to another host.
            retries=False,
        )
        return response.status, response.headers, _read(response, ends)

    def _refusal(self, what: str, status: int, raw: bytes) -> WsbError:
        """What is busy and 5xx may be asked again; 403 is the plan's word; the rest is for good."""
        words = self._scrub(_words(raw))
        if status in _BUSY or status >= 500:
            return ProviderUnavailable(f"{what}: {status}: {words}")
        if status == 200:
            return BadResponse(f"{what}: answered 200 and an error: {words}")
        if status == 403:
            return NotEntitled(
                f"{what}: 403: {words}; add it to the plan of this key or take it from another source"
            )
        if status == 404 and _vendor_says(raw, "NOT_FOUND"):
            return NotFound(f"{what}: 404: {words}")
        remedy = "check the request"
        if status == 401:
            remedy = f"check {' or '.join(KEY_VARIABLES)}"
        elif 300 <= status < 400:
            remedy = "it wants another host; set the address of the vendor"
        return ProviderRefused(f"{what}: {status}: {words}; {remedy}")

    def _scrub(self, text: str) -> str:
        return text.replace(self._key, "***")[:500]


def _read(response: BaseHTTPResponse, ends: float) -> bytes:
    """The body whole; one that drips in is given up at the deadline."""
    body = bytearray()
    try:
        while chunk := response.read1(_CHUNK, decode_content=True):
            body += chunk
            if monotonic() > ends:
                raise HTTPError(f"the body was not complete in time ({len(body)} bytes came)")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return bytes(body)


def _parsed(what: str, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        start = raw[:60].decode("utf-8", "replace")
        raise BadResponse(f"{what}: {len(raw)} bytes that are no JSON ({error}): {start!r}") from None


def _words(raw: bytes) -> str:
    """The vendor's own words for an error; a gateway's page is told as it is."""
    text = raw.decode("utf-8", "replace")
    try:
        told = json.loads(text)
    except ValueError:
        return text or "(empty body)"
    said: Sequence[Any] = (
        [told.get(name) for name in ("message", "error") if told.get(name)] if isinstance(told, dict) else ()
    )
    return " ".join(str(part) for part in said) or text


def _vendor_says(raw: bytes, status: str) -> bool:
    """Whether the body is the vendor's own, with this status: a gateway says something else."""
    try:
        told = json.loads(raw)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("status") == status

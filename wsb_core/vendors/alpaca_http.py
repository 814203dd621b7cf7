"""alpaca-py with a deadline on every call, no re-sends, and errors of this library."""

# alpaca-py takes most of a second to import: the registries load this module only when an adapter is opened.
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from io import BytesIO
from time import monotonic
from typing import Any

import requests
from alpaca.common.exceptions import APIError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError

from wsb_core.domain.errors import (
    BadResponse,
    ConfigError,
    InsufficientBuyingPower,
    OrderRejected,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    WsbError,
)

from .hosts import is_loopback

ORDER_NOT_FOUND = 40410000
_DUPLICATE_ID = 40010001
_BUSY = frozenset({408, 425, 429})
_CHUNK = 65_536
_LONGEST = 20_000
Tap = Callable[[Mapping[str, Any]], None]
_REMEDIES = (
    ("opra", "sign the OPRA agreement at the broker or set the option feed to 'indicative'"),
    ("sip", "subscribe to SIP at the broker or set the stock feed to 'iex'"),
)


class _Deadline(HTTPAdapter):
    """Bounds every wait, a body that drips in included; alpaca-py itself sets no timeout at all."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.headers: Mapping[str, str] = {}
        self.tap: Callable[[Any, requests.Response | Exception, bytes, float], None] | None = None

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        began = monotonic()
        try:
            response = super().send(request, **{**options, "stream": True, "timeout": self._seconds})
            self.headers = response.headers
            body = _read_body(response, began + self._seconds)
        except Exception as error:
            if self.tap is not None:
                self.tap(request, error, b"", monotonic() - began)
            raise
        if self.tap is not None:
            self.tap(request, response, body, monotonic() - began)
        response.raw = BytesIO(body)
        return response


def _read_body(response: requests.Response, ends: float) -> bytes:
    body = bytearray()
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if monotonic() > ends:
                raise requests.ReadTimeout(f"body not complete in time ({len(body)} bytes came)")
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(str(error)) from error
    except (ProtocolError, DecodeError) as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error
    finally:
        response.raw.close()
        response.raw.release_conn()
    return bytes(body)


class FailureKind(Enum):
    STATUS = auto()
    """An HTTP status above 399 was answered."""
    UNREACHABLE = auto()
    """No answer in time, or the connection broke before one."""
    UNREADABLE = auto()
    """An answer came that cannot be read whole."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed, in plain values: nothing of the request is kept, so no key is in it."""

    kind: FailureKind
    text: str
    status: int | None = None
    code: int | None = None


class AlpacaHttp:
    """One alpaca-py client whose reads raise ``Transient`` or ``Terminal`` and whose posts go out once.

    A single wait on the network lasts at most ``deadline_seconds``. ``tap`` is told of every request and
    what came of it, for the record: no header is in it, and no key.
    """

    def __init__(
        self, client: Any, *, secrets: Sequence[str], deadline_seconds: float, tap: Tap | None = None
    ) -> None:
        if deadline_seconds <= 0:
            raise ConfigError(f"deadline_seconds must be positive, not {deadline_seconds}")
        self._client = client
        self._secrets = tuple(secret for secret in secrets if secret)
        self._adapter = _Deadline(deadline_seconds)
        # The library re-sends any method on 429 and 504, orders included, and only this attribute stops it.
        client._retry = 0
        client._session.mount("https://", self._adapter)
        client._session.mount("http://", self._adapter)
        # A proxy from the environment would see the keys of an exchange on this machine.
        client._session.trust_env = not is_loopback(str(client._base_url))
        if tap is not None:
            self._tell = tap
            self._adapter.tap = self._told

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._client).__name__})"

    def header(self, name: str) -> str | None:
        """A header of the latest answer; None when it did not carry it."""
        return self._adapter.headers.get(name)

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, absent_code: int | None = None
    ) -> Any:
        """The JSON answered.

        None only where ``absent_code`` is given and the vendor itself says, with that code, that there
        is no such thing. A 404 in other words (a gateway's, a wrong address) says nothing and is raised.
        Raises: ProviderUnavailable, BadResponse or ProviderRefused, by the table of ``_read_error``.
        """
        try:
            answer = self._client.get(path, dict(params or {}))
        except (APIError, requests.RequestException, ValueError) as error:
            failure = self._failure(error)
            if failure.status == 404 and absent_code is not None and failure.code == absent_code:
                return None
            raise _read_error(f"GET {path}", failure) from None
        if answer is None:
            raise BadResponse(f"GET {path}: the answer was empty")
        return answer

    def pages(self, path: str, params: Mapping[str, Any], key: str) -> Iterator[Any]:
        """What stands under ``key`` on every page, to the last one.

        Raises: as ``get``, and BadResponse when a page lacks ``key`` or a page token comes twice.
        """
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = self.get(path, params if token is None else {**params, "page_token": token})
            if not isinstance(page, dict) or page.get(key) is None:
                raise BadResponse(f"GET {path}: the answer has no {key!r}; it is unknown, not empty")
            yield page[key]
            token = page.get("next_page_token") or None
            if token is None:
                return
            if token in seen:
                raise BadResponse(f"GET {path}: page token {token!r} came twice, the pages never end")
            seen.add(token)

    def post_order(self, client_order_id: str, body: Mapping[str, Any]) -> Any:
        """Send one order, once; the JSON answered.

        Raises: OrderRejected, InsufficientBuyingPower or OutcomeUnknown, by the table of ``_submit_error``.
        """
        try:
            return self._client.post("/orders", dict(body))
        except (APIError, requests.RequestException, ValueError) as error:
            raise _submit_error(client_order_id, self._failure(error)) from None

    def delete_order(self, order_id: str) -> None:
        """Ask for a cancel; repeating it is safe. An order that can no longer be canceled is no error.

        Raises: as ``get``.
        """
        path = f"/orders/{order_id}"
        try:
            self._client.delete(path)
        except (APIError, requests.RequestException, ValueError) as error:
            failure = self._failure(error)
            if failure.status != 422:
                raise _read_error(f"DELETE {path}", failure) from None

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, APIError):
            code, text = _words(str(error))
            return Failure(FailureKind.STATUS, self._scrub(text), error.status_code, code)
        text = self._scrub(f"{type(error).__name__}: {error}")
        unreadable = isinstance(
            error,
            requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError | ValueError,
        )
        return Failure(FailureKind.UNREADABLE if unreadable else FailureKind.UNREACHABLE, text)

    def _told(self, request: Any, came: requests.Response | Exception, body: bytes, seconds: float) -> None:
        """Orders in full; of what is only read, how much came and its digest."""
        sent = request.body or b""
        text = sent.decode("utf-8", "replace") if isinstance(sent, bytes) else str(sent)
        told: dict[str, Any] = {
            "call": f"{request.method} {request.path_url}",
            "ms": round(seconds * 1000, 1),
        }
        if text:
            told["sent"] = self._scrub(text, _LONGEST)
        if isinstance(came, Exception):
            told["error"] = self._scrub(f"{type(came).__name__}: {came}")
        else:
            told["status"] = came.status_code
            if request.method == "GET" and "orders:by_client_order_id" not in request.path_url:
                told |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            else:
                told["answer"] = self._scrub(body.decode("utf-8", "replace"), _LONGEST)
        self._tell(told)

    def _scrub(self, text: str, longest: int = 500) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:longest]


def _words(body: str) -> tuple[int | None, str]:
    """Code and message of an error body; market data sends no code, a gateway sends HTML."""
    try:
        told = json.loads(body)
    except ValueError:
        return None, body or "(empty body)"
    if not isinstance(told, dict):
        return None, body
    code = told.get("code")
    return (code if isinstance(code, int) else None), str(told.get("message", body))


def _read_error(what: str, failure: Failure) -> WsbError:
    """Reads: no answer, 408, 425, 429, 5xx may be asked again; other statuses are a refusal for good."""
    if failure.kind is FailureKind.UNREADABLE:
        return BadResponse(f"{what}: {failure.text}")
    if failure.status is None or failure.status in _BUSY or failure.status >= 500:
        return ProviderUnavailable(f"{what}: {failure.status or 'no answer'}: {failure.text}")
    remedy = "check the request"
    if failure.status == 401:
        remedy = "check that key and secret belong to this host and are not revoked"
    for word, advice in _REMEDIES:
        if word in failure.text.lower():
            remedy = advice
    return ProviderRefused(f"{what}: {failure.status}: {failure.text}; {remedy}")


def _submit_error(client_order_id: str, failure: Failure) -> WsbError:
    """Orders: only a 4xx that names a reason is a no. Everything else may be working at the broker.

    429 says "not now" and a duplicate id says "I have it already"; in both the look-up decides.
    """
    text, lower = failure.text, failure.text.lower()
    duplicate = failure.code == _DUPLICATE_ID or ("client_order_id" in lower and "unique" in lower)
    refused = failure.status is not None and 400 <= failure.status < 500 and failure.status not in _BUSY
    if not refused or duplicate:
        return OutcomeUnknown(
            f"{client_order_id}: {failure.status or failure.kind.name.lower()}: {text}; look it up by its id"
        )
    short = "insufficient" in lower and ("buying power" in lower or "cash" in lower)
    error = InsufficientBuyingPower if short else OrderRejected
    return error(f"{client_order_id}: {text}", code=failure.code, status=failure.status)

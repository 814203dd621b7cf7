"""Paging by token: the token names the last thing told, so that it survives what is inserted before it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from .parse import Malformed

Item = TypeVar("Item")


def page(
    items: Iterable[Item], key: Callable[[Item], str], limit: int, token: str | None
) -> tuple[list[Item], str | None]:
    """``limit`` items after the one the token names, and the next token (None at the end).

    ``items`` are in their final order, and no two have the same ``key``.
    Raises: Malformed when the token names nothing that is there.
    """
    rest = iter(items)
    if token:
        last = last_told(token)
        if not any(key(item) == last for item in rest):
            raise Malformed(f"invalid page_token: {token!r}")
    found = list(islice(rest, limit + 1))
    more = len(found) > limit
    return found[:limit], _write(key(found[limit - 1])) if more else None


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def last_told(token: str) -> str:
    """The key of the last thing the page that gave this token told.

    Raises: Malformed when the token cannot be read.
    """
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Malformed(f"invalid page_token: {token!r}") from error

"""Dated facts that the market feed does not carry, told as a vendor would from the caller's tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from wsb_core.domain.events import EarningsDate, Yields
from wsb_core.domain.ids import Underlying


@dataclass(frozen=True, slots=True)
class Almanac:
    """None is "not served here", as for a key whose plan lacks it; an empty table is served and empty."""

    earnings: Mapping[Underlying, tuple[EarningsDate, ...]] | None = None
    """By name; a name that is not in it is one the vendor does not cover."""
    yields: tuple[Yields, ...] | None = None


EMPTY = Almanac()
ALMANAC: web.AppKey[Almanac] = web.AppKey("almanac", Almanac)

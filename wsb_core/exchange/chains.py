"""Modelled option chains: prices, quotes, sizes and open interest of the listed contracts.

No package with real chains exists, so these are made from the underlying's real history, with numbers
fitted on real chains where there are any. They serve to exercise code; they prove nothing about a strategy.
Nothing here reads a price of the session itself except the spot it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

from wsb_core.domain.calendar import NEW_YORK, session_on, years_between
from wsb_core.domain.contracts import OptionContract, Right
from wsb_core.domain.ids import Price
from wsb_core.domain.quotes import OptionQuote, Provenance, Quote
from wsb_core.pricing.black_scholes import european
from wsb_core.pricing.leisen_reimer import american

from .backdrop import Backdrop, atm_vol, smile
from .listing import contracts, expiries
from .model import Listed
from .paths import cumulative_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Keys = NDArray[np.uint64]

_SPREAD_SPOT = 93.7
_MID_KNOTS = np.array([0.05, 0.30, 0.75, 1.50, 3.50, 12.0, 100.0])
_SPREAD_KNOTS = np.array([0.02, 0.04, 0.06, 0.07, 0.15, 0.20, 0.80])
"""Quoted spread by mid price, dollars, at a spot of 93.70 with which both scale: closing quotes of AAPL
on 2014-06-09, out of the money; the last point is assumed."""
_SPREAD_SCALE = ((500e6, 1.0), (100e6, 1.5), (0.0, 2.5))
"""Average dollar volume of the underlying a day, and what the spread above is multiplied by: assumed."""
_PENNY_VOLUME = 100e6
_INDEX_DELTAS = np.array([0.02, 0.05, 0.10, 0.20, 0.35])
_INDEX_DTE = np.array([7, 30, 90])
_INDEX_SPREADS = np.array(
    [
        [0.10, 0.10, 0.15, 0.20],
        [0.10, 0.15, 0.20, 0.30],
        [0.15, 0.20, 0.30, 0.40],
        [0.20, 0.30, 0.30, 0.50],
        [0.30, 0.30, 0.40, 0.70],
        [0.40, 0.40, 0.50, 0.90],
    ]
)
"""Quoted spread in SPXW by |delta| and days to expiry, index points, at an index of 2900 (2019)."""
_INDEX_LEVEL = 2900.0
_LEAST_YEARS = 1.0 / (365.0 * 24.0 * 60.0)


def listed(market: Backdrop) -> tuple[Listed, ...]:
    """Every listed contract with the open interest of the evening before."""
    found: list[Listed] = []
    for expiry in expiries(market):
        names = contracts(market, expiry)
        keys = _keys(market, names)
        interest = _open_interest(market, names, keys).tolist()
        found += [Listed(name, count) for name, count in zip(names, interest, strict=True)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Rows:
    """Priced contracts in columns; prices in cents, 0 where there is no bid."""

    contracts: tuple[OptionContract, ...]
    mid: Floats
    """The model's price before rounding to ticks, dollars."""
    bid: list[int]
    ask: list[int]
    bid_size: list[int]
    ask_size: list[int]
    iv: list[float]
    delta: list[float]
    gamma: list[float]
    theta: list[float]
    vega: list[float]
    open_interest: list[int]
    volume: list[int]

    def quotes(self, provenance: Provenance, rights: Sequence[Right] = tuple(Right)) -> list[OptionQuote]:
        """The rows of these sides as quotes, in order."""
        return [
            OptionQuote(
                Quote(name, _dollars(bid) if bid else None, _dollars(ask), bid_size, ask_size, provenance),
                *rest,
            )
            for name, bid, ask, bid_size, ask_size, *rest in zip(
                self.contracts,
                self.bid,
                self.ask,
                self.bid_size,
                self.ask_size,
                self.iv,
                self.delta,
                self.gamma,
                self.theta,
                self.vega,
                self.open_interest,
                self.volume,
                strict=True,
            )
            if name.right in rights
        ]


class _Values(NamedTuple):
    price: Floats
    iv: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats


def price(market: Backdrop, spot: float, at: datetime, names: tuple[OptionContract, ...]) -> Rows:
    """Quotes of contracts of one expiry with the underlying at ``spot`` at the instant ``at``."""
    strike = np.array([float(name.strike) for name in names])
    is_call = np.array([name.right is Right.CALL for name in names], dtype=bool)
    expiry = names[0].expiry if names else market.session.day
    years = max(_LEAST_YEARS, years_between(at, _expires_at(expiry)))
    values = _values(market, spot, years, strike, is_call)
    dte = (expiry - market.session.day).days
    bid, ask = _quoted(market, spot, dte, values)
    keys = _keys(market, names)
    minute = (at - market.session.opens) // timedelta(minutes=1)
    interest = _open_interest(market, names, keys)
    bid_size, ask_size, volume = _activity(market, keys, minute, interest)
    return Rows(
        names,
        values.price,
        bid.tolist(),
        ask.tolist(),
        np.where(bid > 0, bid_size, 0).tolist(),
        ask_size.tolist(),
        values.iv.tolist(),
        values.delta.tolist(),
        values.gamma.tolist(),
        values.theta.tolist(),
        values.vega.tolist(),
        interest.tolist(),
        volume.tolist(),
    )


@lru_cache(maxsize=256)
def _expires_at(expiry: date) -> datetime:
    try:
        session = session_on(expiry)
    except ValueError:
        session = None
    return session.closes if session else datetime(expiry.year, expiry.month, expiry.day, 16, tzinfo=NEW_YORK)


def _values(market: Backdrop, spot: float, years: float, strike: Floats, is_call: Flags) -> _Values:
    """Model prices and Greeks; an American vega is that of the European contract.

    Without dividends an American call is worth the European one, so only the others need a tree.
    """
    rate, dividend = market.rate, market.dividend_yield
    forward = spot * np.exp((rate - dividend) * years)
    vol = smile(market, atm_vol(market, spot, years), years, np.log(strike / forward))
    plain = european(spot, strike, years, rate, dividend, vol, is_call)
    found = _Values(plain.price, vol, plain.delta, plain.gamma, plain.theta, plain.vega)
    early = np.zeros_like(is_call) if market.is_index else ~is_call | (dividend > 0)
    if early.any():
        tree = american(spot, strike[early], years, rate, dividend, vol[early], is_call[early])
        for column, values in zip(
            (found.price, found.delta, found.gamma, found.theta),
            (tree.price, tree.delta, tree.gamma, tree.theta),
            strict=True,
        ):
            column[early] = values
    return found


def _quoted(market: Backdrop, spot: float, dte: int, values: _Values) -> tuple[Ints, Ints]:
    """Bid and ask in cents on the contract's tick; a bid under one tick is 0."""
    if market.is_index:
        column = int(np.searchsorted(_INDEX_DTE, dte))
        row = np.searchsorted(_INDEX_DELTAS, np.abs(values.delta))
        spread = _INDEX_SPREADS[row, column] * spot / _INDEX_LEVEL
        small, large = 5, 10
    else:
        scale = next(scale for least, scale in _SPREAD_SCALE if market.dollar_volume >= least)
        unit = spot / _SPREAD_SPOT
        spread = np.interp(values.price / unit, _MID_KNOTS, _SPREAD_KNOTS) * unit * scale
        small, large = (1, 5) if market.dollar_volume >= _PENNY_VOLUME else (5, 10)
    tick = np.where(values.price < 3.0, small, large)
    bid = np.floor((values.price - spread / 2.0) * 100.0 / tick + 0.5) * tick
    ask = np.floor((values.price + spread / 2.0) * 100.0 / tick + 0.5) * tick
    bid = np.where(bid < tick, 0, bid)
    ask = np.maximum(ask, bid + tick)
    return bid.astype(np.int64), ask.astype(np.int64)


_INTEREST_PER_DOLLAR = 12.0 / 1e6
_MOST_INTEREST = 40_000.0


def _open_interest(market: Backdrop, names: tuple[OptionContract, ...], keys: Keys) -> Ints:
    """Seeded: larger near the money, at round strikes, near expiry, and with the trade in the underlying."""
    if not names:
        return np.zeros(0, dtype=np.int64)
    strike = np.array([float(name.strike) for name in names])
    days = max(1, (names[0].expiry - market.session.day).days)
    distance = np.log(strike / market.previous_close) / (market.level * np.sqrt(max(days, 20) / 365.0))
    middle = min(market.dollar_volume * _INTEREST_PER_DOLLAR, _MOST_INTEREST)
    ripeness = 1.0 / (1.0 + days / 90.0)
    roundness = np.where(np.mod(strike, 10.0) == 0, 1.6, np.where(np.mod(strike, 5.0) == 0, 1.2, 0.8))
    luck = np.exp(0.8 * (_uniform(keys, 1) - 0.5))
    count = middle * ripeness * roundness * luck * np.exp(-0.5 * (distance / 1.5) ** 2)
    found: Ints = count.astype(np.int64)
    return found


def _activity(market: Backdrop, keys: Keys, minute: int, interest: Ints) -> tuple[Ints, Ints, Ints]:
    """Sizes at the touch, seeded by contract and minute, and the contracts traded so far today."""
    session = market.session
    share = cumulative_volume((session.closes - session.opens) // timedelta(minutes=1))[minute]
    day, moment = session.day.toordinal(), session.day.toordinal() * 1000 + minute
    depth = np.clip(np.sqrt(interest), 5.0, 150.0)
    bid_size = np.ceil(depth * _uniform(keys, 2 * moment)).astype(np.int64)
    ask_size = np.ceil(depth * _uniform(keys, 2 * moment + 1)).astype(np.int64)
    volume = (interest * (0.05 + 0.35 * _uniform(keys, 3 * day)) * share).astype(np.int64)
    return bid_size, ask_size, volume


def _keys(market: Backdrop, names: tuple[OptionContract, ...]) -> Keys:
    """A number that names each contract, for the seeded draws."""
    base = crc32(f"{market.seed}|{market.root}".encode())
    return np.array(
        [
            (base << 32)
            ^ (name.expiry.toordinal() << 40)
            ^ (int(name.strike * 1000) << 1)
            ^ (name.right == "C")
            for name in names
        ],
        dtype=np.uint64,
    )


def _uniform(keys: Keys, stream: int) -> Floats:
    """Numbers in (0, 1) fixed by key and stream. Source: SplitMix64 (Steele, Lea and Flood, 2014)."""
    mixed = keys + np.uint64((stream * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    found: Floats = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return found


@lru_cache(maxsize=65536)
def _dollars(cents: int) -> Price:
    return Price(Decimal(cents).scaleb(-2))

"""Forward and smile of one expiry, and of a whole chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wsb_core.pricing.american import american
from wsb_core.pricing.european import european
from wsb_core.pricing.forward import ExpiryQuotes, implied_forward, implied_forward_american
from wsb_core.pricing.smile import fit_smile

from .harness import Figure, Job, medians

SPOT, RATE, YIELD = 2750.0, 0.025, 0.02


def expiry(years: float, count: int, price_of: Callable[..., Any] = european) -> ExpiryQuotes:
    """One expiry: ``count`` strikes with call and put, a skew, a spread that grows with the price."""
    deviation = 0.15 * np.sqrt(years)
    strikes = np.unique(np.round(SPOT * np.exp(deviation * np.linspace(-6.0, 2.5, count))))
    strike, is_call = np.tile(strikes, 2), np.arange(2 * len(strikes)) < len(strikes)
    x = np.log(strike / SPOT) / deviation
    vol = 0.13 + 0.03 * (np.sqrt((x - 0.5) ** 2 + 1.0) - 0.55 * (x - 0.5))
    price = price_of(SPOT, strike, years, RATE, YIELD, vol, is_call).price
    noise = np.random.default_rng(1).uniform(-0.02, 0.02, len(strike))
    half = 0.05 + 0.004 * price
    return ExpiryQuotes(strike, np.maximum(price + noise - half, 0.0), price + noise + half, is_call)


def both(quotes: ExpiryQuotes, years: float) -> object:
    return fit_smile(quotes, implied_forward(quotes, years))


def early(quotes: ExpiryQuotes, years: float) -> object:
    forward = implied_forward_american(quotes, SPOT, years, rate=RATE)
    return fit_smile(quotes, forward, spot=SPOT)


def one_expiry() -> list[Figure]:
    found = []
    for count in (25, 100, 250):
        quotes = expiry(0.1, count)
        seconds = medians(
            lambda quotes=quotes: both(quotes, 0.1), lambda quotes=quotes: implied_forward(quotes, 0.1)
        )
        found.append(Figure(seconds[0] * 1e3, f"{count} strikes, forward and smile"))
        found.append(Figure(seconds[1] * 1e3, f"{count} strikes, forward alone"))
    quotes = expiry(0.1, 100, american)
    found.append(
        Figure(medians(lambda: early(quotes, 0.1), rounds=7)[0] * 1e3, "100 strikes, American, both")
    )
    return found


def whole_chain() -> list[Figure]:
    years = np.array(
        [2, 4, 7, 9, 11, 14, 16, 18, 21, 23, 25, 28, 35, 42, 49, 63, 77, 91, 120, 182, 273, 365, 546]
    )
    chain = [(expiry(t / 365, 150), t / 365) for t in years]
    rows = sum(len(quotes.strike) for quotes, _ in chain)
    seconds = medians(lambda: [both(quotes, t) for quotes, t in chain], rounds=5)[0]
    return [Figure(seconds * 1e3, f"{len(chain)} expiries, {rows} quotes")]


def _job(name: str, measure: Callable[[], list[Figure]]) -> Job:
    warm: Callable[[], Any] = lambda: both(expiry(0.1, 20), 0.1)  # noqa: E731
    return Job(name, "ms", "none", measure, warm)


JOBS = (
    _job("surface: one expiry", one_expiry),
    _job("surface: whole chain", whole_chain),
)

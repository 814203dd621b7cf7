"""European prices, Greeks and implied volatility beside QuantLib and plain numpy + scipy."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from wsb_core.pricing.european import european, implied_vol

from .harness import Figure, Job, medians, peer

ROOT = Path(__file__).resolve().parents[2]
HARD_ROWS = ROOT / "tests" / "golden" / "iv_mpmath.csv"
ROWS = 100_000
PEER_ROWS = 1000
"""QuantLib takes a contract at a time; its time a contract does not depend on how many there are."""


class Book(NamedTuple):
    """Contracts, in the order of the arguments of ``european``."""

    spot: np.ndarray
    strike: np.ndarray
    years: np.ndarray
    rate: np.ndarray
    dividend_yield: np.ndarray
    vol: np.ndarray
    is_call: np.ndarray

    def first(self, n: int) -> Book:
        return Book(*(column[:n] for column in self))

    def priced(self) -> tuple[np.ndarray, ...]:
        """The arguments of ``implied_vol``: prices first, no volatility."""
        return european(*self).price, *self[:5], self.is_call


def mixed(n: int) -> Book:
    """Calls and puts on many underlyings: 1 day to 2 years, 8% to 90% volatility, no two alike."""
    rng = np.random.default_rng(20)
    spot, vol, years = rng.uniform(20, 500, n), rng.uniform(0.08, 0.9, n), rng.uniform(1 / 365, 2, n)
    strike = spot * np.exp(rng.uniform(-2.5, 2.5, n) * vol * np.sqrt(years))
    rate, dividend_yield = rng.uniform(0, 0.06, n), rng.uniform(0, 0.04, n)
    return Book(spot, strike, years, rate, dividend_yield, vol, rng.random(n) < 0.5)


def index_chain(n: int) -> Book:
    """Out-of-the-money quotes of one index: ten expiries, a skew, prices of a cent and more."""
    rng = np.random.default_rng(21)
    years = np.repeat(np.array([1, 2, 7, 14, 30, 60, 120, 250, 500, 900]) / 365, n // 10)
    atm = 0.14 + 0.04 * rng.random(n)
    moves = rng.uniform(-3.0, 2.0, n)
    strike = 5000 * np.exp(moves * atm * np.sqrt(years))
    vol = atm * (1 - 0.15 * moves + 0.05 * moves**2)
    flat = np.ones(n)
    return Book(5000 * flat, strike, years, 0.04 * flat, 0.013 * flat, vol, strike > 5000)


def plain_scipy(s, k, t, r, q, v, is_call) -> tuple[np.ndarray, ...]:  # type: ignore[no-untyped-def]
    """Price and five Greeks as one would write them in numpy, without any check."""
    sign = np.where(is_call, 1.0, -1.0)
    root_t = np.sqrt(t)
    sd, grown, discount = v * root_t, np.exp(-q * t), np.exp(-r * t)
    d1 = (np.log(s / k) + (r - q) * t) / sd + 0.5 * sd
    inside1, inside2 = ndtr(sign * d1), ndtr(sign * (d1 - sd))
    asset, cash = s * grown * inside1, k * discount * inside2
    density = grown * np.exp(-0.5 * d1 * d1) * 0.3989422804014327
    theta = (sign * (q * asset - r * cash) - s * density * v / (2 * root_t)) / 365
    greeks = (density / (s * sd), s * density * root_t * 0.01, theta, sign * t * cash * 0.01)
    return sign * (asset - cash), sign * grown * inside1, *greeks


class QuantLibBook:
    """One process whose quotes are reset for every contract; exact times by scaling to one year."""

    def __init__(self, ql: Any) -> None:
        today = ql.Date(15, 6, 2026)
        ql.Settings.instance().evaluationDate = today
        count = ql.Actual365Fixed()
        self._ql, self._quotes = ql, [ql.SimpleQuote(x) for x in (100.0, 0.0, 0.0, 0.2)]
        spot, rate, dividend, vol = (ql.QuoteHandle(quote) for quote in self._quotes)
        self._process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(today, dividend, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
        )
        self._engine = ql.AnalyticEuropeanEngine(self._process)
        self._exercise = ql.EuropeanExercise(today + 365)

    def _option(self, row: Sequence[float]) -> Any:
        s, k, t, r, q, v, is_call = row
        for quote, value in zip(self._quotes, (s, r * t, q * t, v * t**0.5), strict=True):
            quote.setValue(value)
        right = self._ql.Option.Call if is_call else self._ql.Option.Put
        option = self._ql.VanillaOption(self._ql.PlainVanillaPayoff(right, k), self._exercise)
        option.setPricingEngine(self._engine)
        return option

    def greeks(self, book: Book) -> None:
        for row in zip(*(column.tolist() for column in book), strict=True):
            option = self._option(row)
            option.NPV(), option.delta(), option.gamma(), option.vega(), option.theta(), option.rho()

    def implied(self, book: Book, prices: np.ndarray) -> None:
        for row, price in zip(zip(*(c.tolist() for c in book), strict=True), prices.tolist(), strict=True):
            try:
                self._option(row).impliedVolatility(price, self._process, 1e-10, 1000, 1e-7, 20.0)
            except RuntimeError:
                continue  # no root between its bounds


def _quantlib(work: Callable[[QuantLibBook], object]) -> Callable[[], object] | None:
    ql = peer("QuantLib")
    if ql is None:
        return None
    book = QuantLibBook(ql)
    return lambda: work(book)


def _beside(
    ours: Callable[[], object], *others: tuple[Callable[[], object] | None, int]
) -> list[float | None]:
    """Nanoseconds a contract of ours (of ``ROWS``) and of the others (of so many rows); None is absent."""
    there = [(run, rows) for run, rows in ((ours, ROWS), *others) if run is not None]
    seconds = iter(medians(*(run for run, _ in there), rounds=9))
    return [next(seconds) / rows * 1e9 if run else None for run, rows in ((ours, ROWS), *others)]


def greeks_mixed() -> list[Figure]:
    book = mixed(ROWS)
    few = book.first(PEER_ROWS)
    ours, scipy, quantlib = _beside(
        lambda: european(*book),
        (lambda: plain_scipy(*book), ROWS),
        (_quantlib(lambda ql: ql.greeks(few)), PEER_ROWS),
    )
    return [
        Figure(ours, "numpy + scipy.special.ndtr", scipy, at_most=25, at_least=4),
        Figure(ours, "QuantLib, handles reused", quantlib, at_least=1000),
    ]


def greeks_by_size() -> list[Figure]:
    found = []
    for n, rounds in ((1, 200), (1000, 50), (1_000_000, 7)):
        book = mixed(n)
        ours, scipy = medians(lambda b=book: european(*b), lambda b=book: plain_scipy(*b), rounds=rounds)
        found.append(Figure(ours / n * 1e9, f"{n} rows, numpy + scipy", scipy / n * 1e9))
    strikes, vols = np.linspace(60, 140, 100_000), np.linspace(0.5, 0.2, 100_000)
    expiry = medians(lambda: european(100.0, strikes, 0.2, 0.04, 0.01, vols, True))[0]
    return [*found, Figure(expiry * 1e4, "one expiry of 100000 strikes")]


def implied_mixed() -> list[Figure]:
    found = []
    for name, book in (("index chain", index_chain(ROWS)), ("mixed", mixed(ROWS))):
        priced, few = book.priced(), book.first(PEER_ROWS)
        prices = priced[0][:PEER_ROWS]
        ours, quantlib = _beside(
            lambda priced=priced: implied_vol(*priced),
            (_quantlib(lambda ql, few=few, prices=prices: ql.implied(few, prices)), PEER_ROWS),
        )
        found.append(Figure(ours, f"QuantLib Brent, {name}", quantlib, at_most=150, at_least=200))
    return found


def implied_accuracy() -> list[Figure]:
    with HARD_ROWS.open(newline="") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    book = (column["price_undiscounted"], column["F"], column["K"], column["T"], 0.0, 0.0, column["is_call"])
    error = np.abs(implied_vol(*book).vol / column["iv_exact"] - 1)
    return [
        Figure(float(np.median(error)), "median"),
        Figure(float(np.quantile(error, 0.9)), "90% of rows", at_most=1e-15),
        Figure(float(error.max()), "worst row", at_most=5e-11),
        Figure(float((~(error < 1e-6)).sum()), "rows wrong", at_most=0),
    ]


def chain_whole() -> list[Figure]:
    book = index_chain(10_000)
    priced = book.priced()
    seconds = medians(lambda: (implied_vol(*priced), european(*book, second_order=True)))[0]
    return [Figure(seconds * 1e3, "vol, then price and 7 Greeks", at_most=20)]


def start_up() -> list[Figure]:
    """A process that prices once, with nothing compiled and with the kernels of an earlier process."""
    work = "from wsb_core.pricing.european import *; european(9,9,1,0,0,.2,1); implied_vol(1,9,9,1,0,0,1)"
    with tempfile.TemporaryDirectory() as cache:
        taken = []
        for code in (work, work, "import numpy"):
            start = time.perf_counter()
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
            taken.append(time.perf_counter() - start)
    return [
        Figure(taken[0], "nothing compiled yet"),
        Figure(taken[1], "compiled by an earlier process"),
        Figure(taken[2], "a process that only imports numpy"),
    ]


def _warm() -> None:
    implied_vol(1.0, 9.0, 9.0, european(9.0, 9.0, 1.0, 0.0, 0.0, 0.2, True).price + 1.0, 0.0, 0.0, True)


JOBS = (
    Job(
        "european: price + 5 Greeks, 100k mixed",
        "ns/contract",
        "<= 25 ns, >= 1000x QuantLib, >= 4x numpy + scipy",
        greeks_mixed,
        _warm,
    ),
    Job("european: price + 5 Greeks by size", "ns/contract", "none", greeks_by_size, _warm),
    Job(
        "european: implied vol, 100k",
        "ns/contract",
        "<= 150 ns, >= 200x QuantLib Brent",
        implied_mixed,
        _warm,
    ),
    Job(
        "european: implied vol, 500 hard rows",
        "relative error",
        "90% <= 1e-15, worst <= 5e-11, none wrong",
        implied_accuracy,
        _warm,
    ),
    Job("european: chain of 10k, vol + all Greeks", "ms", "<= 20 ms", chain_whole, _warm),
    Job("european: start of a process", "s", "none", start_up),
)

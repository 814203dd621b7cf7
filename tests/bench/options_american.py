"""American prices, Greeks and implied volatility beside QuantLib's boundary method and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from tests.pricing.quantlib_book import QdFp
from wsb_core.pricing.american import Accuracy, american, american_slice, implied_vol_american
from wsb_core.pricing.american_discrete import Dividend, american_discrete

from .harness import Figure, Job, medians, peer

SPOT, YEARS, RATE, YIELD = 100.0, 0.4, 0.045, 0.015
SCHEMES = {Accuracy.FAST: "fastScheme", Accuracy.FINE: "accurateScheme"}
"""QuantLib's setting that ours is measured against."""
MOST_ERROR = {Accuracy.FAST: 5e-5, Accuracy.FINE: 5e-6}


class Expiry(NamedTuple):
    """Calls and puts of one expiry: in the order of ``american_slice``."""

    spot: float
    strike: np.ndarray
    years: float
    rate: float
    dividend_yield: float
    vol: np.ndarray
    is_call: np.ndarray

    def priced(self, price: np.ndarray) -> tuple[Any, ...]:
        """The arguments of ``implied_vol_american``."""
        return price, *self[:5], self.is_call


def expiry(n: int) -> Expiry:
    """Half calls, half puts, two and a half deviations to each side, with a skew."""
    strike = np.tile(SPOT * np.exp(np.linspace(-2.5, 2.5, n // 2) * 0.25 * np.sqrt(YEARS)), 2)
    x = np.log(strike / SPOT)
    return Expiry(SPOT, strike, YEARS, RATE, YIELD, 0.25 - 0.15 * x + 0.3 * x * x, np.arange(n) < n // 2)


def mixed(n: int) -> tuple[np.ndarray, ...]:
    """No two alike: 2 days to 2 years, volatilities from 0.12 to 0.6."""
    rng = np.random.default_rng(8)
    vol, years = rng.uniform(0.12, 0.6, n), np.exp(rng.uniform(np.log(2 / 365), np.log(2.0), n))
    strike = SPOT * np.exp(rng.uniform(-2, 2, n) * vol * np.sqrt(years))
    rate, dividend_yield = rng.uniform(0.005, 0.06, n), rng.uniform(0, 0.05, n)
    return np.full(n, SPOT), strike, years, rate, dividend_yield, vol, rng.random(n) < 0.5


def _quantlib(scheme: str) -> Callable[..., np.ndarray] | None:
    ql = peer("QuantLib")
    return None if ql is None else QdFp(ql, scheme).prices


def _beside(
    ours: Callable[[], object], theirs: Callable[[], object] | None, contracts: int, rounds: int
) -> tuple[float, float | None]:
    """Microseconds a contract."""
    seconds = medians(ours, *([theirs] if theirs else []), rounds=rounds)
    scaled = [1e6 * each / contracts for each in seconds]
    return scaled[0], scaled[1] if theirs else None


def expiry_speed() -> list[Figure]:
    found, book = [], expiry(200)
    for accuracy, at_most, at_least in ((Accuracy.FAST, 0.5, 75), (Accuracy.FINE, None, 60)):
        prices = _quantlib(SCHEMES[accuracy])
        theirs = None if prices is None else lambda prices=prices: prices(*book)
        ours, quantlib = _beside(
            lambda accuracy=accuracy: american_slice(*book, accuracy=accuracy), theirs, 200, 15
        )
        told = f"QuantLib QdFp {SCHEMES[accuracy]}, price"
        found.append(Figure(ours, told, quantlib, at_most=at_most, at_least=at_least))
    for n in (50, 1000):
        book = expiry(n)
        seconds = medians(lambda book=book: american_slice(*book), rounds=30)[0]
        found.append(Figure(seconds * 1e6 / n, f"{n} contracts, fast"))
    return found


def mixed_speed() -> list[Figure]:
    found, book = [], mixed(1000)
    for accuracy, scheme in SCHEMES.items():
        prices = _quantlib(scheme)
        few = [column[:100] for column in book]
        theirs = None if prices is None else lambda prices=prices, few=few: prices(*few)
        quantlib = medians(theirs, rounds=5)[0] * 1e4 if theirs else None
        seconds = medians(lambda accuracy=accuracy: american(*book, accuracy=accuracy), rounds=9)[0]
        found.append(Figure(seconds * 1e3, f"QuantLib QdFp {scheme}, price", quantlib))
    return found


def errors() -> list[Figure]:
    """Largest distance from QuantLib's high-precision scheme; the peer is QuantLib's scheme of like speed."""
    exact, found = _quantlib("highPrecisionScheme"), []
    if exact is None:
        return []
    for name, book in (("expiry of 100", expiry(100)), ("300 mixed", mixed(300))):
        wanted = exact(*book)
        for accuracy, scheme in SCHEMES.items():
            ours = np.abs(american(*book, accuracy=accuracy).price - wanted).max()
            theirs = np.abs(QdFp(peer("QuantLib"), scheme).prices(*book) - wanted).max()
            told = f"{name}: QdFp {scheme}"
            found.append(Figure(float(ours), told, float(theirs), at_most=MOST_ERROR[accuracy]))
    return found


def _brent(ql: Any, book: Expiry, price: np.ndarray) -> np.ndarray:
    engine, found = QdFp(ql, "fastScheme"), np.full(len(price), np.nan)
    for i, (strike, paid, is_call) in enumerate(zip(book.strike, price, book.is_call.tolist(), strict=True)):
        market = (book.spot, float(strike), book.years, book.rate, book.dividend_yield)
        try:
            found[i] = brentq(lambda v, m=market, c=is_call, p=paid: engine.price(*m, v, c) - p, 0.01, 3.0)
        except ValueError:
            continue  # no change of sign between its bounds
    return found


def implied_speed() -> list[Figure]:
    book, ql = expiry(200), peer("QuantLib")
    price = american_slice(*book, accuracy=Accuracy.FINE).price
    theirs = None if ql is None else lambda: _brent(ql, book, price)
    ours, quantlib = _beside(lambda: implied_vol_american(*book.priced(price)), theirs, 200, 5)
    return [Figure(ours, "brentq over QdFp fastScheme", quantlib, at_most=4, at_least=130)]


def implied_wrong() -> list[Figure]:
    """Contracts with a cent of time value whose volatility is more than 1e-4 off, or missing."""
    found, ql = [], peer("QuantLib")
    for years in (2 / 365, 0.1, 0.4, 2.0):
        book = expiry(200)._replace(years=years)
        strike = SPOT * np.exp(np.log(book.strike / SPOT) * np.sqrt(years / YEARS))
        book = book._replace(strike=strike)
        price = american_slice(*book, accuracy=Accuracy.FINE).price
        worth = price - np.maximum(np.where(book.is_call, SPOT - strike, strike - SPOT), 0.0) > 0.01

        def wrong(vol: np.ndarray, book: Expiry = book, worth: np.ndarray = worth) -> float:
            return float((~(np.abs(vol - book.vol) < 1e-4) & worth).sum())

        quantlib = None if ql is None else wrong(_brent(ql, book, price))
        ours = wrong(implied_vol_american(*book.priced(price)).vol)
        told = f"of {worth.sum()} at {years:.3g} years"
        found.append(Figure(ours, told if quantlib is None else f"{told}; brentq {quantlib:g}", at_most=0))
    return found


def _quantlib_grid(ql: Any, strikes: np.ndarray) -> None:
    """Finite differences of QuantLib on as many nodes and steps as ours."""
    today, count = ql.Date(15, 6, 2026), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    rate, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, r, count)) for r in (RATE, 0.0))
    vol = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), 0.25, count))
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(SPOT)), none, rate, vol)
    dividends = [ql.FixedDividend(0.5, today + 30), ql.FixedDividend(0.5, today + 120)]
    engine = ql.FdBlackScholesVanillaEngine(process, dividends, 400, 801)
    for strike in strikes.tolist():
        exercise = ql.AmericanExercise(today, today + 146)
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call, strike), exercise)
        option.setPricingEngine(engine)
        option.NPV(), option.delta(), option.gamma(), option.theta()


def dividends_speed() -> list[Figure]:
    strikes, ql = np.linspace(90.0, 110.0, 10), peer("QuantLib")
    schedule = [Dividend(30 / 365, 0.5), Dividend(120 / 365, 0.5)]
    theirs = None if ql is None else lambda: _quantlib_grid(ql, strikes)
    ours, quantlib = _beside(
        lambda: american_discrete(SPOT, strikes, YEARS, RATE, schedule, 0.25, True), theirs, 10, 5
    )
    return [Figure(ours, "QuantLib finite differences, same grid", quantlib)]


def _warm() -> None:
    for accuracy in Accuracy:
        book = expiry(40)
        price = american_slice(*book, accuracy=accuracy).price
        implied_vol_american(*book.priced(price), accuracy=accuracy)
        american(*mixed(2), accuracy=accuracy)
    american_discrete(SPOT, SPOT, YEARS, RATE, (), 0.25, True)


JOBS = (
    Job(
        "american: price + 5 Greeks, expiry of 200",
        "us/contract",
        "fast <= 0.5 us, >= 75x QdFp fast; fine >= 60x QdFp accurate",
        expiry_speed,
        _warm,
    ),
    Job("american: price + 5 Greeks, 1000 mixed", "us/contract", "none", mixed_speed, _warm),
    Job("american: largest error", "dollars", "fast <= 5e-5, fine <= 5e-6 on a spot of 100", errors, _warm),
    Job(
        "american: implied vol, expiry of 200",
        "us/contract",
        "<= 4 us, >= 130x brentq over QdFp fast",
        implied_speed,
        _warm,
    ),
    Job("american: implied vol, wrong roots", "contracts", "none wrong", implied_wrong, _warm),
    Job("american: cash dividends, 10 calls", "us/contract", "none", dividends_speed, _warm),
)

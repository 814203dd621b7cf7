"""Riskless discount rates at an option's own maturity, out of published Treasury yields."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, overload

import numpy as np

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import BadResponse, ProviderUnavailable
from wsb_core.domain.events import Yields
from wsb_core.domain.quotes import Provenance, require_aware

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_AGE = timedelta(days=5)
"""The longest that no yield is published: a holiday before or after a weekend, and a day to spare."""
_COUPON = 0.5
_HIGHEST = 100.0


@dataclass(frozen=True, slots=True)
class ZeroCurve:
    """Zero rates of one day. ``years`` are the tenors that were given (act/365), ``zeros`` their rates.

    Between two tenors the logarithm of the discount factor is linear in time: a constant forward rate.
    Outside all tenors the zero rate is that of the nearest one, and ``extrapolated`` says so.
    """

    day: date
    years: tuple[float, ...]
    zeros: tuple[float, ...]
    provenance: Provenance

    @overload
    def rate(self, years: float) -> float: ...

    @overload
    def rate(self, years: Floats) -> Floats: ...

    def rate(self, years: float | Floats) -> float | Floats:
        """Continuously compounded, 0.05 is 5%; of the shape of ``years``, NaN where that is NaN.

        Raises: ValueError for negative years.
        """
        at = _maturities(years)
        nodes = np.array([0.0, *self.years])
        logs = np.array([0.0, *self.years]) * np.array([0.0, *self.zeros])
        inside = np.clip(at, self.years[0], self.years[-1])
        found = np.where(np.isnan(at), np.nan, np.interp(inside, nodes, logs) / inside)
        return float(found) if found.ndim == 0 else found

    @overload
    def discount(self, years: float) -> float: ...

    @overload
    def discount(self, years: Floats) -> Floats: ...

    def discount(self, years: float | Floats) -> float | Floats:
        """What a dollar in ``years`` is worth now. Shape and errors as ``rate``."""
        found = np.exp(-np.asarray(self.rate(np.asarray(years, dtype=np.float64))) * _maturities(years))
        return float(found) if found.ndim == 0 else found

    @overload
    def extrapolated(self, years: float) -> bool: ...

    @overload
    def extrapolated(self, years: Floats) -> NDArray[np.bool_]: ...

    def extrapolated(self, years: float | Floats) -> bool | NDArray[np.bool_]:
        """Whether ``years`` lies outside all tenors, so that the rate is only that of the nearest."""
        at = _maturities(years)
        found = (at < self.years[0]) | (at > self.years[-1])
        return bool(found) if found.ndim == 0 else found


def zero_curve(published: Iterable[Yields], at: datetime, max_age: timedelta = MAX_AGE) -> ZeroCurve:
    """The curve of the newest yields that were known at ``at``.

    Yields count as known from their provenance's ``as_of`` on; days without any tenor are passed over.

    Raises: ProviderUnavailable when none are known, or the newest are older than ``max_age``;
    BadResponse as ``bootstrap``.
    """
    today = require_aware(at, "at").astimezone(NEW_YORK).date()
    known = [one for one in published if one.percent and one.provenance.as_of <= at and one.day <= today]
    if not known:
        raise ProviderUnavailable(f"no Treasury yields are known at {at:%Y-%m-%d %H:%M %Z}; fetch them")
    newest = max(known, key=lambda one: (one.day, one.provenance.as_of))
    age = today - newest.day
    if age > max_age:
        raise ProviderUnavailable(
            f"Treasury yields of {newest.day} are {age.days} days old on {today}, over {max_age.days}; "
            "fetch newer ones"
        )
    return bootstrap(newest)


def bootstrap(yields: Yields, bills: Mapping[int, float] | None = None) -> ZeroCurve:
    """Zero rates that price every tenor's par bond at 100.

    Par yields are semi-annual bond equivalents, as the Treasury's constant-maturity yields are: up to half a
    year a dollar grows by 1 + y/2 each half year; beyond, there is a coupon of y/2 each half year.
    ``bills`` are bank discount rates in percent by days to maturity, for a source that quotes bills so;
    they stand in for a par yield of the same tenor (less than 4 days apart).

    Raises: BadResponse naming the tenor when a yield is no number or no price fits it, or when a tenor beyond
    half a year is no whole number of half years.
    Source: US Treasury, "Interest Rates - Frequently Asked Questions": APY = (1 + CMT/2)^2 - 1.
    """
    quoted = {days / 365: bill_rate(discount, days) for days, discount in (bills or {}).items()}
    near = [tenor for tenor in yields.percent if any(abs(tenor - bill) * 365 < 4 for bill in quoted)]
    par = {tenor: percent for tenor, percent in yields.percent.items() if tenor not in near}
    if not par and not quoted:
        raise BadResponse(f"yields of {yields.day} have no tenor; fetch another day")
    years, logs = [0.0], [0.0]
    for tenor in sorted({**par, **quoted}):
        if tenor in quoted:
            log = -quoted[tenor] * tenor
        else:
            log = _log_discount(tenor, _fraction(tenor, par[tenor], yields.day), years, logs, yields.day)
        years.append(tenor)
        logs.append(log)
    zeros = tuple(-log / tenor for log, tenor in zip(logs[1:], years[1:], strict=True))
    return ZeroCurve(yields.day, tuple(years[1:]), zeros, yields.provenance)


def bill_rate(discount: float, days: int) -> float:
    """Continuously compounded rate of a bill ``days`` from maturity, quoted at a bank discount in percent.

    Raises: BadResponse when no price fits it.
    Source: 31 CFR 356, appendix B: price = 1 - discount x days / 360.
    """
    price = 1 - discount / 100 * days / 360
    if days <= 0 or not math.isfinite(price) or price <= 0:
        raise BadResponse(f"no price fits a bill of {days} days at a discount of {discount}%")
    return -math.log(price) * 365 / days


def _fraction(tenor: float, percent: float, day: date) -> float:
    if not (math.isfinite(percent) and -_HIGHEST < percent < _HIGHEST):
        raise BadResponse(f"yields of {day}: {percent!r} percent at {tenor:g} years is no yield")
    halves = tenor / _COUPON
    if not tenor > 0 or (halves > 1 and abs(halves - round(halves)) > 1e-9):
        raise BadResponse(f"yields of {day}: {tenor!r} years is no number of half years, and over one half")
    return percent / 100


def _log_discount(tenor: float, par: float, years: list[float], logs: list[float], day: date) -> float:
    """The logarithm of the discount factor at ``tenor``, given those at all shorter ``years``.

    Coupons after the last of ``years`` are discounted on the line from there to the answer: one convex,
    increasing equation in it, which Newton's steps solve from any start. A zero rate over 100% is no answer.
    """
    if tenor <= _COUPON:
        return -2 * math.log1p(par / 2) * tenor
    coupons = np.arange(1, round(tenor / _COUPON) + 1) * _COUPON
    before = coupons <= years[-1]
    paid = par / 2 * float(np.exp(np.interp(coupons[before], years, logs)).sum())
    share = (coupons[~before] - years[-1]) / (tenor - years[-1])
    flows = np.full(share.size, par / 2)
    flows[-1] += 1
    found = logs[-1] - par * (tenor - years[-1])
    for _ in range(100):
        with np.errstate(over="ignore"):
            worth = flows * np.exp(logs[-1] * (1 - share) + found * share)
        slope = float(worth @ share)
        step = (paid + float(worth.sum()) - 1) / slope if slope > 0 else math.nan
        found -= step
        if not abs(step) > 1e-15 * max(1.0, abs(found)):
            break
    if not abs(step) < 1e-12 or abs(found) > tenor:
        raise BadResponse(
            f"yields of {day}: no discount factor at {tenor:g} years fits {100 * par:g} percent"
        )
    return found


def _maturities(years: float | Floats) -> Floats:
    at = np.asarray(years, dtype=np.float64)
    if (at < 0).any():
        raise ValueError(f"years must not be negative, not {float(np.nanmin(at))}")
    return at

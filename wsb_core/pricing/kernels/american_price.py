"""American prices and Greeks: the European ones and the integral of what early exercise earns.

Source: Kim (1990), Carr, Jarrow and Myneni (1992); in delta, gamma, vega and rho the integrand is
differentiated, and the boundary's slopes come from ``american_boundary``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wsb_core.pricing.results import DAYS_A_YEAR

from .american_lanes import (
    DELTA,
    DEVIATION,
    DISCOUNTS,
    EXERCISED,
    GAMMA,
    GROWTHS,
    INV_DEVIATION,
    INV_SIGMA,
    INV_X,
    IS_CALL,
    LANES,
    LN_B,
    LN_B_RHO,
    LN_B_SIGMA,
    LN_X,
    NOW,
    NOW_BY_RHO,
    NOW_BY_SIGMA,
    NOW_DISCOUNT,
    NOW_GROWN,
    PREMIUM,
    PRICE,
    RATE,
    RHO,
    SIGMA,
    VEGA,
    WORKSPACE,
    YEARS,
    YIELD,
    X,
    compiled,
    copy,
    helper,
    reach,
    safe_exp,
    within,
)
from .european import INV_ROOT_TWO_PI, mills_bottom, mills_top

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsb_core.pricing.american import Book

    from .american_lanes import Floats, Integers, Nodes


@compiled
def _european(w: Floats) -> None:
    """The put without early exercise, in units of the strike, into PRICE to RHO."""
    for k in range(LANES):
        r, q, years, call = w[RATE + k], w[YIELD + k], w[YEARS + k], w[IS_CALL + k]
        root = math.sqrt(years)
        deviation = w[SIGMA + k] * root
        inv_deviation = 1.0 / deviation
        e2 = (w[LN_X + k] + (r - q) * years) * inv_deviation - 0.5 * deviation
        e1 = e2 + deviation
        x = safe_exp(w[LN_X + k])
        discount, grown = safe_exp(-r * years), safe_exp(-q * years)
        density = INV_ROOT_TWO_PI * discount * safe_exp(-0.5 * e2 * e2)
        z1, z2 = reach(e1), reach(e2)
        bottom1, bottom2 = mills_bottom(z1), mills_bottom(z2)
        share = density / (bottom1 * bottom2)
        asset = within(x * grown, -e1, share * mills_top(z1) * bottom2)
        cash = within(discount, -e2, share * mills_top(z2) * bottom1)
        inv_x = 1.0 / x
        w[DEVIATION + k], w[INV_DEVIATION + k] = deviation, inv_deviation
        w[INV_SIGMA + k] = root * inv_deviation
        w[X + k], w[INV_X + k] = x, inv_x
        price = cash - asset
        w[PRICE + k] = price if price > 0.0 else 0.0
        w[DELTA + k] = -asset * inv_x
        w[GAMMA + k] = density * inv_x * inv_x * inv_deviation
        w[VEGA + k] = density * root
        w[RHO + k] = years * (call * asset - (1.0 - call) * cash)
        w[PREMIUM + k] = w[EXERCISED + k] = 0.0


@compiled
def _add_node(w: Floats, sine: float, weight: float) -> None:
    """One quadrature node of the early exercise premium and its derivatives."""
    share, inverse = sine * sine, 1.0 / sine
    for k in range(LANES):
        r, q, call, inv_x = w[RATE + k], w[YIELD + k], w[IS_CALL + k], w[INV_X + k]
        t, dt = w[YEARS + k] * share, w[YEARS + k] * weight
        deviation, inv_deviation = w[DEVIATION + k] * sine, w[INV_DEVIATION + k] * inverse
        d2 = (w[LN_X + k] - w[NOW + k] + (r - q) * t) * inv_deviation - 0.5 * deviation
        d1 = d2 + deviation
        b = safe_exp(w[NOW + k])
        bell = INV_ROOT_TWO_PI * dt * safe_exp(-r * t - 0.5 * d2 * d2)
        z1, z2 = reach(d1), reach(d2)
        bottom1, bottom2 = mills_bottom(z1), mills_bottom(z2)
        share1 = bell / (bottom1 * bottom2)
        cash = within(dt * w[NOW_DISCOUNT + k], -d2, share1 * mills_top(z2) * bottom1)
        asset = within(dt * w[X + k] * w[NOW_GROWN + k], -d1, share1 * b * mills_top(z1) * bottom2)
        c = bell * inv_deviation
        carry = q * b
        running = r - carry
        w[PREMIUM + k] += r * cash - q * asset
        w[DELTA + k] -= (c * running + q * asset) * inv_x
        w[GAMMA + k] += c * (running * (1.0 + d2 * inv_deviation) + carry) * inv_x * inv_x
        w[VEGA + k] += c * running * w[NOW_BY_SIGMA + k] + bell * (r * d1 - carry * d2) * w[INV_SIGMA + k]
        direct = (1.0 - call) * (1.0 - r * t) * cash - call * (1.0 - q * t) * asset
        w[RHO + k] += direct - c * running * ((1.0 - 2.0 * call) * t - w[NOW_BY_RHO + k])


@compiled
def set_discounts(w: Floats, nodes: Nodes) -> None:
    """e^-rt and e^-qt at the price's nodes, from RATE, YIELD and YEARS."""
    for j in range(nodes.sine.size):
        share = nodes.sine[j] ** 2
        for k in range(LANES):
            t = w[YEARS + k] * share
            w[NOW_DISCOUNT + k], w[NOW_GROWN + k] = safe_exp(-w[RATE + k] * t), safe_exp(-w[YIELD + k] * t)
        copy(w, NOW_DISCOUNT, DISCOUNTS + j * LANES)
        copy(w, NOW_GROWN, GROWTHS + j * LANES)


@compiled
def price_lanes(w: Floats, nodes: Nodes) -> None:
    """PRICE to RHO of the put in units of its strike.

    The rows LN_B to LN_B_RHO must be there, and ``set_discounts`` have run. Where exercising now is best
    the price is 1 - x and the delta -1, and there is no gamma, vega or rho.
    """
    _european(w)
    last = nodes.sine.size
    for j in range(last):
        at = j * LANES
        copy(w, LN_B + at, NOW)
        copy(w, LN_B_SIGMA + at, NOW_BY_SIGMA)
        copy(w, LN_B_RHO + at, NOW_BY_RHO)
        copy(w, DISCOUNTS + at, NOW_DISCOUNT)
        copy(w, GROWTHS + at, NOW_GROWN)
        _add_node(w, nodes.sine[j], nodes.weight[j])
    copy(w, LN_B + last * LANES, NOW)
    for k in range(LANES):
        premium = w[PREMIUM + k]
        held = w[PRICE + k] + (premium if premium > 0.0 else 0.0)
        intrinsic = 1.0 - w[X + k]
        # Worth more unexercised even without the right to: then a boundary that says otherwise is wrong.
        exercised = (w[LN_X + k] <= w[NOW + k]) & (w[PRICE + k] <= intrinsic)
        w[EXERCISED + k] = 1.0 if exercised else 0.0
        w[PRICE + k] = intrinsic if exercised or held < intrinsic else held
        w[DELTA + k] = -1.0 if exercised else w[DELTA + k]
        w[GAMMA + k] = 0.0 if exercised else w[GAMMA + k]
        w[VEGA + k] = 0.0 if exercised else w[VEGA + k]
        w[RHO + k] = 0.0 if exercised else w[RHO + k]


@helper
def rates_of(book: Book, row: int) -> tuple[float, float, float]:
    """Rate and yield of the put that contract ``row`` is, and 1 if it is a call."""
    if book.is_call[row]:
        return book.dividend_yield[row], book.rate[row], 1.0
    return book.rate[row], book.dividend_yield[row], 0.0


@helper
def load_lane(w: Floats, k: int, row: int, book: Book) -> None:
    """Contract ``row`` as a put in lane ``k``."""
    w[SIGMA + k], w[YEARS + k] = book.vol[row], book.years[row]
    w[RATE + k], w[YIELD + k], w[IS_CALL + k] = rates_of(book, row)
    moneyness = math.log(book.spot[row] / book.strike[row])
    w[LN_X + k] = -moneyness if book.is_call[row] else moneyness


@helper
def store_lane(w: Floats, k: int, row: int, book: Book, out: Floats) -> None:
    """Lane ``k`` in dollars and in the units of ``results.Greeks``; theta from the pricing equation."""
    spot, s, r, q = book.spot[row], book.vol[row], book.rate[row], book.dividend_yield[row]
    scale = spot if book.is_call[row] else book.strike[row]
    price, delta, gamma = scale * w[PRICE + k], w[DELTA + k], w[GAMMA + k] / scale
    if book.is_call[row]:
        x = book.strike[row] / spot
        delta, gamma = w[PRICE + k] - x * delta, x * x * gamma
    theta = r * price - (r - q) * spot * delta - 0.5 * s * s * spot * spot * gamma
    out[0, row], out[1, row], out[2, row] = price, delta, gamma
    out[3, row], out[5, row] = 0.01 * scale * w[VEGA + k], 0.01 * scale * w[RHO + k]
    out[4, row] = 0.0 if w[EXERCISED + k] else theta / DAYS_A_YEAR


MISSING, IMPOSSIBLE, BEYOND, CERTAIN, EUROPEAN, EARLY, TWO_BOUNDARIES = range(7)
"""Kinds of contract: see ``classify``."""
LEAST_DEVIATION, MOST_DEVIATION = 1e-8, 100.0
"""Volatility times root time below which the future counts as certain, and the largest there may be."""
MOST_RATE, MOST_GROWTH, MOST_MONEYNESS = 10.0, 50.0, 300.0
"""Largest size of rate and yield, of either times years, and of ln(spot / strike)."""


@compiled
def classify(book: Book, kinds: NDArray[np.int8]) -> int:
    """Fill in what each contract is and return how many are not EARLY, which is exercised at a boundary.

    EUROPEAN is never exercised early: a put whose rate is not positive and not above the yield, and the same
    for a call with the two exchanged. CERTAIN has no time or no volatility. TWO_BOUNDARIES is exercised
    between two spots, because holding the strike and holding the asset both cost. BEYOND is too extreme for
    doubles, IMPOSSIBLE no option at all.
    """
    others = 0
    for i in range(kinds.size):
        kinds[i] = _kind(book, i)
        others += kinds[i] != EARLY
    return others


@helper
def _kind(book: Book, i: int) -> int:
    s, k, t, v = book.spot[i], book.strike[i], book.years[i], book.vol[i]
    r, q = book.rate[i], book.dividend_yield[i]
    if book.is_call[i] == 1:
        r, q = q, r
    if math.isnan(s + k) or math.isnan(t) or math.isnan(v) or math.isnan(r) or math.isnan(q):
        return MISSING
    if s <= 0.0 or k <= 0.0 or t < 0.0 or v < 0.0 or not math.isfinite(s + k + t + v + abs(r) + abs(q)):
        return IMPOSSIBLE
    if book.is_call[i] > 1:
        return MISSING
    if r <= 0.0 and q >= r:
        return EUROPEAN
    fastest = max(abs(r), abs(q))
    deviation = v * math.sqrt(t)
    if fastest > MOST_RATE or fastest * t > MOST_GROWTH or deviation > MOST_DEVIATION:
        return BEYOND
    if abs(math.log(s) - math.log(k)) > MOST_MONEYNESS:
        return BEYOND
    if deviation < LEAST_DEVIATION:
        return CERTAIN
    return TWO_BOUNDARIES if r < 0.0 else EARLY


@compiled
def as_puts(book: Book, rows: Integers) -> Floats:
    """``rows`` as ``american_boundary.solve_boundaries`` takes them."""
    puts = np.empty((5, rows.size))
    for i in range(rows.size):
        puts[0, i], puts[3, i] = book.vol[rows[i]], book.years[rows[i]]
        puts[1, i], puts[2, i], puts[4, i] = rates_of(book, rows[i])
    return puts


@helper
def set_boundary(w: Floats, k: int, boundary: Floats) -> None:
    """One put's entry of the table of boundaries into lane ``k``."""
    for j in range(boundary.shape[0]):
        at = j * LANES + k
        w[LN_B + at], w[LN_B_SIGMA + at], w[LN_B_RHO + at] = boundary[j, 0], boundary[j, 1], boundary[j, 2]


@compiled
def price_each(book: Book, rows: Integers, table: Floats, nodes: Nodes, out: Floats) -> None:
    """Price and Greeks of ``rows``, each with its own boundary in ``table``."""
    w = np.zeros(WORKSPACE)
    for start in range(0, rows.size, LANES):
        count = min(LANES, rows.size - start)
        for k in range(LANES):
            i = start + min(k, count - 1)
            load_lane(w, k, rows[i], book)
            set_boundary(w, k, table[i])
        set_discounts(w, nodes)
        price_lanes(w, nodes)
        for k in range(count):
            store_lane(w, k, rows[start + k], book, out)

"""American contracts on a continuous yield side by side: units, workspace, and what all steps share.

Everything is in units of the strike: x is spot over strike, b(u) the exercise boundary over strike with
time u left, g = ln(b(0)/b). A call is the put with spot and strike, and rate and yield, exchanged. All
arithmetic runs over ``LANES`` contracts at once in one flat workspace whose rows start at constant offsets,
which is what lets the compiler prove the loops independent and use vector instructions.

``american_boundary`` solves boundaries into a table, ``american_price`` integrates prices over them,
``american_expiry`` shares them among the strikes of an expiry, and ``american_vol`` looks for volatilities.
Only the first takes long to compile, and it is compiled once for each number of collocation times, so no
other kernel calls it: ``pricing.american`` hands its table on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numba import njit

from . import inline
from .european import exp

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Function = TypeVar("Function", bound=Callable[..., Any])

LANES = 16
NODES = 8
"""Volatilities at which an expiry's boundary is solved; it is interpolated between them."""
MOST_TIMES = 16
"""Collocation times a scheme may have, and boundary quadrature nodes."""
MOST_NODES = 40
"""Quadrature nodes in the price that a scheme may have."""


class Scheme(NamedTuple):
    """Constants of a boundary: n collocation times, l quadrature nodes, p times at which a price needs it."""

    root_time: tuple[float, ...]
    """(n) Square roots of the collocation times, as shares of the square root of expiry, from 1 down.

    A tuple, so that the compiler knows n: Newton's steps take half as long.
    """
    sine: Floats
    """(l) Time elapsed at a node is that of the collocation point times sine squared."""
    cosine: Floats
    """(l)"""
    weight: Floats
    """(l) 2 cos(phi) times the weight of the node."""
    spread: Floats
    """(n, l, n) From values at the collocation times to those at the quadrature times."""
    price_cosine: Floats
    """(p + 1) Time left at the price's nodes is that to expiry times cosine squared; the last node is now."""
    price_spread: Floats
    """(p + 1, n) From the collocation times to the price's nodes."""
    newton: int
    """Newton steps."""


class Nodes(NamedTuple):
    """Quadrature of the price."""

    sine: Floats
    """(p) Time elapsed at a node is that to expiry times sine squared."""
    weight: Floats
    """(p) 2 sin(phi) cos(phi) times the weight of the node."""


# Rows of the workspace, each LANES long. First what the caller sets, then what the steps leave behind.
SIGMA, RATE, YIELD, YEARS, IS_CALL, LN_X = (LANES * row for row in range(6))
PRICE, DELTA, GAMMA, VEGA, RHO, EXERCISED = (LANES * row for row in range(6, 12))
DEVIATION, INV_DEVIATION, X, INV_X = (LANES * row for row in range(12, 16))
LN_TOP, TOP_SLOPE, ROOM, NU, M, FLOOR = (LANES * row for row in range(16, 22))
DISCOUNT, GROWN, LAMBDA, INV_ROOT, M_H, LEAST = (LANES * row for row in range(22, 28))
B, OWN_SLOPE, SHIFT, PULL = (LANES * row for row in range(28, 32))
NOW, NOW_BY_SIGMA, NOW_BY_RHO, NOW_GROWN, NOW_DISCOUNT, INV_SIGMA, NOW_SQUARE = (
    LANES * r for r in range(34, 41)
)
PREMIUM = LANES * 41
WEIGHTS = LANES * 42
G = LANES * (42 + NODES)
G_SQUARED = G + LANES * MOST_TIMES
# One row of the Newton system, its right-hand sides last: the step, and the boundary's slopes.
ROW = G_SQUARED + LANES * MOST_TIMES
SYSTEM = ROW + LANES * (MOST_TIMES + 3)
GROWTH = SYSTEM + LANES * MOST_TIMES * (MOST_TIMES + 3)
# The boundary's logarithm where the price needs it, and its slopes; the last row in use is today's.
LN_B = GROWTH + LANES * MOST_TIMES * MOST_TIMES
LN_B_SIGMA = LN_B + LANES * (MOST_NODES + 1)
LN_B_RHO = LN_B_SIGMA + LANES * (MOST_NODES + 1)
# e^-rt and e^-qt at the nodes of the price.
DISCOUNTS = LN_B_RHO + LANES * (MOST_NODES + 1)
GROWTHS = DISCOUNTS + LANES * MOST_NODES
WORKSPACE = GROWTHS + LANES * MOST_NODES


def compiled(function: Function) -> Function:
    """Decorator: compiled at the first call for these argument types, and kept on disk for later processes.

    Importing ``.european`` has ``forget_older`` look after what is kept: any newer source here empties it.
    """
    options = {"fastmath": {"contract", "nsz"}, "error_model": "numpy", "cache": True, "nogil": True}
    found: Function = njit(**options)(function)
    return found


def helper(function: Function) -> Function:
    """Decorator: part of whatever calls it."""
    found: Function = inline(function)
    return found


@helper
def safe_exp(x: float) -> float:
    found: float = exp(x if x > -708.0 else -708.0)
    return found


@helper
def within(whole: float, d: float, tail: float) -> float:
    r"""``whole`` N(d), given ``tail`` = ``whole`` N(-\|d\|)."""
    return whole - tail if d > 0.0 else tail


@helper
def reach(d: float) -> float:
    """The size of ``d``, up to where the normal tail is nothing."""
    z = abs(d)
    return z if z < 40.0 else 40.0


@helper
def copy(w: Floats, source: int, target: int) -> None:
    # Slices, because an index that might be negative costs a test for every element.
    row, into = w[source : source + LANES], w[target : target + LANES]
    for k in range(LANES):
        into[k] = row[k]

"""The volatility at which an American option is worth its price."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .american_expiry import PANEL, set_nodes, set_weights
from .american_lanes import (
    IS_CALL,
    LANES,
    LN_B,
    LN_B_SIGMA,
    NODES,
    NOW,
    PRICE,
    SIGMA,
    VEGA,
    WEIGHTS,
    WORKSPACE,
    X,
    compiled,
    helper,
)
from .american_price import load_lane, price_lanes, set_boundary, set_discounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsb_core.pricing.american import Book

    from .american_lanes import Floats, Integers, Nodes

LEAST_VOL = 1e-3
"""Implied volatilities are looked for from here."""
_SETTLED = 1e-9
"""Relative change of a volatility at which its search ends; the step after it would be a square smaller."""
_NEWTON_STEPS = 30
"""Steps after which a search only halves its bracket, so that it ends."""


class Search(NamedTuple):
    """Where the search for each contract's volatility stands; columns as long as the book's."""

    target: Floats
    """The price paid over the strike of the put it is."""
    low: Floats
    high: Floats
    """Volatilities between which the search stays."""
    steps: Integers
    """How many it has taken."""
    moving: NDArray[np.bool_]
    """Whether it goes on."""


@compiled
def step_each(book: Book, rows: Integers, search: Search, table: Floats, nodes: Nodes) -> None:
    """One step for ``rows``, each with the boundary at its volatility in ``table``; moves ``book.vol``."""
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
            _move(w, k, rows[start + k], book, search)


@compiled
def step_expiry(
    book: Book, rows: Integers, search: Search, panels: int, ready: NDArray[np.bool_],
    table: Floats, nodes: Nodes,
) -> NDArray[np.bool_]:  # fmt: skip
    """All steps for ``rows`` of one expiry, as far as the boundaries in ``table`` reach; moves ``book.vol``.

    Panels of the table begin at ``LEAST_VOL`` and are ``PANEL`` wide, those of puts first; returns which that
    are not ``ready`` are wanted.
    """
    w = np.zeros(WORKSPACE)
    wanted = np.zeros(2 * panels, np.bool_)
    entry = np.zeros(LANES, np.int64)
    for start in range(0, rows.size, LANES):
        count = min(LANES, rows.size - start)
        for k in range(LANES):
            load_lane(w, k, rows[start + min(k, count - 1)], book)
        set_discounts(w, nodes)
        running = True
        while running:
            for k in range(LANES):
                w[SIGMA + k] = book.vol[rows[start + min(k, count - 1)]]
                entry[k] = _panel(w, k, panels)
                wanted[entry[k]] |= not ready[entry[k]] and search.moving[rows[start + min(k, count - 1)]]
            set_weights(w)
            for k in range(count):
                _interpolate_lane(w, k, table[entry[k]])
            price_lanes(w, nodes)
            running = False
            for k in range(count):
                row = rows[start + k]
                if search.moving[row] and ready[entry[k]]:
                    _move(w, k, row, book, search)
                    running |= search.moving[row]
    return wanted


@helper
def _panel(w: Floats, k: int, panels: int) -> int:
    """The entry of lane ``k``; its place in the panel goes to ``NOW``."""
    place = (math.log(w[SIGMA + k]) - math.log(LEAST_VOL)) / PANEL
    panel = min(max(int(place), 0), panels - 1)
    w[NOW + k] = place - panel
    return panel + (panels if w[IS_CALL + k] else 0)


@helper
def _interpolate_lane(w: Floats, k: int, table: Floats) -> None:
    """The boundary of lane ``k``, and its slope in volatility, from the nodes of its panel."""
    for j in range(table.shape[1]):
        a = b = 0.0
        for m in range(NODES):
            weight = w[WEIGHTS + m * LANES + k]
            a += weight * table[m, j, 0]
            b += weight * table[m, j, 1]
        w[LN_B + j * LANES + k], w[LN_B_SIGMA + j * LANES + k] = a, b


def panels_above(most: float) -> int:
    """How many panels reach from ``LEAST_VOL`` to ``most``."""
    return max(1, math.ceil(math.log(most / LEAST_VOL) / PANEL))


@compiled
def panel_puts(book: Book, rows: Integers, panels: int, wanted: Integers) -> Floats:
    """The puts of the ``wanted`` panels, for ``american_boundary.solve_boundaries``."""
    puts = np.empty((5, wanted.size * NODES))
    for e in range(wanted.size):
        stands = rows[0]
        for row in rows:
            if (book.is_call[row] == 1) == (wanted[e] >= panels):
                stands = row
        set_nodes(puts, e, math.log(LEAST_VOL) + PANEL * (wanted[e] % panels), PANEL, book, stands)
    return puts


@helper
def _move(w: Floats, k: int, row: int, book: Book, search: Search) -> None:
    """One step of Newton's method for contract ``row`` in lane ``k``, inside its shrinking bracket."""
    vol, target = w[SIGMA + k], search.target[row]
    miss = w[PRICE + k] - target
    if miss > 0.0:
        search.high[row] = vol
    else:
        search.low[row] = vol
    intrinsic = 1.0 - w[X + k]
    if 0.0 < intrinsic < w[PRICE + k]:
        # In the money the time value leaves zero like a square, so its root is what is nearly linear.
        value = w[PRICE + k] - intrinsic
        miss = 2.0 * (value - math.sqrt(value * (target - intrinsic)))
    guess = vol - miss / w[VEGA + k] if w[VEGA + k] > 0.0 else -1.0
    if abs(guess - vol) <= _SETTLED * vol:
        search.moving[row] = False
        return
    search.steps[row] += 1
    # What is not a number is not between them either.
    if not search.low[row] < guess < search.high[row] or search.steps[row] > _NEWTON_STEPS:
        guess = math.sqrt(search.low[row] * search.high[row])
    book.vol[row] = guess
    search.moving[row] = search.high[row] - search.low[row] > _SETTLED * vol

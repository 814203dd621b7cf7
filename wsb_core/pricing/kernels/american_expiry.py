"""All strikes of one expiry from a few boundaries.

In units of the strike the boundary depends on volatility, rate, yield and years only, so it is solved at
Chebyshev nodes in ln volatility and interpolated for each strike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .american_lanes import (
    LANES,
    LN_B,
    LN_B_RHO,
    LN_B_SIGMA,
    NODES,
    NOW,
    NOW_BY_RHO,
    NOW_BY_SIGMA,
    PULL,
    WEIGHTS,
    WORKSPACE,
    compiled,
    copy,
    helper,
)
from .american_price import load_lane, price_lanes, rates_of, set_discounts, store_lane

if TYPE_CHECKING:
    from wsb_core.pricing.american import Book

    from .american_lanes import Floats, Integers, Nodes

# Chebyshev nodes of the first kind on [0, 1], and their barycentric weights.
UNIT_NODES = tuple(0.5 + 0.5 * math.cos((m + 0.5) * math.pi / NODES) for m in range(NODES))
UNIT_WEIGHTS = tuple((-1.0) ** m * math.sin((m + 0.5) * math.pi / NODES) for m in range(NODES))
PANEL = 0.75
"""Widest range of ln volatility that one set of nodes spans: prices between nodes are right to 2e-8 of the
larger of spot and strike; twice as wide they would be right to 5e-7."""


class Plan(NamedTuple):
    """Which boundaries an expiry needs. An entry is a side, call or put, and a panel of ln volatility."""

    place: Floats
    """Of each row in its panel, 0 to 1."""
    order: Integers
    """Positions of the rows, those of one entry together."""
    starts: Integers
    """Where in ``order`` each entry starts, and its length."""
    puts: Floats
    """``NODES`` puts an entry, for ``american_boundary.solve_boundaries``."""


@compiled
def plan_expiry(book: Book, rows: Integers) -> tuple[Floats, Integers, Integers, Floats]:
    """The ``Plan`` for ``rows``, which share years, rate and yield; all must be EARLY, see ``classify``."""
    place, entry = np.empty(rows.size), np.empty(rows.size, np.int64)
    for i in range(rows.size):
        place[i] = math.log(book.vol[rows[i]])
    low, high = place.min(), place.max()
    panels = max(1, math.ceil((high - low) / PANEL))
    width = max((high - low) / panels, 1e-3)
    sizes = np.zeros(2 * panels, np.int64)
    for i in range(rows.size):
        place[i] = (place[i] - low) / width
        panel = min(int(place[i]), panels - 1)
        place[i] -= panel
        entry[i] = panel + (panels if book.is_call[rows[i]] else 0)
        sizes[entry[i]] += 1
    used = np.flatnonzero(sizes)
    starts, puts = np.zeros(used.size + 1, np.int64), np.empty((5, used.size * NODES))
    number, filled = np.zeros(2 * panels, np.int64), np.zeros(used.size, np.int64)
    for e in range(used.size):
        number[used[e]] = e
        starts[e + 1] = starts[e] + sizes[used[e]]
    order = np.empty(rows.size, np.int64)
    for i in range(rows.size):
        e = number[entry[i]]
        order[starts[e] + filled[e]] = i
        filled[e] += 1
    for e in range(used.size):
        set_nodes(puts, e, low + width * (used[e] % panels), width, book, rows[order[starts[e]]])
    return place, order, starts, puts


@helper
def set_nodes(puts: Floats, e: int, low: float, width: float, book: Book, row: int) -> None:
    """The puts of entry ``e``, whose panel begins at ``low`` and for whose side contract ``row`` stands."""
    for m in range(NODES):
        i = e * NODES + m
        puts[0, i], puts[3, i] = math.exp(low + width * UNIT_NODES[m]), book.years[row]
        puts[1, i], puts[2, i], puts[4, i] = rates_of(book, row)


@compiled
def set_weights(w: Floats) -> None:
    """From the place in its panel (0 to 1, in ``NOW``) to each lane's weights on the panel's nodes."""
    for k in range(LANES):
        w[PULL + k] = 0.0
        for m in range(NODES):
            distance = w[NOW + k] - UNIT_NODES[m]
            weight = UNIT_WEIGHTS[m] / (distance if distance != 0.0 else 1e-300)
            w[WEIGHTS + m * LANES + k] = weight
            w[PULL + k] += weight
    for k in range(LANES):
        inverse = 1.0 / w[PULL + k]
        for m in range(NODES):
            w[WEIGHTS + m * LANES + k] *= inverse


@compiled
def interpolate(w: Floats, table: Floats) -> None:
    """Boundary rows of all lanes from the boundaries of one entry's nodes."""
    for j in range(table.shape[1]):
        for k in range(LANES):
            a = b = c = 0.0
            for m in range(NODES):
                weight = w[WEIGHTS + m * LANES + k]
                a += weight * table[m, j, 0]
                b += weight * table[m, j, 1]
                c += weight * table[m, j, 2]
            w[NOW + k], w[NOW_BY_SIGMA + k], w[NOW_BY_RHO + k] = a, b, c
        copy(w, NOW, LN_B + j * LANES)
        copy(w, NOW_BY_SIGMA, LN_B_SIGMA + j * LANES)
        copy(w, NOW_BY_RHO, LN_B_RHO + j * LANES)


@compiled
def price_expiry(book: Book, rows: Integers, plan: Plan, table: Floats, nodes: Nodes, out: Floats) -> None:
    """Price and Greeks of ``rows`` from the boundaries of their plan's puts."""
    w = np.zeros(WORKSPACE)
    for e in range(plan.starts.size - 1):
        begin, end = plan.starts[e], plan.starts[e + 1]
        boundaries = table[e * NODES : (e + 1) * NODES]
        for k in range(LANES):
            load_lane(w, k, rows[plan.order[begin]], book)
        set_discounts(w, nodes)
        for first in range(begin, end, LANES):
            count = min(LANES, end - first)
            for k in range(LANES):
                i = plan.order[first + min(k, count - 1)]
                load_lane(w, k, rows[i], book)
                w[NOW + k] = plan.place[i]
            set_weights(w)
            interpolate(w, boundaries)
            price_lanes(w, nodes)
            for k in range(count):
                store_lane(w, k, rows[plan.order[first + k]], book, out)

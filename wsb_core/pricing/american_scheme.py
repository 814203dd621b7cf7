"""How finely the boundary method for American options divides time."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .kernels.american_lanes import Nodes, Scheme

    Floats = NDArray[np.float64]

_BEND = 0.75
"""How strongly the price's nodes crowd towards now, where a price near its boundary bends."""


class Accuracy(Enum):
    """Collocation times, nodes of the boundary's and of the price's integrals, and Newton steps.

    Largest errors on a spot of 100, against QuantLib's high-precision scheme, over volatilities from 0.12 to
    0.6 and up to two years.
    """

    FAST = (7, 6, 16, 2)
    """5e-5 dollars; near the exercise boundary a gamma may be off by a hundredth."""
    FINE = (12, 10, 32, 3)
    """5e-6 dollars, gammas to a thousandth."""


@cache
def scheme(accuracy: Accuracy) -> tuple[Scheme, Nodes]:
    """Constants for the kernels of the boundary and of the price."""
    # Imported late: numba takes half a second, and most commands never price an option.
    from .kernels.american_lanes import Nodes, Scheme

    times, nodes, price_nodes, newton = accuracy.value
    angle, weight = _angles(nodes, 0.0)
    price_angle, price_weight = _angles(price_nodes, _BEND)
    root_time = 0.5 + 0.5 * np.cos(np.arange(times + 1) * np.pi / times)
    left = np.cos(np.append(price_angle, 0.0))
    boundary = Scheme(
        root_time=tuple(root_time[:-1].tolist()),
        sine=np.sin(angle),
        cosine=np.cos(angle),
        weight=2.0 * np.cos(angle) * weight,
        spread=_lagrange(root_time, root_time[:-1, None] * np.cos(angle)),
        price_cosine=left,
        price_spread=_lagrange(root_time, left),
        newton=newton,
    )
    return boundary, Nodes(np.sin(price_angle), np.sin(2.0 * price_angle) * price_weight)


def _angles(count: int, bend: float) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on 0 to pi/2, drawn towards 0 by ``bend``."""
    x, weight = np.polynomial.legendre.leggauss(count)
    x = 0.5 * (x + 1.0)
    slope = 1.0 - bend + 2.0 * bend * x
    return 0.5 * np.pi * ((1.0 - bend) * x + bend * x * x), 0.25 * np.pi * weight * slope


def _lagrange(nodes: Floats, at: Floats) -> Floats:
    """Weights of values at ``nodes`` in their polynomial at ``at``; the last value is 0 and left out."""
    factors = np.ones((*at.shape, nodes.size))
    for m in range(nodes.size):
        for other in range(nodes.size):
            if other != m:
                factors[..., m] *= (at - nodes[other]) / (nodes[m] - nodes[other])
    return np.ascontiguousarray(factors[..., :-1])

"""What the pricing functions return."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DAYS_A_YEAR = 365.0


class Greeks(NamedTuple):
    """Per share. Arrays of one shape; every Greek has the sign of a long position.

    A row with a NaN among its inputs is NaN throughout.
    """

    price: Floats
    delta: Floats
    """Dollars per dollar of spot; puts negative."""
    gamma: Floats
    """Change of delta per dollar of spot."""
    vega: Floats
    """Dollars per vol point (0.01 of volatility)."""
    theta: Floats
    """Dollars per calendar day that passes; negative when time costs."""
    rho: Floats
    """Dollars per percentage point (0.01) of rate."""
    vanna: Floats | None = None
    """Change of delta per vol point; None unless asked for."""
    volga: Floats | None = None
    """Change of vega per vol point; None unless asked for."""


class IvStatus(IntEnum):
    """Why there is, or is not, an implied volatility. Anything but ``OK`` comes with NaN."""

    OK = 0
    AT_INTRINSIC = 1
    """No time value is left in the price: any small volatility fits."""
    BELOW_INTRINSIC = 2
    """Under what the option is worth without volatility: stale, or somebody is giving money away."""
    ABOVE_MAX = 3
    """At or over what the option could be worth with infinite volatility."""
    EXPIRED = 4
    BAD_INPUT = 5
    """A number that is missing, infinite, negative or, for a spot or strike, zero."""


class ImpliedVol(NamedTuple):
    """Annual volatility (0.2 is 20%), NaN unless ``status`` is ``IvStatus.OK``; one shape."""

    vol: Floats
    status: NDArray[np.int8]

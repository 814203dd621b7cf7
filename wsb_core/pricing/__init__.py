"""Option prices, Greeks, implied volatility and surfaces: arrays in, arrays out.

The six functions that price are had from here, each under the name of its module, which it covers:
``from wsb_core.pricing import european`` is the function. The rest is imported from its module.
"""

from __future__ import annotations

from .american import american, american_slice, implied_vol_american
from .american_discrete import american_discrete
from .european import european, implied_vol
from .results import Greeks, ImpliedVol, IvStatus

__all__ = [
    "Greeks",
    "ImpliedVol",
    "IvStatus",
    "american",
    "american_discrete",
    "american_slice",
    "european",
    "implied_vol",
    "implied_vol_american",
]

"""Option prices, Greeks, implied volatility and surfaces: arrays in, arrays out.

The public names below can be had from here; a module is loaded when its first name is asked for. A function
that is called as its module is, such as ``european.european``, is imported from the module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For type checkers; the same names as in ``_HOME``.
    from .american import american_slice as american_slice
    from .american import implied_vol_american as implied_vol_american
    from .clock import VarianceClock as VarianceClock
    from .clock import YearsTo as YearsTo
    from .clock import settles_at as settles_at
    from .clock import years_to as years_to
    from .european import implied_vol as implied_vol
    from .forward import Forward as Forward
    from .forward import ForwardStatus as ForwardStatus
    from .forward import expiry_quotes as expiry_quotes
    from .forward import implied_forward as implied_forward
    from .forward import implied_forward_american as implied_forward_american
    from .results import DAYS_A_YEAR as DAYS_A_YEAR
    from .results import Greeks as Greeks
    from .results import ImpliedVol as ImpliedVol
    from .results import IvStatus as IvStatus
    from .smile import QuoteStatus as QuoteStatus
    from .smile import Smile as Smile
    from .smile import SmileStatus as SmileStatus
    from .smile import fit_smile as fit_smile
    from .smile import quoted_vols as quoted_vols

_HOME = {
    "results": ("DAYS_A_YEAR", "Greeks", "ImpliedVol", "IvStatus"),
    "european": ("implied_vol",),
    "american": ("american_slice", "implied_vol_american"),
    "clock": ("VarianceClock", "YearsTo", "settles_at", "years_to"),
    "forward": ("Forward", "ForwardStatus", "expiry_quotes", "implied_forward", "implied_forward_american"),
    "smile": ("QuoteStatus", "Smile", "SmileStatus", "fit_smile", "quoted_vols"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

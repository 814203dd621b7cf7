"""The kernels that ``pricing.american`` calls."""

from __future__ import annotations

from .american_boundary import solve_boundaries
from .american_expiry import Plan, plan_expiry, price_expiry
from .american_lanes import NODES, Nodes, Scheme
from .american_price import (
    BEYOND,
    CERTAIN,
    EARLY,
    EUROPEAN,
    MISSING,
    TWO_BOUNDARIES,
    as_puts,
    classify,
    price_each,
)
from .american_vol import LEAST_VOL, Search, panel_puts, panels_above, step_each, step_expiry

__all__ = [
    "BEYOND",
    "CERTAIN",
    "EARLY",
    "EUROPEAN",
    "LEAST_VOL",
    "MISSING",
    "NODES",
    "TWO_BOUNDARIES",
    "Nodes",
    "Plan",
    "Scheme",
    "Search",
    "as_puts",
    "classify",
    "panel_puts",
    "panels_above",
    "plan_expiry",
    "price_each",
    "price_expiry",
    "solve_boundaries",
    "step_each",
    "step_expiry",
]

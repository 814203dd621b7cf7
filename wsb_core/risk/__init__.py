"""How many, and may we: sizing and the rules every order must pass."""

from __future__ import annotations

from wsb_core.risk.limits import RiskLimits
from wsb_core.risk.review import review

__all__ = ["RiskLimits", "review"]

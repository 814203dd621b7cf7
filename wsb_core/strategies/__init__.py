"""Every strategy of the desk: one file each, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from wsb_core.domain.ids import StrategyName
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.universes import sectors

__all__ = ["STRATEGIES", "sectors"]

_MODULES = ("wsb_dip_bot",)


def _load(module: str) -> AnyStrategy:
    strategy: AnyStrategy = import_module(f"{__name__}.{module}").STRATEGY
    if strategy.name != module:
        raise ValueError(f"strategies/{module}.py calls its strategy {strategy.name!r}; use the file's name")
    return strategy


STRATEGIES: Mapping[StrategyName, AnyStrategy] = MappingProxyType({s.name: s for s in map(_load, _MODULES)})

"""Dated lists of what a strategy may trade, and the sector of each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ids import Underlying


@dataclass(frozen=True, slots=True)
class Universe:
    """What may be traded. Before ``drawn_up`` the list carries hindsight: its names are survivors."""

    name: str
    drawn_up: date
    tickers: tuple[Underlying, ...]


def load_universe(name: str) -> Universe:
    """The list in ``<name>.yaml`` of this folder.

    Raises: ConfigError when there is no such list, or when it is empty, undated or repeats a ticker.
    """
    content = _read(name)
    drawn_up, tickers = content.get("drawn_up"), content.get("tickers")
    if not isinstance(drawn_up, date) or not isinstance(tickers, list) or not tickers:
        raise ConfigError(f"universe {name}: needs drawn_up (a date) and tickers (a list), has {content!r}")
    if len(set(tickers)) != len(tickers) or not all(isinstance(ticker, str) for ticker in tickers):
        raise ConfigError(
            f"universe {name}: tickers must be text and listed once, not {tickers}; quote NO, ON"
        )
    return Universe(name, drawn_up, tuple(Underlying(ticker) for ticker in tickers))


@lru_cache(maxsize=4)
def sectors(path: Path | None = None) -> Mapping[Underlying, str]:
    """Sector by ticker, from ``path`` or from the list of this folder.

    A ticker that is missing has no known sector; it is never in one by default.

    Raises: ConfigError when the file is not there, or lists a ticker twice.
    """
    content = _read("sectors") if path is None else _mapping(path, f"sectors {path}")
    found: dict[Underlying, str] = {}
    for sector, tickers in content.items():
        for ticker in tickers:
            if ticker in found:
                raise ConfigError(f"sectors: {ticker} is in {found[ticker]} and in {sector}; keep one")
            found[Underlying(ticker)] = str(sector)
    return MappingProxyType(found)


def _read(name: str) -> dict[str, Any]:
    return _mapping(resources.files(__name__) / f"{name}.yaml", f"universe {name}")


def _mapping(source: Traversable, what: str) -> dict[str, Any]:
    if not source.is_file():
        raise ConfigError(f"{what}: there is no {source.name} in its folder; add the file")
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ConfigError(f"{what}: {source.name} must be a mapping, not {content!r}")
    return content

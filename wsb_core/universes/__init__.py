"""Dated lists of what a strategy may trade, and the sector of each name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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

from .table import Row, read_rows

COLUMNS = ("universe", "symbol", "from", "to", "drawn_up")
_SYMBOL = re.compile(r"[A-Z]{1,5}(\.[A-Z])?")


@dataclass(frozen=True, slots=True)
class Universe:
    """What may be traded. Before ``drawn_up`` the list carries hindsight: its names are survivors."""

    name: str
    drawn_up: date
    tickers: tuple[Underlying, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A ticker that belongs to a list from ``first`` to ``last``, both included; None: still.

    It was put on the list on ``drawn_up``: that it belongs on earlier days is hindsight.
    """

    symbol: Underlying
    first: date
    last: date | None
    drawn_up: date

    def on(self, day: date) -> bool:
        return self.first <= day and (self.last is None or day <= self.last)


def universe(name: str, on: date, file: Path | None = None) -> Universe:
    """The members of a list on a day, in the order of the file: of ``file``, or of the lists that come with
    the program.

    Raises: ConfigError when the file is wrong, has no such list, or has nothing of it on that day: a list
    that begins later says nothing of the days before.
    """
    members = _members(name, file)
    here = [member for member in members if member.on(on)]
    if not here:
        first = min(member.first for member in members)
        raise ConfigError(
            f"universe {name}: no member on {on}, and the first is of {first}; ask for another day"
        )
    drawn_up = max(member.drawn_up for member in here)
    return Universe(name, drawn_up, tuple(member.symbol for member in here))


def load_universe(name: str, file: Path | None = None) -> Universe:
    """The list as it was last drawn up. Raises as ``universe``."""
    return universe(name, max(member.drawn_up for member in _members(name, file)), file)


@lru_cache(maxsize=4)
def lists(file: Path | None = None) -> Mapping[str, tuple[Member, ...]]:
    """Every list by name, from ``file`` or from those that come with the program.

    Raises: ConfigError naming file, line, value and remedy.
    """
    source: Traversable = resources.files(__name__) / "lists.csv" if file is None else file
    found: dict[str, list[Member]] = {}
    for row in read_rows(source, COLUMNS):
        member = _member(row)
        same = [m for m in found.setdefault(row.text("universe"), []) if m.symbol == member.symbol]
        _check_spans(row, member, same)
        found[row.text("universe")].append(member)
    return MappingProxyType({name: tuple(members) for name, members in found.items()})


@lru_cache(maxsize=4)
def sectors(path: Path | None = None) -> Mapping[Underlying, str]:
    """Sector by ticker, from ``path`` or from the list of this folder.

    A ticker that is missing has no known sector; it is never in one by default.

    Raises: ConfigError when the file is not there, or lists a ticker twice.
    """
    source: Traversable = resources.files(__name__) / "sectors.yaml" if path is None else path
    found: dict[Underlying, str] = {}
    for sector, tickers in _mapping(source).items():
        for ticker in tickers:
            if not isinstance(ticker, str):
                raise ConfigError(f"sectors: {ticker!r} in {sector} is not text; quote tickers such as 'ON'")
            name = Underlying(ticker)
            if name in found:
                raise ConfigError(f"sectors: {name} is in {found[name]} and in {sector}; keep one")
            found[name] = str(sector)
    return MappingProxyType(found)


def _members(name: str, file: Path | None) -> tuple[Member, ...]:
    known = lists(file)
    if name not in known:
        where = "the lists that come with the program" if file is None else str(file)
        raise ConfigError(f"universe {name!r} is not in {where}; there are: {', '.join(known) or 'none'}")
    return known[name]


def _member(row: Row) -> Member:
    symbol = row.text("symbol")
    if not _SYMBOL.fullmatch(symbol):
        raise row.wrong("symbol", "write capitals, with a dot before a class (BRK.B)")
    member = Member(Underlying(symbol), row.day("from"), row.optional_day("to"), row.day("drawn_up"))
    if member.last is not None and member.last < member.first:
        raise row.wrong("to", f"it is the last day and cannot be before the first, {member.first}")
    return member


def _check_spans(row: Row, member: Member, same: Sequence[Member]) -> None:
    for other in same:
        if (other.first, other.last) == (member.first, member.last):
            raise row.wrong("symbol", "it is listed twice for the same days; remove this line")
        if member.first <= (other.last or date.max) and other.first <= (member.last or date.max):
            until = other.last or "open"
            raise row.wrong(
                "from", f"its days overlap those of {member.symbol} from {other.first} to {until}; part them"
            )


def _mapping(source: Traversable) -> dict[str, Any]:
    if not source.is_file():
        raise ConfigError(f"sectors: there is no {source}; add the file")
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ConfigError(f"sectors: {source} must be a mapping, not {content!r}")
    return content

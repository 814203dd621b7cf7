"""What can be held: shares and option contracts, and the OCC symbol in and out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from .ids import OccSymbol, Underlying

STANDARD_MULTIPLIER = 100
_OCC = re.compile(r"^(?P<root>[A-Z0-9]{1,6}?) *(?P<ymd>\d{6})(?P<right>[CP])(?P<mills>\d{8})$")


class Right(StrEnum):
    CALL = "C"
    PUT = "P"


class ExerciseStyle(StrEnum):
    AMERICAN = "american"
    EUROPEAN = "european"


class Settlement(StrEnum):
    """When the settlement value is taken: at the open (AM) or at the close (PM)."""

    AM = "am"
    PM = "pm"


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """One share of ``underlying``."""

    underlying: Underlying

    def __post_init__(self) -> None:
        if not self.underlying:
            raise ValueError("underlying must not be empty")

    @property
    def symbol(self) -> str:
        return self.underlying

    @property
    def multiplier(self) -> int:
        return 1


@dataclass(frozen=True, slots=True, order=True)
class OptionContract:
    """A listed option. ``root`` is part of its identity: SPX and SPXW settle differently."""

    root: str
    expiry: date
    right: Right
    strike: Decimal
    underlying: Underlying
    multiplier: int = STANDARD_MULTIPLIER
    style: ExerciseStyle = ExerciseStyle.AMERICAN
    settlement: Settlement = Settlement.PM
    standard: bool = True

    def __post_init__(self) -> None:
        mills = self.strike * 1000
        if self.strike <= 0 or mills != mills.to_integral_value() or mills >= 10**8:
            raise ValueError(f"strike must be a positive multiple of 0.001 below 100000, not {self.strike}")
        if not re.fullmatch(r"[A-Z0-9]{1,6}", self.root):
            raise ValueError(f"root must be 1 to 6 capitals or digits, not {self.root!r}")
        if self.multiplier <= 0:
            raise ValueError(f"multiplier must be positive, not {self.multiplier}")

    @property
    def occ_symbol(self) -> OccSymbol:
        """The 21-character OCC symbol, root padded with blanks."""
        mills = int(self.strike * 1000)
        return OccSymbol(f"{self.root:<6}{self.expiry:%y%m%d}{self.right}{mills:08d}")

    @property
    def symbol(self) -> str:
        return self.occ_symbol

    def dte(self, on: date) -> int:
        """Calendar days from ``on`` to the last trading day."""
        return (self.expiry - on).days


Instrument = Share | OptionContract

_INDEX_ROOTS: dict[str, tuple[str, Settlement]] = {
    "SPX": ("SPX", Settlement.AM),
    "SPXW": ("SPX", Settlement.PM),
    "XSP": ("XSP", Settlement.PM),
    "NDX": ("NDX", Settlement.AM),
    "NDXP": ("NDX", Settlement.PM),
    "RUT": ("RUT", Settlement.AM),
    "RUTW": ("RUT", Settlement.PM),
    "DJX": ("DJX", Settlement.AM),
    "VIX": ("VIX", Settlement.AM),
    "VIXW": ("VIX", Settlement.AM),
    "XEO": ("OEX", Settlement.PM),
}
"""Roots of European options on an index. Source: contract specifications of Cboe and Nasdaq."""

_CLASS_SHARES = {root.replace(".", ""): root for root in ("BRK.A", "BRK.B", "BF.A", "BF.B")}
"""Roots have no dot; these underlyings do."""


def root_of(underlying: Underlying) -> str:
    """The root of an underlying's standard contracts: its ticker without a dot."""
    return underlying.replace(".", "")


def settlement_of(root: str) -> Settlement:
    """Whether ``root`` settles on the opening or the closing prices of its expiry day.

    The root decides and not the underlying: SPX and SPXW may both expire on one Friday.
    """
    return _INDEX_ROOTS[root][1] if root in _INDEX_ROOTS else Settlement.PM


def parse_occ(text: str) -> OptionContract:
    """The contract an OCC symbol names, padded or not; it is read from the right.

    A root that ends in a digit (XOM2, SDS1) is an adjusted contract, one that begins with a digit (1AAPL)
    a flexible one: they come back with ``standard=False`` so that they can be tracked and never opened.

    Raises: ValueError when the text is not an OCC symbol.
    """
    found = _OCC.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not an OCC option symbol: {text!r}")
    root, ymd = found["root"], found["ymd"]
    try:
        expiry = date(2000 + int(ymd[:2]), int(ymd[2:4]), int(ymd[4:]))
    except ValueError as error:
        raise ValueError(f"not an OCC option symbol, bad expiry: {text!r}") from error
    plain = root.strip("0123456789")
    index = _INDEX_ROOTS.get(plain)
    underlying = index[0] if index else _CLASS_SHARES.get(plain, plain)
    return OptionContract(
        root=root,
        expiry=expiry,
        right=Right(found["right"]),
        strike=Decimal(int(found["mills"])) / 1000,
        underlying=Underlying(underlying),
        style=ExerciseStyle.EUROPEAN if index else ExerciseStyle.AMERICAN,
        settlement=settlement_of(plain),
        standard=root == plain,
    )


def parse_instrument(symbol: str) -> Instrument:
    """An option contract when ``symbol`` is an OCC symbol, otherwise a share."""
    if _OCC.fullmatch(symbol.strip()):
        return parse_occ(symbol)
    return Share(Underlying(symbol.strip()))

"""How figures are printed, the same at every door: command line, report, artifacts, messages.

A real minus sign, thousands separated, the sign always before the dollar. What is not known is a dash
with its reason, never 0; a NaN is refused, because it is an unknown that lost its reason.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from wsb_core.domain.calendar import NEW_YORK, Session
from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.quotes import require_aware
from wsb_core.domain.structures import Structure, StructureKind

MINUS = "\u2212"
DASH = "\u2014"
_NOTHING = frozenset({"", "nan", "none", "null", "undefined", "nat", "inf", "-inf"})
Number = Decimal | float | int


def unknown(why: str) -> str:
    """A dash and the reason: ``— (no two-sided quote)``.

    Raises: ValueError without a reason.
    """
    if not why:
        raise ValueError("an unknown figure needs a reason")
    return f"{DASH} ({why})"


def words(text: str | None, *, why: str = "not given") -> str:
    """Someone else's text as it is; a dash where it only spells that there is none (``nan``, ``None``)."""
    if text is None or text.strip().lower() in _NOTHING:
        return unknown(why)
    return text.strip()


def money(value: Number | None, *, signed: bool = False, why: str = "not known") -> str:
    """Dollars and cents: ``$1,234.56``, ``−$3.00``; a gain is ``+$1,234.56`` when ``signed``."""
    if value is None:
        return unknown(why)
    sign, digits = _digits(value, 2, signed)
    return f"{sign}${digits}"


def price(value: Number | None, *, signed: bool = False, why: str = "not quoted") -> str:
    """Dollars per share to the tick: at least cents, up to four decimals where an average needs them."""
    if value is None:
        return unknown(why)
    finest = _exact(value).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    places = next(n for n in (2, 3, 4) if n == 4 or finest == finest.quantize(Decimal(10) ** -n))
    return "".join(_digits(finest, places, signed))


def percent(ratio: Number | None, *, signed: bool = False, places: int = 1, why: str = "not known") -> str:
    """A ratio in percent: 0.125 is ``12.5%``."""
    if ratio is None:
        return unknown(why)
    return "".join(_digits(_exact(ratio) * 100, places, signed)) + "%"


def number(value: Number | None, *, places: int = 2, signed: bool = False, why: str = "not known") -> str:
    """A plain figure with a fixed number of decimals: a Sharpe ratio, a greek."""
    if value is None:
        return unknown(why)
    return "".join(_digits(value, places, signed))


def quantity(value: Decimal | int | None, *, signed: bool = False, why: str = "not known") -> str:
    """Contracts or shares without trailing zeros: ``+3``, ``−2``, ``0.5``."""
    if value is None:
        return unknown(why)
    exact = _exact(value)
    exponent = exact.normalize().as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    return "".join(_digits(exact, places, signed))


def age(span: timedelta | None, *, why: str = "never seen") -> str:
    """How old something is, two units at most: ``42 s``, ``3 min``, ``2 h 05 min``, ``3 d 4 h``."""
    if span is None:
        return unknown(why)
    seconds = int(span.total_seconds())
    if seconds < 0:
        return f"{-seconds} s in the future"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def et_time(at: datetime | None, *, why: str = "not yet") -> str:
    """Exchange time of day: ``15:40:03 ET``."""
    if at is None:
        return unknown(why)
    return f"{require_aware(at, 'at').astimezone(NEW_YORK):%H:%M:%S} ET"


def et_stamp(at: datetime | None, *, why: str = "not yet") -> str:
    """Exchange date and time: ``2021-07-06 15:40:03 ET``."""
    if at is None:
        return unknown(why)
    return f"{require_aware(at, 'at').astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} ET"


def closing(session: Session) -> str:
    """When a session ends: ``closes 13:00 ET (half day)``."""
    text = f"closes {session.closes.astimezone(NEW_YORK):%H:%M} ET"
    return f"{text} (half day)" if session.half_day else text


def instrument_name(instrument: Instrument) -> str:
    """What a trader calls it: ``AAPL`` or ``AAPL 16 JUL 21 145C``."""
    if isinstance(instrument, OptionContract):
        return f"{instrument.root} {_expiry(instrument)} {_strike(instrument)}"
    return instrument.symbol


def structure_name(structure: Structure) -> str:
    """One line for the whole structure: ``AAPL 16 JUL 21 +145C −150C vertical``."""
    contracts = structure.contracts
    first = structure.legs[0]
    if structure.kind is StructureKind.SHARES:
        return f"{structure.underlying} {'long' if first.ratio > 0 else 'short'} shares"
    if structure.kind is StructureKind.SINGLE:
        return f"{instrument_name(first.instrument)} {'long' if first.ratio > 0 else 'short'}"
    one_expiry = len({contract.expiry for contract in contracts}) == 1
    words = [contracts[0].root]
    if one_expiry:
        words.append(_expiry(contracts[0]))
    for leg in structure.legs:
        sign = "+" if leg.ratio > 0 else MINUS
        if isinstance(leg.instrument, OptionContract):
            when = "" if one_expiry else f"{_expiry(leg.instrument)} "
            words.append(f"{sign}{when}{_strike(leg.instrument)}")
        else:
            words.append(f"{sign}{abs(leg.ratio)} shares")
    return " ".join([*words, structure.kind.replace("_", " ")])


def _expiry(contract: OptionContract) -> str:
    return f"{contract.expiry.day} {contract.expiry:%b %y}".upper()


def _strike(contract: OptionContract) -> str:
    return f"{quantity(contract.strike).replace(',', '')}{contract.right}"


def _exact(value: Number) -> Decimal:
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"a figure to print must be finite, not {value!r}: pass None and say why")
    return exact


def _digits(value: Number, places: int, signed: bool) -> tuple[str, str]:
    rounded = _exact(value).quantize(Decimal(10) ** -places, ROUND_HALF_UP)
    if rounded == 0:
        return "", f"{abs(rounded):,f}"
    sign = MINUS if rounded < 0 else "+" if signed else ""
    return sign, f"{abs(rounded):,f}"

"""Column types that keep a number exact, an instant in UTC and a document canonical on every database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import DateTime, Numeric, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

SCALE = 10
PRECISION = 30
_WHOLE = Decimal(1)
# The usual 28 digits would round a number that the column can hold.
_DIGITS = Context(prec=2 * PRECISION)


def exact(value: Decimal) -> Decimal:
    """``value`` with no trailing zeros and no exponent, so that both databases give back the same digits.

    Raises: ValueError when it is not finite, or needs more than 10 decimals or 20 digits before the point.
    """
    if not value.is_finite():
        raise ValueError(f"a stored number must be finite, not {value}")
    plain = value.normalize(_DIGITS)
    exponent = plain.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -SCALE:
        raise ValueError(f"a stored number has at most {SCALE} decimals, not {value}: round it first")
    if plain.copy_abs() >= Decimal(10) ** (PRECISION - SCALE):
        raise ValueError(
            f"a stored number has at most {PRECISION - SCALE} digits before the point, not {value}"
        )
    return plain.quantize(_WHOLE, context=_DIGITS) if plain == plain.to_integral_value() else plain


def fitted(value: Decimal) -> Decimal:
    """``value`` to the decimals that a column holds: what a broker divides may have more of them."""
    return round(value, SCALE) if value.is_finite() else value


@lru_cache(maxsize=1 << 16)
def _stored(value: str | Decimal) -> Decimal:
    """A number as the database gave it; the same few come again and again."""
    return exact(Decimal(value))


class Exact(TypeDecorator[Decimal]):
    """A Decimal: NUMERIC(30,10) on PostgreSQL, text on SQLite, whose own numbers are floats."""

    impl = Numeric(PRECISION, SCALE)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(PRECISION + 2))
        return dialect.type_descriptor(Numeric(PRECISION, SCALE))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an exact column takes a Decimal, not {value!r}")
        number = exact(value)
        return f"{number:f}" if dialect.name == "sqlite" else number

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else _stored(value)


class Instant(TypeDecorator[datetime]):
    """An aware instant, given back in UTC. Text of fixed width on SQLite, so that it sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(32))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant must be timezone-aware, not {value!r}: attach its zone")
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def canonical(document: Any) -> str:
    """The one JSON text of ``document``: sorted keys, no blanks, Decimals, dates and instants as text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)


class Document(TypeDecorator[Any]):
    """A JSON document as canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)

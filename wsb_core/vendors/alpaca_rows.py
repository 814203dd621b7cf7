"""Fields of a vendor's JSON row, read strictly: a missing or odd one is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from wsb_core.domain.contracts import Instrument, parse_instrument
from wsb_core.domain.errors import BadResponse


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object and what to call it in errors. Every reader raises BadResponse."""

    what: str
    fields: Mapping[str, Any]

    def bad(self, name: str, wanted: str) -> BadResponse:
        told = self.fields.get(name, "(absent)")
        return BadResponse(f"{self.what}: {name} is {told!r}, not {wanted}; nothing of this answer is used")

    def optional_text(self, name: str) -> str | None:
        """Text; None when absent, null or blank."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.bad(name, "text")
        return value

    def text(self, name: str) -> str:
        value = self.optional_text(name)
        if value is None:
            raise self.bad(name, "text")
        return value

    def optional_number(self, name: str) -> Decimal | None:
        """An exact number from a string or a JSON number; None when absent, null or blank."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.bad(name, "a number")
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise self.bad(name, "a number") from None
        if not number.is_finite():
            raise self.bad(name, "a finite number")
        return number

    def number(self, name: str) -> Decimal:
        value = self.optional_number(name)
        if value is None:
            raise self.bad(name, "a number")
        return value

    def whole(self, name: str) -> int:
        value = self.number(name)
        if value != value.to_integral_value():
            raise self.bad(name, "a whole number")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if not isinstance(value, bool):
            raise self.bad(name, "true or false")
        return value

    def optional_instant(self, name: str) -> datetime | None:
        """An aware instant in UTC, cut to microseconds; None when absent or null."""
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise self.bad(name, "an RFC 3339 instant") from None
        if instant.tzinfo is None:
            raise self.bad(name, "an instant with a time zone")
        return instant.astimezone(UTC)

    def instant(self, name: str) -> datetime:
        value = self.optional_instant(name)
        if value is None:
            raise self.bad(name, "an instant")
        return value

    def day(self, name: str) -> date:
        try:
            return date.fromisoformat(self.text(name)[:10])
        except ValueError:
            raise self.bad(name, "a date") from None

    def instrument(self, name: str = "symbol") -> Instrument:
        try:
            return parse_instrument(self.text(name))
        except ValueError:
            raise self.bad(name, "a symbol") from None

    def child(self, name: str) -> Row | None:
        """The object under ``name``; None when absent or null."""
        value = self.fields.get(name)
        return None if value is None else row_of(f"{self.what} {name}", value)


def row_of(what: str, value: Any, key: str | None = None) -> Row:
    """The row; with ``key`` its own name for itself joins ``what``. BadResponse when it is no object."""
    if not isinstance(value, dict):
        raise BadResponse(f"{what}: {value!r:.80} is not an object")
    return Row(f"{what} {value.get(key)}" if key else what, value)


def rows_of(what: str, value: Any, key: str | None = None) -> tuple[Row, ...]:
    """Every row of a list. BadResponse when it is no list: that is unknown, not empty."""
    if not isinstance(value, list):
        raise BadResponse(f"{what}: the answer is not a list; it is unknown, not empty")
    return tuple(row_of(what, item, key) for item in value)


def utc_text(instant: datetime) -> str:
    """RFC 3339 in UTC, with microseconds when there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")

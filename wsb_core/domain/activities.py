"""What the broker booked in an account besides our fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from .contracts import Instrument
from .ids import BrokerOrderId, Cash, Price


class ActivityKind(StrEnum):
    FILL = "fill"
    EXPIRY = "expiry"
    EXERCISE = "exercise"
    ASSIGNMENT = "assignment"
    OPTION_TRADE = "option_trade"
    """The share leg of an exercise or an assignment."""
    DIVIDEND = "dividend"
    SPLIT = "split"
    FEE = "fee"
    CASH = "cash"
    OTHER = "other"
    """A kind we do not know: kept whole, never ignored, and never an explanation."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One booked row. ``quantity`` is signed as it changes the position; ``cash`` as it changes cash.

    For a fill ``cash`` excludes fees, which come as rows of their own.
    """

    activity_id: str
    kind: ActivityKind
    raw_kind: str
    at: datetime
    booked_on: date
    instrument: Instrument | None
    quantity: Decimal
    price: Price | None
    cash: Cash
    broker_order_id: BrokerOrderId | None = None
    group: str | None = None
    description: str = ""

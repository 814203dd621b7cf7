"""What the exchange's parts share: the clock, the account, the book, ids, and the figures made of them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from wsb_core.domain.contracts import Instrument, OptionContract, Share
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.quotes import require_aware

from . import hours, margin
from .account import FLAT, Account
from .book import Book, change_of
from .lifecycle import Booking
from .margin import Standing
from .model import ActivityRow, Feed, OrderRow, RowKind, Settings
from .prices import Prices


class State:
    """One account on one feed at one instant. Changed only by the exchange's single writer."""

    def __init__(self, feed: Feed, start: datetime, settings: Settings) -> None:
        self.feed = feed
        self.settings = settings
        self.prices = Prices(feed)
        self.account = Account(settings.starting_cash)
        self.book = Book()
        self.declined: set[OptionContract] = set()
        """Long contracts that their holder does not want exercised."""
        self._rng = random.Random(settings.seed)
        self._now = require_aware(start, "start").astimezone(UTC)

    @property
    def now(self) -> datetime:
        """The simulated instant, in UTC."""
        return self._now

    @now.setter
    def now(self, at: datetime) -> None:
        self._now = at.astimezone(UTC)

    def new_id(self) -> str:
        """The next id in the shape of a version-4 uuid, the same in every run of one seed."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    # --- booking ------------------------------------------------------------------------------

    def book_group(self, group: Iterable[Booking]) -> None:
        """Book rows that belong together under one group id (a row alone has none)."""
        bookings = tuple(group)
        tag = self.new_id() if len(bookings) > 1 else None
        for booking in bookings:
            self.book_row(booking, group=tag)

    def book_row(
        self,
        booking: Booking,
        *,
        row_id: str | None = None,
        order_id: str | None = None,
        leg_order_id: str | None = None,
        fill_type: str | None = None,
        cumulative: Decimal | None = None,
        leaves: Decimal | None = None,
        group: str | None = None,
    ) -> None:
        """Book now. Balances change at once; rows other than fills and their fees may show only later."""
        at_once = booking.kind in (RowKind.FILL, RowKind.FEE) or not self.settings.activities_next_day
        visible_at = self.now if at_once else hours.next_morning(self.now)
        stamp = f"{visible_at:%Y%m%d%H%M%S}{visible_at.microsecond // 1000:03d}"
        self.account.book(
            ActivityRow(
                id=f"{stamp}::{row_id or self.new_id()}",
                kind=booking.kind,
                at=self.now,
                booked_on=hours.trading_date(self.now),
                instrument=booking.instrument,
                quantity=booking.quantity,
                price=booking.price,
                net_amount=Cash(booking.cash),
                visible_at=visible_at,
                order_id=order_id,
                leg_order_id=leg_order_id,
                fill_type=fill_type,
                cumulative=cumulative,
                leaves=leaves,
                group=group,
                description=booking.description,
            )
        )

    # --- figures ------------------------------------------------------------------------------

    def mark_or_cost(self, instrument: Instrument) -> Price:
        """The mark, or what was paid: equity has to be a number where nothing is quoted at all."""
        mark = self.prices.mark(instrument, self.now)
        if mark is not None:
            return mark
        held = self.account.holdings.get(instrument)
        return held.average if held is not None else Price(FLAT)

    def value(self, instrument: Instrument) -> Decimal:
        """Signed market value of a position in dollars."""
        return self.account.quantity(instrument) * instrument.multiplier * self.mark_or_cost(instrument)

    def equity(self) -> Cash:
        return Cash(self.account.cash + sum((self.value(i) for i in self.account.holdings), FLAT))

    def standing_of(self, cash: Decimal, holdings: Mapping[Instrument, Decimal]) -> Standing:
        """The standing of these holdings at today's marks."""
        marks = {i: self.mark_or_cost(i) for i in holdings if isinstance(i, Share)}
        return margin.standing(cash, holdings, marks, self.settings.margin_multiplier)

    def standing(self) -> Standing:
        """The account's standing after what open orders have reserved; negative where it is short."""
        held = self.account.quantities()
        return self.standing_of(self.account.cash, held).less(self.book.reserved)

    def committed(self) -> dict[Instrument, Decimal]:
        """Holdings once open orders that give something away, or trade several legs, have filled.

        A single buy that rests is not counted on: nothing may be sold against it.
        """
        base = self.account.quantities()
        for working, leg in self.book.open_legs():
            if len(working.row.legs) > 1 or not leg.action.is_buy:
                change = change_of(leg, working.remaining)
                base[leg.instrument] = base.get(leg.instrument, FLAT) + change
        return base

    def available(self, instrument: Instrument) -> Decimal:
        """What of a position a new closing order may still take; shares under short calls stay."""
        held = self.account.quantity(instrument)
        free = abs(held) - self.book.held(instrument)
        if isinstance(instrument, Share) and held > 0:
            free -= margin.net_short_calls(self.committed(), instrument.underlying)
        return max(FLAT, free)

    def concerned(self) -> Iterator[Instrument]:
        """Everything that is held or that an open order names."""
        yield from self.account.holdings
        for _, leg in self.book.open_legs():
            yield leg.instrument


def after_fill(
    holdings: Mapping[Instrument, Decimal], row: OrderRow, units: Decimal
) -> dict[Instrument, Decimal]:
    """``holdings`` after ``units`` of the order have filled."""
    after = dict(holdings)
    for leg in row.legs:
        after[leg.instrument] = after.get(leg.instrument, FLAT) + change_of(leg, units)
    return after

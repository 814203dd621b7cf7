"""The floor: orders are routed, trade against the quotes, and end; every step is told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.ids import Price

from . import margin, matching, rules
from .account import FLAT
from .book import CLOSING, Working, change_of, snapshot
from .lifecycle import Booking
from .model import Execution, LegRow, OrderRow, OrderType, RowKind, Status, TradeEvent
from .state import State, after_fill

Listener = Callable[[TradeEvent], None]


class Trading:
    """Moves the orders of ``state`` through their life and books what they trade."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._listeners: list[Listener] = []
        self._marketable = 0
        self._taken: dict[tuple[Instrument, bool], Decimal] = {}
        self._taken_in = state.now

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- states -------------------------------------------------------------------------------

    def route(self, working: Working) -> None:
        """Send an accepted order to the market.

        It is rejected when its position, its cover or the money for it went since it was accepted.
        """
        if not self._backed(working) or not self._funded(working):
            self.end(working.row, Status.REJECTED)
            return
        working.row.status = Status.NEW
        self._tell("new", working.row)
        self._match(working)

    def end(self, row: OrderRow, status: Status) -> None:
        """Close what is left of an order as ``status``."""
        if status is Status.CANCELED:
            row.canceled_at = self._state.now
        elif status is Status.EXPIRED:
            row.expired_at = self._state.now
        elif status is Status.REPLACED:
            row.replaced_at = self._state.now
        row.status = status
        self._state.book.working.pop(row.id, None)
        self._tell(status.value, row)

    def drop_unbacked(self) -> None:
        """Cancel routed orders whose position, or whose cover, is no longer there."""
        for working in tuple(self._state.book.working.values()):
            if working.row.status is not Status.ACCEPTED and not self._backed(working):
                self.end(working.row, Status.CANCELED)

    def _backed(self, working: Working) -> bool:
        held = self._state.account.quantities()
        for leg in working.row.legs:
            if leg.action not in CLOSING:
                continue
            position = held.get(leg.instrument, FLAT)
            right_side = position < 0 if leg.action.is_buy else position > 0
            if not right_side or self._state.book.held(leg.instrument) > abs(position):
                return False
        after = after_fill(held, working.row, working.remaining)
        return margin.requirement(after).uncovered <= margin.requirement(held).uncovered

    def _funded(self, working: Working) -> bool:
        free, needs = self._state.standing(), working.open_reserve
        if isinstance(working.row.legs[0].instrument, OptionContract):
            return needs.cash <= 0 or free.cash_free >= 0
        return needs.excess <= 0 or free.excess >= 0

    def _tell(self, event: str, row: OrderRow, executions: tuple[Execution, ...] = ()) -> None:
        row.updated_at = self._state.now
        told = TradeEvent(self._state.new_id(), event, self._state.now, snapshot(row), executions)
        for listener in tuple(self._listeners):
            listener(told)

    # --- matching -----------------------------------------------------------------------------

    def match_all(self) -> None:
        """Look at every routed order once, in the order in which they came."""
        for working in tuple(self._state.book.working.values()):
            if working.row.status is not Status.ACCEPTED:
                self._match(working)

    def _match(self, working: Working) -> None:
        """Trade what the quotes allow: a taker at the quote, an order that rested at its own limit."""
        row = working.row
        quotes = [self._state.prices.quote(leg.instrument, self._state.now) for leg in row.legs]
        if row.request.type in (OrderType.STOP, OrderType.STOP_LIMIT) and not working.triggered:
            working.triggered = matching.stop_reached(row, quotes[0])
            if not working.triggered:
                return
        prices = matching.touch(row.legs, quotes)
        limit = matching.signed_limit(row)
        if prices is None or (limit is not None and matching.net_price(row.legs, prices) > limit):
            working.passive = True
            return
        shown = [
            quote.ask_size if leg.action.is_buy else quote.bid_size
            for leg, quote in zip(row.legs, quotes, strict=True)
            if quote is not None
        ]
        left = [Decimal(size) - self._taken_of(leg) for leg, size in zip(row.legs, shown, strict=True)]
        units = min(working.remaining, matching.units_on_offer(row.legs, left))
        if units <= 0:
            return
        if working.passive and limit is not None:
            prices = matching.at_limit(row.legs, prices, limit)
        self._fill(working, self._perhaps_in_part(working, units), prices)

    def _perhaps_in_part(self, working: Working, units: Decimal) -> Decimal:
        """Half of ``units`` for every n-th order that could be split, when it first trades."""
        every = self._state.settings.partial_fill_every
        if working.counted or working.remaining <= 1:
            return units
        working.counted = True
        self._marketable += 1
        if every and self._marketable % every == 0 and units > 1:
            return units // 2
        return units

    def _taken_of(self, leg: LegRow) -> Decimal:
        """What orders have taken of this side since the minute began: size comes back with the next."""
        minute = self._state.now.replace(second=0, microsecond=0)
        if self._taken_in != minute:
            self._taken, self._taken_in = {}, minute
        return self._taken.get((leg.instrument, leg.action.is_buy), FLAT)

    def _fill(self, working: Working, units: Decimal, prices: tuple[Price, ...]) -> None:
        row = working.row
        whole = units == working.remaining
        executions = tuple(
            self._execute(row, leg, units, price, whole=whole)
            for leg, price in zip(row.legs, prices, strict=True)
        )
        net = matching.net_price(row.legs, prices) if len(row.legs) > 1 else prices[0]
        row.average = _average(row.average, row.filled, net, units)
        row.filled += units
        if whole:
            row.filled_at = self._state.now
            row.status = Status.FILLED
            self._state.book.working.pop(row.id)
        else:
            row.status = Status.PARTIALLY_FILLED
        self._tell("fill" if whole else "partial_fill", row, executions)

    def _execute(self, row: OrderRow, leg: LegRow, units: Decimal, price: Price, *, whole: bool) -> Execution:
        """Book one leg's part of a fill, and its fee."""
        change = change_of(leg, units)
        self._taken[leg.instrument, leg.action.is_buy] = self._taken_of(leg) + abs(change)
        leg.average = _average(leg.average, leg.filled, price, abs(change))
        leg.filled += abs(change)
        # The row of a fill and its event carry one id, so that neither is counted twice.
        execution_id = self._state.new_id()
        cash = -change * price * leg.instrument.multiplier
        self._state.book_row(
            Booking(RowKind.FILL, leg.instrument, change, price, cash),
            row_id=execution_id,
            order_id=row.id,
            leg_order_id=leg.id,
            fill_type="fill" if whole else "partial_fill",
            cumulative=leg.filled,
            leaves=row.request.quantity * leg.ratio - leg.filled,
        )
        fee = rules.fee(leg.instrument, change, self._state.settings)
        if fee:
            self._state.book_row(
                Booking(RowKind.FEE, leg.instrument, FLAT, None, -fee, "regulatory and clearing fees"),
                order_id=row.id,
                leg_order_id=leg.id,
            )
        held = self._state.account.quantity(leg.instrument)
        return Execution(execution_id, leg.id, leg.instrument, change, price, held)


def _average(before: Price | None, filled: Decimal, price: Price, count: Decimal) -> Price:
    if before is None or before == price:
        return price
    return Price((before * filled + price * count) / (filled + count))

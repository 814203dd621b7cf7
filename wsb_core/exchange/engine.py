"""The practice exchange: one account, one simulated clock, one order book, over one market feed.

A single writer without threads or I/O: everything happens inside ``advance`` and the order calls, in
one order, and the same calls over the same feed and seed give the same ids, fills and rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from wsb_core.domain.calendar import NEW_YORK, Session
from wsb_core.domain.contracts import OptionContract, Settlement, Share
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.quotes import require_aware

from . import hours, intake, margin, rules
from .account import FLAT
from .book import snapshot
from .clearing import Clearing
from .lifecycle import Booking
from .margin import Standing
from .model import (
    AccountRow,
    ActivityRow,
    Feed,
    OrderRequest,
    OrderRow,
    PositionRow,
    Reject,
    RowKind,
    Settings,
    Status,
    TimeInForce,
)
from .state import State
from .trading import Listener, Trading

_DEFAULTS = Settings()


class Exchange:
    """The exchange as its clients see it. ``advance`` moves its clock; nothing else does."""

    def __init__(self, feed: Feed, start: datetime, settings: Settings = _DEFAULTS) -> None:
        self._state = State(feed, start, settings)
        self._trading = Trading(self._state)
        self._clearing = Clearing(self._state, self._trading)
        self._account_id = self._state.new_id()
        self._created_at = self._state.now
        self._last_equity = settings.starting_cash

    @property
    def now(self) -> datetime:
        """The simulated instant, in UTC."""
        return self._state.now

    @property
    def feed(self) -> Feed:
        return self._state.feed

    @property
    def settings(self) -> Settings:
        return self._state.settings

    # --- time ---------------------------------------------------------------------------------

    def advance(self, to: datetime) -> None:
        """Move the clock to ``to`` and do, in order, everything that falls due on the way.

        Raises: ValueError when ``to`` is before now or has no time zone.
        """
        if require_aware(to, "to") < self.now:
            raise ValueError(f"the exchange's clock only moves forward: it is {self.now}, not {to}")
        day, last = hours.trading_date(self.now), hours.trading_date(to)
        while day <= last:
            session = hours.session_of(day)
            if session is not None:
                self._pass_session(session, to)
            day += timedelta(days=1)
        self._state.now = to

    def _pass_session(self, session: Session, to: datetime) -> None:
        steps: tuple[tuple[datetime, Callable[[Session], None]], ...] = (
            (session.opens - hours.BEFORE_OPEN, self._clearing.corporate_actions),
            (session.opens, self._open),
            (session.closes - hours.LIQUIDATION, self._last_hour),
            (session.closes, self._close),
            (session.closes + hours.EXPIRY, self._expire),
        )
        for at, action in steps:
            self._match_minutes(session, min(at - hours.MINUTE, to))
            if self.now < at <= to:
                self._state.now = at
                action(session)
        self._match_minutes(session, to)

    def _match_minutes(self, session: Session, until: datetime) -> None:
        """Look at resting orders on every whole minute up to ``until``; without any, do not look."""
        working = self._state.book.working
        while any(order.row.status is not Status.ACCEPTED for order in working.values()):
            minute = self.now.replace(second=0, microsecond=0) + hours.MINUTE
            if minute > until or not session.is_open(minute):
                return
            self._state.now = minute
            self._trading.match_all()

    def _open(self, session: Session) -> None:
        self._clearing.settle(session, Settlement.AM)
        self._trading.match_all()
        for working in tuple(self._state.book.working.values()):
            if working.row.status is Status.ACCEPTED:
                self._trading.route(working)

    def _last_hour(self, session: Session) -> None:
        self._clearing.liquidate(session)
        self._trading.match_all()

    def _close(self, session: Session) -> None:
        for working in tuple(self._state.book.working.values()):
            row = working.row
            day_over = row.request.time_in_force is TimeInForce.DAY and row.status is not Status.ACCEPTED
            if day_over or _stops_trading(row, session):
                self._trading.end(row, Status.EXPIRED)
        self._last_equity = self._state.equity()

    def _expire(self, session: Session) -> None:
        self._clearing.settle(session, Settlement.PM)

    # --- reads --------------------------------------------------------------------------------

    def account(self) -> AccountRow:
        """Balances at now. Buying power is 0 where the account could not open what it holds."""
        state = self._state
        values = [state.value(instrument) for instrument in state.account.holdings]
        held = state.account.quantities()
        marks = {i: state.mark_or_cost(i) for i in held if isinstance(i, Share)}
        share_long, share_short = margin.share_values(held, marks)
        standing = state.standing()
        options = standing.requirement.amount
        multiplier = self.settings.margin_multiplier
        maintenance = share_long * margin.LONG_MAINTENANCE + share_short * margin.SHORT_MAINTENANCE
        return AccountRow(
            id=self._account_id,
            number=self.settings.account_number,
            cash=Cash(state.account.cash),
            equity=Cash(state.account.cash + sum(values, FLAT)),
            last_equity=self._last_equity,
            buying_power=Cash(max(FLAT, standing.excess) * multiplier),
            options_buying_power=Cash(max(FLAT, standing.cash_free)),
            long_market_value=Cash(sum((v for v in values if v > 0), FLAT)),
            short_market_value=Cash(sum((v for v in values if v < 0), FLAT)),
            initial_margin=Cash((share_long + share_short) / multiplier + options),
            maintenance_margin=Cash(maintenance + options),
            # Fees are taken from cash as they arise: none are outstanding.
            accrued_fees=Cash(FLAT),
            options_level=self.settings.options_level,
            blocked=False,
            created_at=self._created_at,
        )

    def standing(self) -> Standing:
        """What orders are judged by: what is free after open orders, negative where it is short."""
        return self._state.standing()

    def positions(self) -> tuple[PositionRow, ...]:
        """Every holding; ``current`` and ``last_day`` are None where the feed has no price."""
        state = self._state
        midnight = self.now.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
        yesterday = hours.last_closed(midnight)
        return tuple(
            PositionRow(
                instrument=instrument,
                quantity=held.quantity,
                average=held.average,
                current=state.prices.mark(instrument, self.now),
                last_day=state.prices.closing_mark(instrument, yesterday),
                available=state.available(instrument),
            )
            for instrument, held in state.account.holdings.items()
        )

    def order(self, order_id: str) -> OrderRow | None:
        """The order with this id, or the one that has a leg with it; None when there is none."""
        row = self._state.book.find(order_id)
        return snapshot(row) if row else None

    def order_by_client_id(self, client_order_id: str) -> OrderRow | None:
        """As ``order``, by the client's id of the order or of one of its legs."""
        row = self._state.book.find_client(client_order_id)
        return snapshot(row) if row else None

    def orders(self) -> tuple[OrderRow, ...]:
        """Every order ever sent, by submission."""
        return tuple(snapshot(row) for row in self._state.book.rows.values())

    def activities(self) -> tuple[ActivityRow, ...]:
        """Booked rows that show at now, in the order in which they began to show."""
        rows = (row for row in self._state.account.rows if row.visible_at <= self.now)
        return tuple(sorted(rows, key=lambda row: row.visible_at))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` on every trade event until the returned function is called."""
        return self._trading.subscribe(listener)

    # --- orders -------------------------------------------------------------------------------

    def submit(self, request: OrderRequest) -> OrderRow:
        """Take an order; in session it is routed and may have traded when this returns.

        Raises: Reject in the vendor's words; then nothing was taken.
        """
        working = intake.accept(self._state, request)
        self._state.book.add(working)
        if hours.session_at(self.now):
            self._trading.route(working)
        return snapshot(working.row)

    def cancel(self, order_id: str) -> None:
        """Cancel what is left of an open order.

        Raises: Reject when it is unknown or no longer open.
        """
        row = self._known(order_id)
        if not row.status.open:
            raise rules.invalid(f'order is already in "{row.status}" state')
        self._trading.end(row, Status.CANCELED)

    def replace(
        self,
        order_id: str,
        *,
        quantity: Decimal | None = None,
        limit: Price | None = None,
        stop: Price | None = None,
        client_order_id: str | None = None,
    ) -> OrderRow:
        """A new order for what the old one has left, at the new terms; the old one ends as replaced.

        ``quantity`` is the new total, what has filled included; the new order counts from zero, so
        that every fill belongs to one order.

        Raises: Reject when the order has ended, is not routed yet, or the new terms are refused; the
        old order then works on.
        """
        old = self._known(order_id)
        if old.status not in (Status.NEW, Status.PARTIALLY_FILLED):
            raise rules.invalid(f"cannot replace order in {old.status} status")
        if len(old.legs) > 1 and not self.settings.multileg_replace:
            raise rules.forbidden("replace mleg order is disabled")
        request = replace(_changed(old, quantity, limit, stop), client_order_id=client_order_id)
        book = self._state.book
        aside = book.working.pop(old.id)
        try:
            working = intake.accept(self._state, request)
        except Reject:
            book.restore(aside)
            raise
        book.add(working)
        working.row.replaces, old.replaced_by = old.id, working.row.id
        self._trading.end(old, Status.REPLACED)
        if hours.session_at(self.now):
            self._trading.route(working)
        return snapshot(working.row)

    def _known(self, order_id: str) -> OrderRow:
        row = self._state.book.find(order_id)
        if row is None:
            raise rules.not_found("order")
        return row

    # --- positions and cash -------------------------------------------------------------------

    def exercise(self, contract: OptionContract) -> None:
        """Exercise all available long contracts now.

        Raises: Reject when it is short, flat, European, out of the money, too late or not payable.
        """
        self._clearing.exercise(contract)

    def do_not_exercise(self, contract: OptionContract) -> None:
        """Let a long contract expire although it is in the money.

        Raises: Reject when it is not held long, or later than half an hour after its last close.
        """
        self._clearing.decline(contract)

    def assign(self, contract: OptionContract, quantity: int) -> None:
        """Assign ``quantity`` short contracts now, before expiry.

        Raises: Reject when fewer are short, or the contract cannot be exercised early.
        """
        self._clearing.assign(contract, quantity)

    def deposit(self, amount: Cash) -> None:
        """Add cash, or take it out when negative."""
        self._state.book_row(Booking(RowKind.CSD, None, FLAT, None, amount, "cash transfer"))


def _changed(
    old: OrderRow, quantity: Decimal | None, limit: Price | None, stop: Price | None
) -> OrderRequest:
    if quantity is not None and quantity <= old.filled:
        raise rules.invalid("qty must be > filled_qty")
    terms = old.request
    new = replace(
        terms,
        quantity=terms.quantity if quantity is None else quantity,
        limit=terms.limit if limit is None else limit,
        stop=terms.stop if stop is None else stop,
    )
    if new == terms:
        raise rules.invalid("order parameters are not changed")
    return replace(new, quantity=new.quantity - old.filled)


def _stops_trading(row: OrderRow, session: Session) -> bool:
    """Whether a contract of the order trades for the last time in ``session``."""
    return any(
        isinstance(leg.instrument, OptionContract)
        and hours.last_trading_session(leg.instrument) <= session.day
        for leg in row.legs
    )

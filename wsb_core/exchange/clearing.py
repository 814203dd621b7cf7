"""The clearing side: expiry, exercise, assignment, dividends, splits, and the broker's own closing orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from wsb_core.domain.calendar import Session
from wsb_core.domain.contracts import ExerciseStyle, OptionContract, Right, Settlement, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.orders import Action

from . import hours, intake, lifecycle, margin, rules
from .account import FLAT
from .book import Working
from .lifecycle import Booking, Expiring
from .model import LegRow, OrderRequest, OrderType, Reject, RequestLeg, Status
from .state import State
from .trading import Trading


class Clearing:
    """Books what happens to positions without the holder's orders, and his instructions for it."""

    def __init__(self, state: State, trading: Trading) -> None:
        self._state = state
        self._trading = trading

    # --- instructions -------------------------------------------------------------------------

    def exercise(self, contract: OptionContract) -> None:
        """Exercise all available long contracts now.

        Raises: Reject when it is short, flat, European, out of the money, too late or not payable.
        """
        self._require_long(contract, "cannot exercise short position")
        state = self._state
        quantity = state.available(contract)
        if quantity <= 0:
            raise rules.forbidden("no available position for the specified contract")
        _require_early(contract)
        session = hours.session_of(hours.trading_date(state.now))
        if session is not None and state.now >= session.closes:
            raise rules.forbidden("exercise is not accepted after market close until midnight")
        spot = state.prices.mark(Share(contract.underlying), state.now)
        if spot is None or margin.intrinsic(contract, spot) == 0 or not contract.standard:
            raise rules.forbidden("contract is out of the money or non-standard: contact support")
        group = lifecycle.deliver(contract, -quantity)
        if not self._payable(contract, group):
            raise rules.forbidden("insufficient cash, buying power or deliverable")
        self._book(group)

    def decline(self, contract: OptionContract) -> None:
        """Let a long contract expire although it is in the money.

        Raises: Reject when it is not held long, or later than half an hour after its last close.
        """
        self._require_long(contract, "cannot submit DNE for short position")
        session = hours.session_of(hours.last_trading_session(contract))
        if session is not None and self._state.now > session.closes + hours.DECLINE:
            raise rules.forbidden("do-not-exercise is not accepted after the cut-off")
        self._state.declined.add(contract)

    def assign(self, contract: OptionContract, quantity: int) -> None:
        """Assign ``quantity`` short contracts now, before expiry.

        Raises: Reject when fewer are short, or the contract cannot be exercised early.
        """
        short = -self._state.account.quantity(contract)
        if short <= 0:
            raise rules.not_found("position")
        if not 1 <= quantity <= short:
            raise rules.invalid(f"qty must be between 1 and {short:f}, not {quantity}")
        _require_early(contract)
        self._book(lifecycle.deliver(contract, Decimal(quantity)))

    def _require_long(self, contract: OptionContract, short_text: str) -> None:
        held = self._state.account.quantity(contract)
        if held < 0:
            raise Reject(403, 40310001, short_text)
        if held == 0:
            raise rules.forbidden("no available position for the specified contract")

    def _payable(self, contract: OptionContract, group: tuple[Booking, Booking]) -> bool:
        """Whether cash, shares and the cover of short contracts are still enough afterwards."""
        state, trade = self._state, group[1]
        if contract.right is Right.PUT and -trade.quantity > state.available(Share(contract.underlying)):
            return False
        held = state.account.quantities()
        after = dict(held)
        for booking in group:
            if booking.instrument is not None:
                after[booking.instrument] = after.get(booking.instrument, FLAT) + booking.quantity
        uncovered = margin.requirement(after).uncovered > margin.requirement(held).uncovered
        return state.account.cash + trade.cash >= 0 and not uncovered

    # --- expiry -------------------------------------------------------------------------------

    def settle(self, session: Session, when: Settlement) -> None:
        """Exercise, assign, settle in cash or remove what expires at the open or after the close."""
        for underlying, expiring in self._expiring(session, when).items():
            spot = self._state.prices.settlement(underlying, session, when)
            # Cash is shared between underlyings: each sees what the one before has left.
            for group in lifecycle.settle(replace(expiring, cash=self._state.account.cash), spot):
                self._state.book_group(group)
            self._state.declined.difference_update(expiring.quantities)
        self._trading.drop_unbacked()

    def liquidate(self, session: Session) -> None:
        """Close, as the broker, what expires today and could not be carried through expiry."""
        promised = FLAT
        for underlying, expiring in self._expiring(session, Settlement.PM).items():
            quote = self._state.prices.quote(Share(underlying), self._state.now)
            spot = quote.mid if quote is not None else None
            if spot is None:
                continue
            # Cash is shared between underlyings, and the ones before will be settled first.
            expiring = replace(expiring, cash=self._state.account.cash + promised)
            at_risk = self._at_risk(expiring, spot)
            for contract, quantity in at_risk.items():
                self._close_out(contract, quantity)
            kept = {c: q for c, q in expiring.quantities.items() if c not in at_risk}
            groups = lifecycle.settle(replace(expiring, quantities=kept), spot)
            promised += sum((booking.cash for group in groups for booking in group), FLAT)

    def _expiring(self, session: Session, when: Settlement) -> dict[Underlying, Expiring]:
        """Positions that settle in ``session`` at its open or its close, by underlying, by name."""
        state = self._state
        due: dict[Underlying, dict[OptionContract, Decimal]] = {}
        for instrument, held in state.account.holdings.items():
            if not isinstance(instrument, OptionContract) or instrument.settlement is not when:
                continue
            if hours.expiry_session(instrument) <= session.day:
                due.setdefault(instrument.underlying, {})[instrument] = held.quantity
        return {
            underlying: Expiring(
                quantities=due[underlying],
                shares=self._deliverable(underlying, due[underlying]),
                cash=state.account.cash,
                declined=frozenset(state.declined),
                threshold=state.settings.exercise_threshold,
            )
            for underlying in sorted(due)
        }

    def _deliverable(self, underlying: Underlying, expiring: Mapping[OptionContract, Decimal]) -> Decimal:
        """Shares that may be put away: those that cover calls of a later expiry stay."""
        state = self._state
        shares = state.account.quantity(Share(underlying))
        later = {i: q for i, q in state.account.quantities().items() if i not in expiring}
        return min(shares, max(FLAT, shares - margin.net_short_calls(later, underlying)))

    def _at_risk(self, expiring: Expiring, spot: Decimal) -> dict[OptionContract, Decimal]:
        """Positions the broker closes before expiry, signed as held.

        Longs in the money that could not be exercised, the shorts of their side, which they may
        cover, and shorts in the money whose assignment the account could not carry.
        """
        at_risk = lifecycle.unaffordable(expiring, spot)
        rights = {contract.right for contract in at_risk}
        carried = self._carried(expiring, spot)
        shorts: dict[OptionContract, Decimal] = {}
        for contract, quantity in expiring.quantities.items():
            in_the_money = margin.intrinsic(contract, spot) >= expiring.threshold
            if quantity < 0 and (contract.right in rights or (in_the_money and not carried)):
                shorts[contract] = quantity
        # Shorts first: a long that is sold before them would leave them uncovered.
        return shorts | at_risk

    def _carried(self, expiring: Expiring, spot: Decimal) -> bool:
        state = self._state
        held = state.account.quantities()
        cash = state.account.cash
        for booking in (booking for group in lifecycle.settle(expiring, spot) for booking in group):
            cash += booking.cash
            if booking.instrument is not None:
                held[booking.instrument] = held.get(booking.instrument, FLAT) + booking.quantity
        return state.standing_of(cash, held).excess >= 0

    def _close_out(self, contract: OptionContract, quantity: Decimal) -> None:
        """A market order of the broker's own for the position; the holder's orders make way."""
        state = self._state
        for working, leg in tuple(state.book.open_legs()):
            if leg.instrument == contract and working.row.id in state.book.working:
                self._trading.end(working.row, Status.CANCELED)
        action = Action.SELL_TO_CLOSE if quantity > 0 else Action.BUY_TO_CLOSE
        legs = (RequestLeg(contract, action.is_buy, 1, action),)
        request = OrderRequest(legs, abs(quantity), OrderType.MARKET)
        leg = LegRow(state.new_id(), state.new_id(), contract, action, 1)
        order = Working(intake.new_row(state, request, [leg]))
        state.book.add(order)
        self._trading.route(order)

    # --- corporate actions --------------------------------------------------------------------

    def corporate_actions(self, session: Session) -> None:
        """Dividends and splits that take effect between the session before and this one's open."""
        state = self._state
        first = hours.last_session(session.day - timedelta(days=1)) + timedelta(days=1)
        for underlying in sorted({instrument.underlying for instrument in state.concerned()}):
            for action in state.feed.corporate_actions(underlying, first, session.day):
                if action.dividend is not None:
                    self._pay_dividend(Share(underlying), action.dividend)
                if action.ratio is not None and action.ratio != 1:
                    self._split(underlying, action.ratio)

    def _pay_dividend(self, share: Share, per_share: Price) -> None:
        quantity = self._state.account.quantity(share)
        if quantity:
            self._state.book_row(lifecycle.dividend(share, quantity, per_share))

    def _split(self, underlying: Underlying, ratio: Decimal) -> None:
        """Adjust shares and contracts; open orders were sent at prices that no longer mean anything."""
        state = self._state
        for working in tuple(state.book.working.values()):
            if working.row.legs[0].instrument.underlying == underlying:
                self._trading.end(working.row, Status.CANCELED)
        for instrument, held in tuple(state.account.holdings.items()):
            if instrument.underlying != underlying:
                continue
            if isinstance(instrument, Share):
                state.book_row(lifecycle.split_share(instrument, held.quantity, ratio))
            else:
                state.book_group(lifecycle.split_option(instrument, held.quantity, held.average, ratio))
        self._carry_declined(underlying, ratio)

    def _carry_declined(self, underlying: Underlying, ratio: Decimal) -> None:
        state = self._state
        state.declined = {
            lifecycle.adjust(contract, ratio)[0] if contract.underlying == underlying else contract
            for contract in state.declined
        }

    def _book(self, group: tuple[Booking, ...]) -> None:
        self._state.book_group(group)
        self._trading.drop_unbacked()


def _require_early(contract: OptionContract) -> None:
    if contract.style is ExerciseStyle.EUROPEAN:
        raise rules.forbidden("early exercise is not allowed for European-style options")

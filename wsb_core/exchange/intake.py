"""The door for orders: what is refused, and what an accepted one reserves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from wsb_core.domain.contracts import Instrument, OptionContract, Share
from wsb_core.domain.ids import Price
from wsb_core.domain.orders import Action

from . import hours, margin, matching, rules
from .account import FLAT
from .book import CLOSING, Working, change_of
from .margin import Reserve
from .model import LegRow, OrderRequest, OrderRow, Reject, RequestLeg, Status
from .state import State, after_fill


def accept(state: State, request: OrderRequest) -> Working:
    """The order checked whole and priced for its reserve, not yet in the book.

    Raises: Reject for the first rule that refuses it.
    """
    _check_client_id(state, request.client_order_id)
    request = replace(request, legs=tuple(_as_held(state, leg) for leg in request.legs))
    rules.check_terms(request, state.settings, in_session=hours.session_at(state.now) is not None)
    row = new_row(state, request, _resolve(state, request))
    for leg in row.legs:
        _check_leg(state, leg, request)
    rules.check_level(row.legs, state.settings.options_level)
    if len(row.legs) > 1:
        rules.check_covered_inside(row.legs)
    return Working(row, _afford(state, row))


def new_row(state: State, request: OrderRequest, legs: list[LegRow]) -> OrderRow:
    """An accepted order; one with a single leg shares that leg's ids."""
    single = len(legs) == 1
    return OrderRow(
        id=legs[0].id if single else state.new_id(),
        client_order_id=legs[0].client_order_id if single else request.client_order_id or state.new_id(),
        request=request,
        legs=legs,
        status=Status.ACCEPTED,
        created_at=state.now,
        updated_at=state.now,
        submitted_at=state.now,
    )


def _check_client_id(state: State, client_order_id: str | None) -> None:
    if client_order_id is None:
        return
    if not 1 <= len(client_order_id) <= rules.MAX_CLIENT_ID:
        raise Reject(422, 40010001, f"client_order_id must be 1 to {rules.MAX_CLIENT_ID} characters")
    if state.book.find_client(client_order_id) is not None:
        raise Reject(422, 40010001, "client_order_id must be unique")


def _as_held(state: State, leg: RequestLeg) -> RequestLeg:
    # A symbol does not tell what an adjusted contract delivers; the position that is held does.
    symbol = leg.instrument.symbol
    held = next((i for i in state.account.holdings if i.symbol == symbol), leg.instrument)
    return replace(leg, instrument=held)


def _resolve(state: State, request: OrderRequest) -> list[LegRow]:
    own_id = request.client_order_id if len(request.legs) == 1 else None
    return [
        LegRow(
            id=state.new_id(),
            client_order_id=own_id or state.new_id(),
            instrument=leg.instrument,
            action=rules.resolve_action(leg, state.account.quantity(leg.instrument)),
            ratio=leg.ratio,
        )
        for leg in request.legs
    ]


def _check_leg(state: State, leg: LegRow, request: OrderRequest) -> None:
    instrument, closing = leg.instrument, leg.action in CLOSING
    if isinstance(instrument, OptionContract):
        listed = closing or _is_listed(state, instrument)
        rules.check_tradable(instrument, listed, not closing, state.now)
    elif instrument.underlying not in state.feed.symbols():
        raise rules.invalid(f'asset "{instrument.symbol}" not found')
    elif leg.action is Action.SELL_TO_OPEN and request.quantity % 1:
        raise rules.invalid("fractional orders cannot be sold short")
    opposite = state.book.opposite(instrument, is_buy=leg.action.is_buy)
    if opposite is not None:
        raise rules.forbidden(
            "potential wash trade detected. use complex orders",
            existing_order_id=opposite.id,
            reject_reason="opposite side order exists",
        )
    if closing:
        rules.check_quantity(
            instrument,
            requested=request.quantity * leg.ratio,
            available=state.available(instrument),
            existing=abs(state.account.quantity(instrument)),
            held=state.book.held(instrument),
        )


def _is_listed(state: State, contract: OptionContract) -> bool:
    day = hours.current_or_next(state.now).day
    return any(listed.contract == contract for listed in state.feed.listed(contract.underlying, day))


def _afford(state: State, row: OrderRow) -> Reserve:
    """What the order would take if it filled at its worst price.

    Measured on what is held and on what will be left once open orders fill: the larger counts.

    Raises: Reject when that is more than is free, or when it would leave a short call uncovered.
    """
    units = row.request.quantity
    cash_after = state.account.cash + _worst_cash(state, row)
    reserve = Reserve()
    for base in (state.account.quantities(), state.committed()):
        before = state.standing_of(state.account.cash, base)
        after = state.standing_of(cash_after, after_fill(base, row, units))
        if after.requirement.uncovered > before.requirement.uncovered:
            raise _uncovered(state, row, base)
        reserve = Reserve(
            max(reserve.cash, before.cash_free - after.cash_free),
            max(reserve.excess, before.excess - after.excess),
        )
    _check_power(state, row, reserve)
    return reserve


def _check_power(state: State, row: OrderRow, reserve: Reserve) -> None:
    free = state.standing()
    if isinstance(row.legs[0].instrument, OptionContract):
        power = max(FLAT, free.cash_free)
        if reserve.cash > power:
            raise rules.forbidden(
                "insufficient options buying power",
                options_buying_power=f"{power:f}",
                cost_basis=f"{reserve.cash:f}",
            )
        return
    power = max(FLAT, free.excess)
    if reserve.excess > power:
        multiplier = state.settings.margin_multiplier
        raise rules.forbidden(
            "insufficient buying power",
            buying_power=f"{power * multiplier:f}",
            cost_basis=f"{reserve.excess * multiplier:f}",
        )


def _uncovered(state: State, row: OrderRow, base: Mapping[Instrument, Decimal]) -> Reject:
    contract = row.legs[0].instrument
    share = Share(contract.underlying)
    if len(row.legs) == 1 and state.account.quantity(share) > 0:
        needed = row.request.quantity * contract.multiplier
        free = base.get(share, FLAT) - margin.net_short_calls(base, contract.underlying)
        text = f"(required: {needed:f}, available: {max(FLAT, free):f})"
        return rules.forbidden(f"insufficient underlying qty available for covered call {text}")
    return rules.forbidden("account not eligible to trade uncovered option contracts")


def _worst_cash(state: State, row: OrderRow) -> Decimal:
    """Cash if the whole order filled at its limit (a market order at the quote), fees included."""
    cost = matching.signed_limit(row)
    if cost is None:
        cost = _market_cost(state, row)
    multiplier = max(leg.instrument.multiplier for leg in row.legs)
    fees = sum(
        (rules.fee(leg.instrument, change_of(leg, row.request.quantity), state.settings) for leg in row.legs),
        FLAT,
    )
    return -cost * multiplier * row.request.quantity - fees


def _market_cost(state: State, row: OrderRow) -> Decimal:
    """What one unit costs per share at the stop, at the quotes, or at the last marks."""
    stop = row.request.stop
    if stop is not None:
        return stop if row.legs[0].action.is_buy else -stop
    prices = matching.touch(row.legs, [state.prices.quote(leg.instrument, state.now) for leg in row.legs])
    if prices is not None:
        return matching.net_price(row.legs, prices)
    marks = [state.prices.mark(leg.instrument, state.now) for leg in row.legs]
    known = [Price(mark) for mark in marks if mark is not None]
    if len(known) < len(marks):
        raise rules.invalid("market order cannot be priced: no quote")
    return matching.net_price(row.legs, known)

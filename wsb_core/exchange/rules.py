"""What the exchange refuses before it looks at money, in the vendor's codes and words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal
from math import gcd

from wsb_core.domain.contracts import Instrument, OptionContract, Right
from wsb_core.domain.ids import CENT
from wsb_core.domain.orders import Action

from . import hours
from .model import LegRow, OrderRequest, OrderType, Reject, RequestLeg, Settings, TimeInForce

MAX_LEGS = 4
MAX_CLIENT_ID = 128
_HUNDREDTH_CENT = Decimal("0.0001")


def invalid(message: str) -> Reject:
    return Reject(422, 42210000, message)


def forbidden(message: str, **extras: str) -> Reject:
    return Reject(403, 40310000, message, **extras)


def not_found(what: str) -> Reject:
    return Reject(404, 40410000, f"{what} not found")


def check_terms(request: OrderRequest, settings: Settings, *, in_session: bool) -> None:
    """Shape, quantity, prices, type and time in force.

    Raises: Reject for the first that is wrong.
    """
    options = [leg for leg in request.legs if isinstance(leg.instrument, OptionContract)]
    if not request.quantity.is_finite() or request.quantity <= 0:
        raise invalid("qty must be > 0")
    if options and request.quantity != request.quantity.to_integral_value():
        raise invalid("qty must be integer")
    if len(request.legs) == 1 and request.legs[0].ratio != 1:
        raise invalid("ratio_qty must be 1 for a simple order")
    if len(request.legs) != 1:
        _check_legs(request.legs)
    if options:
        _check_option_terms(request, settings, in_session=in_session)
    _check_prices(request, bool(options))


def _check_legs(legs: Sequence[RequestLeg]) -> None:
    if not 2 <= len(legs) <= MAX_LEGS:
        raise invalid(f"order must have between 2 and {MAX_LEGS} legs, not {len(legs)}")
    if any(not isinstance(leg.instrument, OptionContract) for leg in legs):
        raise invalid("equity legs are not supported in mleg orders")
    if len({leg.instrument for leg in legs}) != len(legs):
        raise invalid("leg symbols must be distinct")
    if len({leg.instrument.underlying for leg in legs}) != 1:
        raise invalid("underlying asset mismatch")
    ratios = [leg.ratio for leg in legs]
    if min(ratios) < 1:
        raise invalid("leg ratio quantities must be positive")
    common = gcd(*ratios)
    if common != 1:
        text = " ".join(str(ratio) for ratio in ratios)
        raise invalid(f"leg ratio quantities should be relatively prime: GCD[{text}] = {common}")


def _check_option_terms(request: OrderRequest, settings: Settings, *, in_session: bool) -> None:
    if request.type in (OrderType.STOP, OrderType.STOP_LIMIT):
        raise invalid("invalid order type for options trading")
    if request.time_in_force is not TimeInForce.DAY and not settings.option_gtc:
        raise invalid("invalid option time_in_force")
    if request.type is OrderType.MARKET and not in_session:
        raise invalid("options market orders are only allowed during market hours")


def _check_prices(request: OrderRequest, for_options: bool) -> None:
    needs_limit = request.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    needs_stop = request.type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if needs_limit and request.limit is None:
        raise invalid("limit price is required")
    if needs_stop and request.stop is None:
        raise invalid("stop price is required")
    if not needs_limit and request.limit is not None:
        raise invalid(f"{request.type} orders must not have a limit price")
    if not needs_stop and request.stop is not None:
        raise invalid(f"{request.type} orders must not have a stop price")
    for name, value in (("limit_price", request.limit), ("stop_price", request.stop)):
        if value is None:
            continue
        if not value.is_finite() or (value <= 0 and len(request.legs) == 1):
            raise invalid(f"{name} must be > 0")
        tick = CENT if for_options or abs(value) >= 1 else _HUNDREDTH_CENT
        if value % tick:
            text = "sub-penny increment does not fulfill minimum pricing criteria"
            raise invalid(f"invalid {name} {value}. {text}")


def resolve_action(leg: RequestLeg, position: Decimal) -> Action:
    """The leg's position intent: inferred from the position, and equal to what was asked for.

    Raises: Reject when the order says otherwise.
    """
    if leg.is_buy:
        inferred = Action.BUY_TO_CLOSE if position < 0 else Action.BUY_TO_OPEN
    else:
        inferred = Action.SELL_TO_CLOSE if position > 0 else Action.SELL_TO_OPEN
    if leg.intent is not None and leg.intent is not inferred:
        raise invalid(f"position intent mismatch, inferred: {inferred}, specified: {leg.intent}")
    return inferred


def check_level(legs: Sequence[LegRow], level: int) -> None:
    """Option level: 1 covered calls and cash-secured puts, 2 buys, 3 spreads; closing needs none."""
    if not any(isinstance(leg.instrument, OptionContract) for leg in legs):
        return
    opening = [leg for leg in legs if leg.action in (Action.BUY_TO_OPEN, Action.SELL_TO_OPEN)]
    if not opening:
        return
    if level < 1:
        raise forbidden("account not authorized to trade options")
    if len(legs) > 1 and level < 3:
        raise forbidden("account not eligible to trade spreads")
    if any(leg.action is Action.BUY_TO_OPEN for leg in opening) and level < 2:
        raise forbidden("account not eligible to trade long option contracts")


def check_covered_inside(legs: Sequence[LegRow]) -> None:
    """Every short leg opened by a multi-leg order is covered by a bought leg of the same order."""
    bought: list[tuple[OptionContract, int]] = []
    sold: list[tuple[OptionContract, int]] = []
    for leg in legs:
        if isinstance(leg.instrument, OptionContract):
            if leg.action.is_buy:
                bought.append((leg.instrument, leg.ratio))
            elif leg.action is Action.SELL_TO_OPEN:
                sold.append((leg.instrument, leg.ratio))
    for right in Right:
        for expiry in {contract.expiry for contract, _ in sold}:
            short = sum(n for c, n in sold if c.right is right and c.expiry >= expiry)
            cover = sum(n for c, n in bought if c.right is right and c.expiry >= expiry)
            if short > cover:
                raise forbidden("account not eligible to trade uncovered option contracts")


def check_tradable(contract: OptionContract, listed: bool, opening: bool, at: datetime) -> None:
    """Whether ``contract`` may still be traded, and opened, at ``at``."""
    session = hours.current_or_next(at)
    last = hours.last_trading_session(contract)
    if session.day > last:
        raise invalid(f'asset "{wire_symbol(contract)}" is expired')
    if not opening:
        return
    if not contract.standard:
        raise invalid(f'contract "{wire_symbol(contract)}" is not tradable')
    if not listed:
        raise invalid(f'asset "{wire_symbol(contract)}" not found')
    if session.day == last and at >= session.closes - hours.LAST_OPENING:
        raise invalid(f'contract "{wire_symbol(contract)}" expires soon, unable to open new positions')


def check_quantity(
    instrument: Instrument, requested: Decimal, available: Decimal, existing: Decimal, held: Decimal
) -> None:
    """Closing more than is there and not yet spoken for is refused."""
    if requested > available:
        raise forbidden(
            f"insufficient qty available for order (requested: {requested:f}, available: {available:f})",
            available=f"{available:f}",
            existing_qty=f"{existing:f}",
            held_for_orders=f"{held:f}",
            symbol=wire_symbol(instrument),
        )


def wire_symbol(instrument: Instrument) -> str:
    """The vendor writes OCC symbols without padding."""
    return instrument.symbol.replace(" ", "")


def fee(instrument: Instrument, change: Decimal, settings: Settings) -> Decimal:
    """Positive dollars that trading signed ``change`` costs; the fee on shares is for sales only.

    Options: ``option_fee`` a contract and side. Shares: the trading activity fee, up to the cent.
    """
    if isinstance(instrument, OptionContract):
        return settings.option_fee * abs(change)
    if change > 0:
        return Decimal(0)
    return (settings.sell_share_fee * -change).quantize(CENT, ROUND_UP)

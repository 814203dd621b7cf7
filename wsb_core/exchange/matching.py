"""Whether an order trades against the quotes of one instant, how much, and at which leg prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.ids import Price
from wsb_core.domain.quotes import Quote

from .model import LegRow, OrderRow, OrderType


def signed_limit(order: OrderRow) -> Decimal | None:
    """The most one unit may cost per share, negative when it must bring in; None for market orders."""
    request = order.request
    if request.type not in (OrderType.LIMIT, OrderType.STOP_LIMIT) or request.limit is None:
        return None
    single_sell = len(order.legs) == 1 and not order.legs[0].action.is_buy
    return -request.limit if single_sell else request.limit


def touch(legs: Sequence[LegRow], quotes: Sequence[Quote | None]) -> tuple[Price, ...] | None:
    """What each leg trades at now: buys at the ask, sells at the bid.

    None when any leg has no quote, one side only, or a crossed one: such a package has no price.
    """
    prices: list[Price] = []
    for leg, quote in zip(legs, quotes, strict=True):
        if quote is None or quote.bid is None or quote.ask is None or quote.bid > quote.ask:
            return None
        prices.append(quote.ask if leg.action.is_buy else quote.bid)
    return tuple(prices)


def net_price(legs: Sequence[LegRow], prices: Sequence[Price]) -> Price:
    """What one unit costs per share at ``prices``: buys less sells, each times its ratio."""
    total = Decimal(0)
    for leg, price in zip(legs, prices, strict=True):
        total += price * leg.ratio * (1 if leg.action.is_buy else -1)
    return Price(total)


def stop_reached(order: OrderRow, quote: Quote | None) -> bool:
    """A buy stop is reached when the ask comes up to it, a sell stop when the bid comes down to it."""
    prices = touch(order.legs, [quote])
    if prices is None or order.request.stop is None:
        return False
    is_buy = order.legs[0].action.is_buy
    return prices[0] >= order.request.stop if is_buy else prices[0] <= order.request.stop


def units_on_offer(legs: Sequence[LegRow], sizes: Sequence[Decimal]) -> Decimal:
    """Balanced units the quoted ``sizes`` are enough for; shares may trade in fractions."""
    return min(
        size // leg.ratio if isinstance(leg.instrument, OptionContract) else size
        for leg, size in zip(legs, sizes, strict=True)
    )


def at_limit(legs: Sequence[LegRow], prices: tuple[Price, ...], limit: Decimal) -> tuple[Price, ...]:
    """``prices`` moved so that they net to ``limit``, all of the difference on one leg, exactly.

    Unchanged when no leg can carry it (a ratio that does not divide it, or a sold leg that would go
    for nothing).
    """
    extra = limit - net_price(legs, prices)
    buys_first = sorted(range(len(legs)), key=lambda i: (not legs[i].action.is_buy, legs[i].ratio))
    for i in buys_first:
        change = extra / legs[i].ratio
        moved = prices[i] + (change if legs[i].action.is_buy else -change)
        if change * legs[i].ratio == extra and moved > 0:
            return (*prices[:i], Price(moved), *prices[i + 1 :])
    return prices

"""What Alpaca's refusals mean, in the words that were seen on real accounts and in its documents."""

from __future__ import annotations

import pytest

from tests.brokers.conftest import LONG, SHORT, an_order
from tests.brokers.scripted import Reply, Scripted
from wsb_core.brokers.alpaca import AlpacaBroker
from wsb_core.brokers.alpaca_rules import ALPACA, REFUSALS
from wsb_core.domain.errors import InsufficientBuyingPower, OrderRejected
from wsb_core.domain.orders import Effect
from wsb_core.execution.recovery import RECOVERY, Remedy, Trouble
from wsb_core.execution.rules import refused

NOW, TERMS, MAY_NOT, POOR = (
    Trouble.REFUSED_FOR_NOW,
    Trouble.REFUSED_TERMS,
    Trouble.REFUSED_PERMISSION,
    Trouble.BUYING_POWER,
)
WORDS: dict[str, tuple[int, int, Trouble]] = {
    "insufficient options buying power": (403, 40310000, POOR),
    "insufficient options buying power for cash-secured put (required: 19000, available: 120)": (
        403,
        40310000,
        POOR,
    ),
    "insufficient buying power": (403, 40310000, POOR),
    "insufficient qty available for order (requested: 2, available: 0)": (403, 40310000, NOW),
    "insufficient underlying qty available for covered call": (403, 40310000, NOW),
    "cannot open a long buy while a short sell order is open": (403, 40310000, NOW),
    "potential wash trade detected. use complex orders": (403, 40310000, NOW),
    "potential wash trade detected": (422, 42210000, NOW),
    "account not eligible to trade uncovered option contracts": (403, 40310000, NOW),
    "account not eligible to trade long option contracts": (403, 40310000, MAY_NOT),
    "account not eligible to trade spreads": (403, 40310000, MAY_NOT),
    "account not authorized to trade options": (403, 40310000, MAY_NOT),
    "order rejected: active assignment lock": (403, 40310000, NOW),
    "exceeded account limit for contracts expiring today": (403, 40310000, NOW),
    "submit mleg order is disabled": (403, 40310000, NOW),
    "options market orders are only allowed during market hours": (422, 42210000, NOW),
    'contract "AAPL241220C00200000" expires soon, unable to open new positions': (422, 42210000, NOW),
    'asset "AAPL241220C00200000" is expired': (422, 42210000, NOW),
    'asset "AAPL241220C00200000" is not active': (422, 42210000, NOW),
    'contract "AAPL1241220C00200000" is not tradable': (422, 42210000, NOW),
    'asset "AAPL241220C00200000" not found': (422, 42210000, NOW),
    "leg ratio quantities should be relatively prime: GCD[2 2] = 2": (422, 42210000, TERMS),
    "underlying asset mismatch": (422, 42210000, TERMS),
    "leg.0 position intent is required": (422, 42210000, TERMS),
    "position intent mismatch, inferred: sell_to_open, specified: sell_to_close": (422, 42210000, NOW),
    "qty must be integer": (422, 42210000, TERMS),
    "notional is not supported": (422, 42210000, TERMS),
    "extended hours not supported": (422, 42210000, TERMS),
    "invalid option time_in_force": (422, 42210000, TERMS),
    "limit price is required": (422, 42210000, TERMS),
    "invalid limit_price 1.001. sub-penny increment does not fulfill minimum pricing criteria": (
        422,
        42210000,
        TERMS,
    ),
    "unauthorized.": (401, 0, Trouble.REFUSED_ACCOUNT),
    "account is restricted to liquidation only": (403, 40310000, Trouble.REFUSED_ACCOUNT),
    "something new": (418, 41899999, Trouble.REFUSED_UNLISTED),
}


@pytest.mark.parametrize("words", WORDS)
def test_fm_11_a_refusal_is_classed_by_code_and_words_through_the_real_client(
    words: str, server: Scripted, broker: AlpacaBroker
) -> None:
    status, code, means = WORDS[words]
    server.on("POST", "/v2/orders", Reply({"code": code, "message": words}, status))

    with pytest.raises(OrderRejected) as refusal:
        broker.submit(an_order((LONG, 1), limit="-1.25"))

    assert refused(ALPACA, refusal.value) is means


def test_every_row_of_the_table_is_reached_by_its_own_words() -> None:
    shadowed = [
        known.words
        for known in REFUSALS
        if refused(ALPACA, OrderRejected(f"wsb-1: {known.words.upper()}", code=known.code)) is not known.means
    ]

    assert shadowed == []


def test_fm_09_words_that_no_row_knows_are_a_definite_no_and_halt_the_strategy() -> None:
    means = refused(ALPACA, OrderRejected("by order of the king", code=1))

    assert means is Trouble.REFUSED_UNLISTED
    assert RECOVERY[means].remedy is Remedy.HALT_STRATEGY


def test_want_of_buying_power_in_new_words_is_still_that() -> None:
    assert refused(ALPACA, InsufficientBuyingPower("not enough dollars")) is Trouble.BUYING_POWER


def test_the_adapter_asks_the_matrix_before_it_sends(server: Scripted, broker: AlpacaBroker) -> None:
    strangle = an_order((LONG, -1), ("AAPL  241220P00180000", -1), limit="2.00")

    with pytest.raises(OrderRejected, match="nothing was sent") as refusal:
        broker.submit(strangle)

    assert server.count("POST", "/v2/orders") == 0
    assert refused(ALPACA, refusal.value) is Trouble.REFUSED_TERMS


@pytest.mark.parametrize("effect", list(Effect))
def test_fm_12_each_leg_of_a_package_says_its_intent(
    effect: Effect, server: Scripted, broker: AlpacaBroker
) -> None:
    from wsb_core.brokers.alpaca_orders import order_request

    body = order_request(an_order((LONG, 1), (SHORT, -1), limit="-1.20", effect=effect))

    word = effect.value
    assert [leg["position_intent"] for leg in body["legs"]] == (
        [f"buy_to_{word}", f"sell_to_{word}"]
        if effect is Effect.OPEN
        else [f"sell_to_{word}", f"buy_to_{word}"]
    )
    assert (body["time_in_force"], body["type"]) == ("day", "limit")

"""What positions and open orders tie up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.contracts import Instrument, OptionContract
from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.orders import Action
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.margin import intrinsic, requirement, standing, worst_loss
from wsb_core.exchange.model import Status

from .conftest import (
    C100,
    C100_JULY,
    C105,
    C110,
    P90,
    P95,
    P100,
    SHARE,
    a_feed,
    an_exchange,
    buy,
    call,
    cover,
    ny,
    order,
    put,
    refusal,
    sell,
    write,
)
from .hand_feed import HandFeed

AUGUST = date(2024, 8, 16)


def need(*held: tuple[Instrument, int]) -> tuple[Decimal, Decimal]:
    found = requirement({instrument: Decimal(quantity) for instrument, quantity in held})
    return found.amount, found.uncovered


@pytest.mark.parametrize(
    ("held", "amount"),
    [
        ([(C100, 5)], 0),
        ([(P95, -1)], 9_500),
        ([(P100, -1), (P95, 1)], 500),
        ([(P100, -2), (P95, 2)], 1_000),
        ([(P95, -1), (P100, 1)], 0),
        ([(C100, -1), (C105, 1)], 500),
        ([(P90, 1), (P95, -1), (C105, -1), (C110, 1)], 500),
        ([(P90, 1), (P100, -1), (C105, -1), (C110, 1)], 1_000),
        ([(SHARE, 100), (C105, -1)], 0),
        ([(SHARE, 100), (C105, -1), (P95, -1)], 9_500),
        ([(C100, -1), (C100_JULY, 1)], 0),
        ([(C100, -1), (call("105", AUGUST), 1)], 500),
        ([(P100, -1), (put("95", AUGUST), 1)], 500),
        ([(P100, -1), (P90, 2)], 1_000),
    ],
)
def test_the_requirement_is_the_worst_payoff(held: list[tuple[Instrument, int]], amount: int) -> None:
    assert need(*held) == (amount, 0)


@pytest.mark.parametrize(
    ("held", "naked"),
    [
        ([(C105, -1)], 1),
        ([(SHARE, 99), (C105, -1)], 1),
        ([(SHARE, 100), (C105, -3)], 2),
        ([(C100_JULY, -1), (C100, 1)], 1),
        ([(SHARE, -100), (C105, -1)], 1),
    ],
)
def test_short_calls_that_nothing_covers_are_counted(held: list[tuple[Instrument, int]], naked: int) -> None:
    assert need(*held)[1] == naked


def test_one_long_option_covers_only_one_short_one() -> None:
    assert need((C100, -1), (C100_JULY, 1), (call("100", AUGUST), -1)) == (10_000, 1)


def test_a_long_that_covers_a_nearer_expiry_is_not_counted_again() -> None:
    one_long = need((P100, -1), (put("100", date(2024, 7, 19)), -1), (put("95", AUGUST), 1))

    # The later short is covered to 95, the nearer one is cash-secured: no long serves both.
    assert one_long == (500 + 10_000, 0)


LEGS = st.dictionaries(st.sampled_from([C100, C105, C110, P100, P95, P90]), st.integers(-3, 3), min_size=1)


@settings(max_examples=60, deadline=None)
@given(LEGS, st.integers(0, 200))
def test_no_spot_loses_more_than_the_worst_of_the_kinks(legs: dict[OptionContract, int], spot: int) -> None:
    held = {contract: Decimal(quantity) for contract, quantity in legs.items()}
    slope = sum(quantity for contract, quantity in held.items() if contract.right == "C")
    payoff = sum(q * c.multiplier * intrinsic(c, Decimal(spot)) for c, q in held.items())
    covered = {**held, call("110"): held.get(call("110"), Decimal(0)) - min(Decimal(0), slope)}
    payoff += -min(Decimal(0), slope) * 100 * intrinsic(call("110"), Decimal(spot))

    assert -payoff <= worst_loss(covered)


@settings(max_examples=60, deadline=None)
@given(LEGS)
def test_the_requirement_never_falls_short_of_the_worst_payoff_of_one_expiry(
    legs: dict[OptionContract, int],
) -> None:
    held = {contract: Decimal(quantity) for contract, quantity in legs.items()}
    found = requirement(dict(held))
    payoffs = [
        sum(q * c.multiplier * intrinsic(c, Decimal(spot)) for c, q in held.items())
        for spot in (0, 90, 95, 100, 105, 110)
    ]

    assert found.amount >= 0
    assert found.uncovered == max(0, -sum(q for c, q in held.items() if c.right == "C"))
    assert found.amount >= -min(payoffs)


def test_standing_sets_the_share_rate_by_the_multiplier() -> None:
    held: dict[Instrument, Decimal] = {SHARE: Decimal(100)}
    marks = {SHARE: Price(Decimal(100))}

    assert standing(Decimal(0), held, marks, 2).excess == 5_000
    assert standing(Decimal(0), held, marks, 1).excess == 0
    assert standing(Decimal(0), held, marks, 2).cash_free == 0


def test_a_short_share_ties_up_its_proceeds_and_the_rate() -> None:
    found = standing(Decimal(10_000), {SHARE: Decimal(-100)}, {SHARE: Price(Decimal(100))}, 2)

    assert (found.cash_free, found.excess) == (-5_000, -5_000)


def test_a_fresh_margin_account_buys_shares_for_twice_its_cash_and_options_for_its_cash(
    exchange: Exchange,
) -> None:
    account = exchange.account()

    assert (account.cash, account.equity) == (100_000, 100_000)
    assert (account.buying_power, account.options_buying_power) == (200_000, 100_000)


def test_a_long_option_is_paid_in_full(exchange: Exchange) -> None:
    exchange.submit(buy(C100, 10, "1.60"))

    account = exchange.account()
    assert account.options_buying_power == 100_000 - 1_600 - Decimal("0.30")
    assert account.long_market_value == 1_550
    assert account.equity == account.cash + 1_550


def test_a_cash_secured_put_ties_up_its_strike(exchange: Exchange) -> None:
    exchange.submit(write(P95, limit="0.40"))

    assert exchange.account().options_buying_power == 100_000 + 40 - 9_500 - Decimal("0.03")


def test_a_put_that_cash_cannot_secure_is_refused_with_the_figures() -> None:
    exchange = an_exchange(a_feed(), starting_cash=Cash(Decimal(9_000)))

    no = refusal(lambda: exchange.submit(write(P95, limit="0.40")))
    assert (no.status, no.code, no.message) == (403, 40310000, "insufficient options buying power")
    assert Decimal(no.extras["options_buying_power"]) == 9_000
    assert Decimal(no.extras["cost_basis"]) == 9_500 - 40 + Decimal("0.03")


def test_resting_orders_reserve_what_they_would_take(exchange: Exchange) -> None:
    row = exchange.submit(buy(C100, 10, "1.00"))
    resting = exchange.account().options_buying_power
    exchange.cancel(row.id)

    assert resting == 100_000 - 1_000 - Decimal("0.30")
    assert exchange.account().options_buying_power == 100_000


def test_two_orders_cannot_spend_the_same_cash() -> None:
    exchange = an_exchange(a_feed(), starting_cash=Cash(Decimal(1_500)))
    exchange.submit(buy(C100, 10, "1.00"))

    no = refusal(lambda: exchange.submit(buy(C105, 13, "0.40")))
    assert no.message == "insufficient options buying power"


def test_a_partly_filled_order_reserves_only_what_is_left(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(C100, ny(10, 10), "1.50", "1.60", 4)
    exchange.submit(buy(C100, 10, "1.60"))

    spent, reserved = 640 + Decimal("0.12"), 960 + Decimal("0.18")
    assert exchange.account().options_buying_power == 100_000 - spent - reserved


def test_a_close_is_taken_when_there_is_no_buying_power_at_all() -> None:
    exchange = an_exchange(a_feed(), starting_cash=Cash(Decimal("500")))
    exchange.submit(order((P100, Action.SELL_TO_OPEN), (P95, Action.BUY_TO_OPEN), limit="-0.95"))
    exchange.deposit(Cash(Decimal("-100")))

    close = order((P100, Action.BUY_TO_CLOSE), (P95, Action.SELL_TO_CLOSE), limit="1.15")
    row = exchange.submit(close)
    assert row.status is Status.FILLED
    assert exchange.account().options_buying_power == exchange.account().cash


def test_selling_the_long_put_of_a_spread_needs_the_cash_for_the_short_one() -> None:
    exchange = an_exchange(a_feed(), starting_cash=Cash(Decimal(2_000)))
    exchange.submit(order((P100, Action.SELL_TO_OPEN), (P95, Action.BUY_TO_OPEN), limit="-0.95"))

    assert refusal(lambda: exchange.submit(sell(P95, limit="0.40"))).message == (
        "insufficient options buying power"
    )


def test_a_long_that_a_resting_order_is_selling_covers_nothing(exchange: Exchange) -> None:
    exchange.submit(buy(C105, limit="0.50"))
    exchange.submit(sell(C105, limit="2.00"))

    assert refusal(lambda: exchange.submit(write(C100, limit="1.50"))).message == (
        "account not eligible to trade uncovered option contracts"
    )


def test_a_long_that_a_resting_order_is_still_buying_covers_nothing(exchange: Exchange) -> None:
    exchange.submit(order((C100, Action.BUY_TO_OPEN, 2), (C105, Action.SELL_TO_OPEN), limit="0.50"))

    assert refusal(lambda: exchange.submit(write(C110, limit="0.10"))).message == (
        "account not eligible to trade uncovered option contracts"
    )


def test_buying_back_a_short_put_frees_its_cash(exchange: Exchange) -> None:
    exchange.submit(write(P95, limit="0.40"))
    exchange.submit(cover(P95, limit="0.50"))

    account = exchange.account()
    assert account.options_buying_power == account.cash


def test_shares_are_bought_on_margin_up_to_twice_the_cash(exchange: Exchange) -> None:
    taken = exchange.submit(buy(SHARE, 1_000, "100.01"))
    exchange.advance(ny(10, 10, 1))

    no = refusal(lambda: exchange.submit(buy(SHARE, 1_000, "100.01")))
    assert taken.status is Status.FILLED
    assert no.message == "insufficient buying power"
    assert exchange.submit(buy(SHARE, 999, "100.01")).status is Status.FILLED
    assert exchange.account().cash < 0
    assert exchange.account().options_buying_power == 0


def test_a_fall_in_the_market_takes_buying_power_away(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 11), "49.99", "50.01", 1_000)
    exchange.submit(buy(SHARE, 1_000, "100.01"))
    before = exchange.account()
    exchange.advance(ny(10, 11))
    after = exchange.account()

    assert before.equity - after.equity == 50_000
    assert before.buying_power - after.buying_power == 50_000
    assert after.last_equity == 100_000


def test_last_equity_is_that_of_the_last_close(feed: HandFeed, exchange: Exchange) -> None:
    feed.put(SHARE, ny(10, 11), "109.99", "110.01", 1_000)
    exchange.submit(buy(SHARE, 100, "100.01"))
    exchange.advance(ny(11, 8))

    assert exchange.account().last_equity == 100_000 + 999
    assert exchange.positions()[0].last_day == 110
    assert exchange.positions()[0].current == 110

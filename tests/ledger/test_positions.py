"""Positions, trades and cash follow from fills and activities, whatever happens to a structure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from wsb_core.domain.activities import ActivityKind
from wsb_core.domain.contracts import ExerciseStyle, Share
from wsb_core.domain.ids import BrokerOrderId, Cash, Price, Underlying
from wsb_core.domain.orders import Effect, Order, OrderState
from wsb_core.domain.positions import Holding
from wsb_core.domain.structures import Structure, StructureKind, StructureLeg, single
from wsb_core.ledger import ReduceOnlyViolation, open_ledger
from wsb_core.ledger.books import derived, record_activities

from .build import (
    ACCOUNT,
    ACME,
    CONDOR,
    COVERED_CALL,
    DAY,
    DIP,
    LONG_CALL,
    NOON,
    SHARES,
    SHORT_CALL,
    SHORT_PUT,
    VERTICAL,
    WHEEL,
    Desk,
    approved,
    booked,
    call,
    executions,
    put,
)

# What follows from the rows does not depend on where they are stored: one database will do.
pytestmark = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


def test_a_filled_vertical_is_one_position_at_its_net_price(desk: Desk):
    desk.trade(VERTICAL, Effect.OPEN, 2, ["3.10", "1.05"])

    [position] = desk.ledger.positions(ACCOUNT)
    assert (position.structure, position.quantity, position.entry) == (VERTICAL, 2, Decimal("-2.05"))
    assert position.facts == {"low": "97.25"}
    assert position.opened_quantity == 2
    assert desk.ledger.cash(ACCOUNT) == Decimal("10000") - 410


def test_legs_told_apart_make_no_position_until_the_last_one_is_there(desk: Desk):
    order = desk.intend(approved(CONDOR, quantity=1, limit="1.00")).order
    fills = executions(order, ["0.50", "1.20", "1.30", "0.60"])
    desk.ledger.record_fills(ACCOUNT, fills[:3], desk.tick())
    before = desk.ledger.positions(ACCOUNT)
    desk.ledger.record_fills(ACCOUNT, fills[3:], desk.tick())

    assert before == ()
    [position] = desk.ledger.positions(ACCOUNT)
    assert position.entry == Decimal("1.40")


def test_fills_told_under_a_legs_own_id_belong_to_its_order(desk: Desk):
    order = desk.intend(approved(VERTICAL)).order
    desk.ledger.record_leg_ids(
        order.client_order_id,
        {leg.instrument.symbol: BrokerOrderId(f"leg-{n}") for n, leg in enumerate(order.legs)},
        desk.tick(),
    )
    first = executions(order, ["3.00", "1.00"], broker_order_id="leg-0")[0]
    second = executions(order, ["3.00", "1.00"], broker_order_id="leg-1")[1]
    desk.ledger.record_fills(ACCOUNT, [first, second], desk.tick())

    [position] = desk.ledger.positions(ACCOUNT)
    assert position.structure == VERTICAL


def test_partial_closes_take_the_oldest_units_first(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["4.00"])
    desk.trade(LONG_CALL, Effect.CLOSE, 1, ["3.00"], reason="profit_target")

    [position] = desk.ledger.positions(ACCOUNT)
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (position.quantity, position.entry, position.opened_quantity) == (2, Decimal("-2.5"), 3)
    assert (trade.quantity, trade.entry, trade.exit) == (1, Decimal(-1), Decimal(3))
    assert (trade.pnl, trade.exit_rule) == (Decimal(200), "profit_target")


def test_the_same_structure_of_two_strategies_stays_apart(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"], strategy=DIP)
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["2.00"], strategy=WHEEL)
    desk.trade(LONG_CALL, Effect.CLOSE, 1, ["3.00"], strategy=WHEEL)

    [position] = desk.ledger.positions(ACCOUNT)
    assert position.strategy == DIP
    assert desk.ledger.holdings(ACCOUNT) == (Holding(call(100), Decimal(1)),)


def test_a_vertical_that_expires_leg_by_leg_is_one_closed_trade(desk: Desk):
    desk.trade(VERTICAL, Effect.OPEN, 1, ["3.00", "1.00"])
    desk.book(booked(ActivityKind.EXPIRY, call(100), -1, at=desk.now))
    half_way = desk.ledger.positions(ACCOUNT)
    desk.book(booked(ActivityKind.EXPIRY, call(105), 1, at=desk.now))

    assert [p.structure for p in half_way] == [single(call(105), -1)]
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.structure, trade.pnl, trade.exit_rule) == (VERTICAL, Decimal(-200), "expiry")
    assert desk.ledger.positions(ACCOUNT) == ()
    assert desk.ledger.holdings(ACCOUNT) == ()


def test_an_expiry_dated_by_day_before_its_own_fill_still_closes_it(desk: Desk):
    midnight = desk.now.replace(hour=0)
    desk.book(booked(ActivityKind.EXPIRY, call(100), -1, at=midnight))
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])

    assert desk.ledger.positions(ACCOUNT) == ()
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert trade.pnl == Decimal(-100)


def test_fm_49_an_assigned_put_becomes_shares_at_the_strike_and_keeps_its_premium(desk: Desk):
    desk.trade(SHORT_PUT, Effect.OPEN, 2, ["1.50"], strategy=WHEEL)
    desk.book(
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="95", cash_="-9500", at=desk.now),
        booked(ActivityKind.ASSIGNMENT, put(95), 1, at=desk.now),
    )

    [rest, shares] = desk.ledger.positions(ACCOUNT)
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (rest.quantity, rest.structure) == (1, SHORT_PUT)
    assert (shares.structure, shares.quantity, shares.entry, shares.strategy) == (
        SHARES,
        100,
        Decimal(-95),
        WHEEL,
    )
    assert (trade.structure, trade.pnl, trade.exit_rule) == (SHORT_PUT, Decimal(150), "assignment")
    [lot] = [lot for lot in desk.ledger.lots(ACCOUNT) if lot.instrument == Share(ACME)]
    assert (lot.quantity, lot.price, lot.strategy) == (100, 95, WHEEL)


def test_shares_called_away_close_the_share_position_at_the_strike(desk: Desk):
    desk.trade(SHARES, Effect.OPEN, 100, ["95"], strategy=WHEEL)
    desk.trade(SHORT_CALL, Effect.OPEN, 1, ["0.80"], strategy=WHEEL)
    desk.book(
        booked(ActivityKind.ASSIGNMENT, call(110), 1, at=desk.tick()),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), -100, price_="110", cash_="11000", at=desk.tick()),
    )

    assert desk.ledger.positions(ACCOUNT) == ()
    assert {(t.structure, t.pnl) for t in desk.ledger.closed_trades(ACCOUNT)} == {
        (SHARES, Decimal(1500)),
        (SHORT_CALL, Decimal(80)),
    }


def test_a_covered_call_that_is_assigned_closes_whole(desk: Desk):
    desk.trade(COVERED_CALL, Effect.OPEN, 1, ["100", "2.00"], strategy=WHEEL)
    desk.book(
        booked(ActivityKind.ASSIGNMENT, call(110), 1, at=desk.tick(), group="g"),
        booked(
            ActivityKind.OPTION_TRADE, Share(ACME), -100, price_="110", cash_="11000", at=desk.now, group="g"
        ),
    )

    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.structure, trade.pnl) == (COVERED_CALL, Decimal(1200))
    assert desk.ledger.positions(ACCOUNT) == ()


def test_a_covered_call_whose_call_expires_leaves_its_shares(desk: Desk):
    desk.trade(COVERED_CALL, Effect.OPEN, 1, ["100", "2.00"], strategy=WHEEL)
    desk.book(booked(ActivityKind.EXPIRY, call(110), 1, at=desk.tick()))
    [shares] = desk.ledger.positions(ACCOUNT)
    desk.trade(SHARES, Effect.CLOSE, 100, ["101"], strategy=WHEEL)

    assert (shares.structure.kind, shares.quantity, shares.entry) == (
        StructureKind.SHARES,
        100,
        Decimal(-100),
    )
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.structure, trade.pnl) == (COVERED_CALL, Decimal(300))


def test_a_vertical_exercised_on_both_legs_earns_its_width(desk: Desk):
    desk.trade(VERTICAL, Effect.OPEN, 1, ["3.00", "1.00"])
    desk.book(
        booked(ActivityKind.EXERCISE, call(100), -1, at=desk.tick()),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="100", cash_="-10000", at=desk.now),
        booked(ActivityKind.ASSIGNMENT, call(105), 1, at=desk.now),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), -100, price_="105", cash_="10500", at=desk.now),
    )

    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.structure, trade.pnl) == (VERTICAL, Decimal(300))
    assert desk.ledger.holdings(ACCOUNT) == ()
    assert desk.ledger.cash(ACCOUNT) == Decimal(10300)


def test_a_condor_that_loses_a_leg_to_early_assignment_shows_what_is_left(desk: Desk):
    desk.trade(CONDOR, Effect.OPEN, 1, ["0.50", "1.20", "1.30", "0.60"])
    desk.book(
        booked(ActivityKind.ASSIGNMENT, put(95), 1, at=desk.tick()),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="95", cash_="-9500", at=desk.now),
    )

    left = {p.structure.symbol: p.quantity for p in desk.ledger.positions(ACCOUNT)}
    derived = desk.ledger.derived(ACCOUNT)
    assert left == {
        single(put(90)).symbol: 1,
        single(call(105), -1).symbol: 1,
        single(call(110)).symbol: 1,
        SHARES.symbol: 100,
    }
    assert derived.unassigned == ()


def test_a_stock_split_multiplies_shares_and_contracts_at_the_same_cost(desk: Desk):
    desk.trade(SHARES, Effect.OPEN, 100, ["90"], strategy=WHEEL)
    desk.trade(VERTICAL, Effect.OPEN, 1, ["3.00", "1.00"])
    desk.book(
        booked(ActivityKind.SPLIT, Share(ACME), 100, at=desk.tick()),
        booked(ActivityKind.SPLIT, call(100), -1, at=desk.now),
        booked(ActivityKind.SPLIT, call(50), 2, at=desk.now),
        booked(ActivityKind.SPLIT, call(105), 1, at=desk.now),
        booked(ActivityKind.SPLIT, call("52.5"), -2, at=desk.now),
    )

    by_strategy = {p.strategy: p for p in desk.ledger.positions(ACCOUNT)}
    assert (by_strategy[WHEEL].quantity, by_strategy[WHEEL].entry) == (200, Decimal(-45))
    assert (by_strategy[DIP].quantity, by_strategy[DIP].entry) == (2, Decimal(-1))
    assert [leg.instrument for leg in by_strategy[DIP].structure.legs] == [call(50), call("52.5")]
    assert desk.ledger.derived(ACCOUNT).unassigned == ()
    [lot] = [lot for lot in desk.ledger.lots(ACCOUNT) if lot.instrument == Share(ACME)]
    assert (lot.quantity, lot.price) == (200, 45)


def test_a_split_booked_the_next_morning_came_before_what_was_sold_on_its_day(desk: Desk):
    desk.trade(SHARES, Effect.OPEN, 100, ["90.00"])
    desk.now += timedelta(days=1)
    sold_on = desk.tick()
    desk.trade(SHARES, Effect.CLOSE, 100, ["46.00"])
    row = booked(ActivityKind.SPLIT, Share(ACME), 100, at=sold_on + timedelta(hours=16))
    desk.book(replace(row, booked_on=sold_on.date()))

    [left] = desk.ledger.positions(ACCOUNT)
    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (left.quantity, left.entry) == (100, Decimal(-45))
    assert trade.pnl == 100
    assert desk.ledger.verify().ok


def test_an_exercised_call_becomes_shares_at_the_strike(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    desk.book(
        booked(ActivityKind.EXERCISE, call(100), -1, at=desk.tick()),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="100", cash_="-10000", at=desk.now),
    )

    [shares] = desk.ledger.positions(ACCOUNT)
    assert (shares.strategy, shares.structure, shares.quantity, shares.entry) == (
        DIP,
        SHARES,
        100,
        Decimal(-100),
    )
    assert shares.facts["delivered_by"] == LONG_CALL.symbol


def test_shares_go_to_the_assignment_of_their_own_group(desk: Desk):
    desk.trade(single(put(95), -1), Effect.OPEN, 1, ["1.00"], strategy=DIP)
    desk.trade(single(put(90), -1), Effect.OPEN, 1, ["1.00"], strategy=WHEEL)
    desk.book(
        booked(ActivityKind.ASSIGNMENT, put(95), 1, at=desk.tick(), group="dip"),
        booked(ActivityKind.ASSIGNMENT, put(90), 1, at=desk.now, group="wheel"),
        booked(
            ActivityKind.OPTION_TRADE,
            Share(ACME),
            100,
            price_="90",
            cash_="-9000",
            at=desk.now,
            group="wheel",
        ),
        booked(
            ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="95", cash_="-9500", at=desk.now, group="dip"
        ),
    )

    assert {p.strategy: p.entry for p in desk.ledger.positions(ACCOUNT)} == {
        DIP: Decimal(-95),
        WHEEL: Decimal(-90),
    }


@pytest.mark.parametrize("style", list(ExerciseStyle))
def test_cash_settlement_closes_at_the_cash_and_takes_no_shares(desk: Desk, style: ExerciseStyle):
    held = replace(call(100), style=style)
    paid = "350" if style is ExerciseStyle.AMERICAN else "0"
    desk.trade(single(held), Effect.OPEN, 1, ["1.00"])
    desk.trade(SHORT_PUT, Effect.OPEN, 1, ["1.00"], strategy=WHEEL)
    desk.book(
        booked(ActivityKind.EXERCISE, held, -1, cash_=paid, at=desk.tick()),
        booked(ActivityKind.ASSIGNMENT, put(95), 1, at=desk.tick()),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="95", cash_="-9500", at=desk.tick()),
    )

    [shares] = desk.ledger.positions(ACCOUNT)
    trade = desk.ledger.closed_trades(ACCOUNT)[0]
    assert shares.strategy == WHEEL
    assert (trade.structure, trade.pnl) == (single(held), Decimal(paid) - 100)


def test_an_assignment_whose_shares_never_came_is_closed_at_its_own_time(desk: Desk):
    desk.trade(SHORT_PUT, Effect.OPEN, 1, ["1.00"])
    assigned = desk.tick()
    desk.book(booked(ActivityKind.ASSIGNMENT, put(95), 1, at=assigned))

    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert (trade.closed_at, trade.exit_rule) == (assigned, "assignment")


def test_booked_rows_count_once_and_fills_among_them_not_at_all(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    fee = booked(ActivityKind.FEE, cash_="-0.65")
    fill = booked(ActivityKind.FILL, call(100), 1, price_="1.00", cash_="-100")

    new = [desk.ledger.record_activities(ACCOUNT, rows, desk.tick()) for rows in ([fee, fill, fee], [fee])]

    assert new == [1, 0]
    assert desk.ledger.activities(ACCOUNT) == (fee,)
    assert desk.ledger.cash(ACCOUNT) == Decimal("9899.35")
    assert desk.ledger.verify().ok


def test_a_booked_price_that_the_broker_divided_without_end_is_kept_to_ten_decimals(desk: Desk):
    split = booked(ActivityKind.DIVIDEND, cash_="10.00")
    endless = replace(split, price=Price(Decimal(10) / 3), cash=Cash(Decimal(10) / 3))

    new = [desk.ledger.record_activities(ACCOUNT, [endless], desk.tick()) for _ in range(2)]

    assert new == [1, 0]
    assert desk.ledger.activities(ACCOUNT)[0].price == Decimal("3.3333333333")
    assert desk.ledger.cash(ACCOUNT) == Decimal("10003.3333333333")
    assert desk.ledger.verify().ok


def test_a_fee_that_names_the_order_counts_in_its_trade(desk: Desk):
    order = desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
    desk.book(
        booked(ActivityKind.FEE, cash_="-1.30", at=desk.tick(), order=f"b-{order.client_order_id}"),
        booked(ActivityKind.FEE, cash_="-0.05", at=desk.now),
    )
    desk.trade(LONG_CALL, Effect.CLOSE, 1, ["2.00"])

    [trade] = desk.ledger.closed_trades(ACCOUNT)
    assert trade.pnl == Decimal("99.35")
    assert desk.ledger.cash(ACCOUNT) == Decimal("10000") - 200 + 200 - Decimal("1.35")


def test_a_fill_of_no_known_order_counts_and_is_reported(desk: Desk):
    stranger = executions(approved(LONG_CALL).order, ["1.00"], broker_order_id="nobody")
    desk.ledger.record_fills(ACCOUNT, stranger, desk.tick())

    derived = desk.ledger.derived(ACCOUNT)
    assert derived.orphans == (stranger[0].execution_id,)
    assert derived.holdings == derived.unassigned == (Holding(call(100), Decimal(1)),)
    assert derived.positions == ()
    assert not desk.ledger.verify().ok


def test_a_close_that_took_more_than_was_open_is_reported(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    order = desk.trade(LONG_CALL, Effect.CLOSE, 1, ["2.00"])
    desk.ledger.record_fills(ACCOUNT, executions(order, ["2.00"]), desk.tick())

    assert any("more than were open" in problem for problem in desk.ledger.derived(ACCOUNT).problems)


def test_fm_47_a_position_reopened_is_as_old_as_its_new_units(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
    desk.trade(LONG_CALL, Effect.CLOSE, 2, ["1.00"])
    desk.tick(int(timedelta(days=1).total_seconds()))
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])

    [position] = desk.ledger.positions(ACCOUNT)
    assert position.opened_at > desk.now - timedelta(hours=1)
    assert position.opened_quantity == 1


@pytest.mark.parametrize("state", [OrderState.WORKING, OrderState.PENDING_CANCEL])
def test_a_partial_fill_is_a_position_of_the_units_filled(desk: Desk, state: OrderState):
    order = desk.intend(approved(LONG_CALL, quantity=3)).order
    desk.told(order.client_order_id, state)
    desk.told(order.client_order_id, OrderState.CANCELED, filled=1)
    desk.ledger.record_fills(ACCOUNT, executions(order, ["1.00"], 1), desk.tick())

    [position] = desk.ledger.positions(ACCOUNT)
    assert position.quantity == 1
    assert desk.ledger.verify().ok


def test_a_new_ticker_carries_position_lot_and_holding_over(desk: Desk):
    desk.trade(COVERED_CALL, Effect.OPEN, 1, ["50.00", "2.00"])
    new = Underlying("NEWCO")
    there = replace(call(110), root="NEWCO", underlying=new)
    old_share, new_share, old_call = Share(ACME), Share(new), call(110)
    rows = [(old_share, -100), (new_share, 100), (old_call, 1), (there, -1)]
    at = desk.tick()
    desk.book(
        *(
            replace(booked(ActivityKind.OTHER, one, quantity, at=at, group="g"), raw_kind="NC")
            for one, quantity in rows
        )
    )

    book = desk.ledger.derived(ACCOUNT)
    [position] = book.positions
    assert (position.underlying, position.quantity, position.entry) == (new, 1, Decimal(-48))
    assert {h.instrument: h.quantity for h in book.holdings} == {new_share: 100, there: -1}
    assert {lot.instrument for lot in book.lots} == {new_share, there}
    assert (book.problems, book.unassigned, book.trades) == ((), (), ())


def test_a_merger_for_cash_closes_what_was_held_of_it(desk: Desk):
    desk.trade(SHARES, Effect.OPEN, 100, ["50.00"])
    row = booked(ActivityKind.OTHER, Share(ACME), -100, cash_="6000", at=desk.tick())
    desk.book(replace(row, raw_kind="MA"))

    book = desk.ledger.derived(ACCOUNT)
    [trade] = book.trades
    assert (book.positions, book.holdings) == ((), ())
    assert (trade.pnl, trade.exit_rule) == (1000, "ma")


def test_fm_39_an_odd_split_of_a_covered_call_leaves_one_unit_with_its_adjusted_contract(desk: Desk):
    desk.trade(COVERED_CALL, Effect.OPEN, 1, ["50.00", "2.00"])
    adjusted = replace(call(110), root="ACME1", strike=Decimal("73.33"), multiplier=150, standard=False)
    at = desk.tick()
    desk.book(
        booked(ActivityKind.SPLIT, Share(ACME), 50, at=at),
        booked(ActivityKind.SPLIT, call(110), 1, at=at),
        booked(ActivityKind.SPLIT, adjusted, -1, at=at),
    )

    book = desk.ledger.derived(ACCOUNT)
    [position] = book.positions
    assert {leg.instrument: leg.ratio for leg in position.structure.legs} == {Share(ACME): 150, adjusted: -1}
    assert (position.quantity, position.cost) == (1, -4800)
    assert book.problems == ()


class TestFees:
    """A fee goes to the trade that the broker's row leads to, and to no other."""

    def closed(self, desk: Desk) -> Order:
        desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
        return desk.trade(LONG_CALL, Effect.CLOSE, 2, ["1.30"])

    def test_a_row_that_names_the_order_is_its(self, desk: Desk):
        order = self.closed(desk)
        desk.book(booked(ActivityKind.FEE, cash_="-0.06", order=f"b-{order.client_order_id}"))

        [trade] = desk.ledger.closed_trades(ACCOUNT)
        assert (trade.pnl, trade.fees) == (Decimal("59.94"), Decimal("0.06"))

    def test_a_row_that_names_the_contract_is_shared_by_that_days_orders_in_it(self, desk: Desk):
        self.closed(desk)
        desk.book(booked(ActivityKind.FEE, call(100), cash_="-0.12"))

        [trade] = desk.ledger.closed_trades(ACCOUNT)
        assert (trade.pnl, trade.fees) == (Decimal("59.88"), Decimal("0.12"))

    def test_a_row_booked_later_goes_to_the_day_that_its_text_names(self, desk: Desk):
        self.closed(desk)
        row = booked(ActivityKind.FEE, call(100), cash_="-0.12", at=NOON + timedelta(days=1))
        desk.book(replace(row, description=f"ORF fee for proceed of 4 contracts on {DAY} by {DAY}"))

        [trade] = desk.ledger.closed_trades(ACCOUNT)
        assert trade.fees == Decimal("0.12")

    @pytest.mark.parametrize("row", [call(105), None], ids=["another contract", "none, and two orders"])
    def test_a_row_that_leads_to_no_one_order_stays_with_the_account(self, desk: Desk, row):
        self.closed(desk)
        desk.book(booked(ActivityKind.FEE, row, cash_="-0.12"))

        book = desk.ledger.derived(ACCOUNT)
        assert [trade.fees for trade in book.trades] == [0]
        assert book.cash == Decimal(10000) + 60 - Decimal("0.12")

    def test_a_row_that_names_nothing_is_the_only_orders_of_its_day(self, desk: Desk):
        desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.00"])
        desk.book(booked(ActivityKind.FEE, cash_="-0.12"))
        desk.book(booked(ActivityKind.EXPIRY, call(100), -2, at=desk.tick()))

        [trade] = desk.ledger.closed_trades(ACCOUNT)
        assert trade.fees == Decimal("0.12")


def test_what_was_derived_is_kept_until_any_process_books_something(desk: Desk, ledger_url: str):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    first = desk.ledger.derived(ACCOUNT)
    desk.ledger.audit("note", {}, desk.tick())
    unchanged = desk.ledger.derived(ACCOUNT)
    with open_ledger(ledger_url) as other:
        other.record_activities(ACCOUNT, [booked(ActivityKind.CASH, cash_="5", at=desk.tick())], desk.tick())
    changed = desk.ledger.derived(ACCOUNT)

    assert unchanged is first
    assert changed.cash == first.cash + 5


def test_a_fill_whose_order_is_named_later_belongs_to_it_from_then_on(desk: Desk):
    wish = approved(LONG_CALL)
    desk.ledger.record_fills(ACCOUNT, executions(wish.order, ["1.00"]), desk.tick())
    before = desk.ledger.derived(ACCOUNT)
    desk.intend(wish)

    assert (before.positions, len(before.orphans)) == ((), 1)
    assert [p.structure for p in desk.ledger.positions(ACCOUNT)] == [LONG_CALL]


def test_what_a_transaction_saw_that_was_rolled_back_is_not_remembered(desk: Desk):
    desk.trade(LONG_CALL, Effect.OPEN, 1, ["1.00"])
    order = approved(LONG_CALL, Effect.CLOSE, 1, slot="out")
    seen = []

    def book_and_stop() -> None:
        with desk.ledger._store.write(desk.tick()) as tx:
            record_activities(tx, ACCOUNT, [booked(ActivityKind.EXPIRY, call(100), -1)])
            seen.append(derived(tx.session, ACCOUNT).positions)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        book_and_stop()

    assert seen == [()]
    assert [p.quantity for p in desk.ledger.positions(ACCOUNT)] == [1]
    assert desk.intend(order).created


def test_holdings_and_cash_added_up_are_those_that_are_replayed(desk: Desk):
    desk.trade(CONDOR, Effect.OPEN, 2, ["0.50", "1.50", "1.40", "0.40"])
    desk.book(
        booked(ActivityKind.ASSIGNMENT, put(95), 1),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), 100, cash_="-9500"),
    )
    desk.book(booked(ActivityKind.SPLIT, Share(ACME), 100, at=desk.tick()))

    book, sums = desk.ledger.derived(ACCOUNT), desk.ledger.balance(ACCOUNT)
    assert (sums.holdings, sums.cash) == (book.holdings, book.cash)


def test_what_orders_told_filled_and_executions_did_not_is_named(desk: Desk):
    order = desk.intend(approved(VERTICAL, quantity=2)).order
    desk.told(order.client_order_id, OrderState.FILLED)
    [told] = desk.ledger.unbooked(ACCOUNT)
    desk.ledger.record_fills(ACCOUNT, executions(order, ["3.10", "1.05"]), desk.tick())

    assert (told.order, told.moves) == (order.client_order_id, {call(100): 2, call(105): -2})
    assert desk.ledger.unbooked(ACCOUNT) == ()


def test_what_is_still_to_come_of_an_order_is_counted_leg_by_leg_and_to_the_cent(desk: Desk):
    order = desk.intend(approved(VERTICAL, quantity=3)).order
    first = executions(order, ["3.10", "1.05"], units=1)
    later = executions(order, ["3.00", "1.00"], units=2)
    desk.ledger.move_order(
        order.client_order_id,
        OrderState.FILLED,
        at=desk.tick(),
        evidence={},
        average=Price(Decimal("-2.01666667")),
    )
    desk.ledger.record_fills(ACCOUNT, [*first, later[0]], desk.tick())

    [told] = desk.ledger.unbooked(ACCOUNT)

    assert told.moves == {call(105): -2}
    assert abs(told.cash - 200) < Decimal("0.01")


def test_a_condor_assigned_on_both_sides_in_turn_is_shown_as_the_legs_and_shares_that_are_left(desk: Desk):
    desk.trade(CONDOR, Effect.OPEN, 2, ["0.50", "1.50", "1.40", "0.40"])
    put_side = [
        booked(ActivityKind.ASSIGNMENT, put(95), 1, at=desk.tick(), group="p"),
        booked(
            ActivityKind.OPTION_TRADE, Share(ACME), 100, price_="95", cash_="-9500", at=desk.now, group="p"
        ),
    ]
    call_side = [
        booked(ActivityKind.ASSIGNMENT, call(105), 2, at=desk.tick(), group="c"),
        booked(
            ActivityKind.OPTION_TRADE, Share(ACME), -200, price_="105", cash_="21000", at=desk.now, group="c"
        ),
    ]
    desk.book(*put_side)
    desk.book(*call_side)

    book = desk.ledger.derived(ACCOUNT)
    held = {h.instrument: h.quantity for h in book.holdings}
    cost = sum((p.cost for p in book.positions), Decimal(0)) + sum((t.pnl for t in book.trades), Decimal(0))
    assert held == {put(90): 2, put(95): -1, call(110): 2, Share(ACME): -100}
    assert _counted(book.positions) == held
    assert (book.problems, book.unassigned) == ((), ())
    assert desk.ledger.verify().ok
    premiums, shares = 150 + 280, 100 * (105 - 95)
    assert cost == book.cash - 10000 - premiums - shares


def _counted(positions) -> dict[object, int]:
    total: Counter[object] = Counter()
    for position in positions:
        for leg in position.structure.legs:
            total[leg.instrument] += leg.ratio * position.quantity
    return dict(total)


def test_a_condor_that_lost_a_leg_before_a_split_is_shown_as_its_legs_are_called_now(desk: Desk):
    desk.trade(CONDOR, Effect.OPEN, 1, ["0.50", "1.50", "1.40", "0.40"])
    desk.book(
        booked(ActivityKind.ASSIGNMENT, call(105), 1, at=desk.tick(), group="c"),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), -100, cash_="10500", at=desk.now, group="c"),
    )
    rows = [(put(90), put(45), 1), (put(95), put("47.5"), -1), (call(110), call(55), 1)]
    at = desk.tick()
    split = [booked(ActivityKind.SPLIT, Share(ACME), -100, at=at)]
    for old, new, sign in rows:
        split += [
            booked(ActivityKind.SPLIT, old, -sign, at=at),
            booked(ActivityKind.SPLIT, new, 2 * sign, at=at),
        ]
    desk.book(*split)

    book = desk.ledger.derived(ACCOUNT)
    held = {h.instrument: h.quantity for h in book.holdings}
    assert held == {put(45): 2, put("47.5"): -2, call(55): 2, Share(ACME): -200}
    assert _counted(book.positions) == held
    assert (book.problems, book.unassigned) == ((), ())


def test_what_is_left_of_a_broken_structure_is_not_closed_twice_under_two_names(desk: Desk):
    desk.trade(CONDOR, Effect.OPEN, 5, ["0.50", "1.50", "1.40", "0.40"])
    desk.book(
        booked(ActivityKind.ASSIGNMENT, call(105), 2, at=desk.tick(), group="c"),
        booked(ActivityKind.OPTION_TRADE, Share(ACME), -200, cash_="21000", at=desk.now, group="c"),
    )
    closing = desk.intend(approved(SHORT_PUT, Effect.CLOSE, 2, limit="-2.00")).order
    desk.told(closing.client_order_id, OrderState.WORKING)
    desk.trade(single(call(110)), Effect.CLOSE, 2, ["0.10"])
    desk.trade(single(Share(ACME), -1), Effect.CLOSE, 200, ["100"])
    left = {p.structure: p.quantity for p in desk.ledger.positions(ACCOUNT)}
    vertical = Structure((StructureLeg(put(90), 1), StructureLeg(put(95), -1)))

    assert left == {CONDOR: 3, vertical: 2}
    with pytest.raises(ReduceOnlyViolation, match="only 0 are held"):
        desk.intend(approved(vertical, Effect.CLOSE, 2, slot="again"))
    assert desk.intend(approved(CONDOR, Effect.CLOSE, 3, slot="whole")).created

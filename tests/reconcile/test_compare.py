"""Two views of one account: every difference is found, and few are explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_call, a_put
from wsb_core.domain.contracts import Instrument, Share
from wsb_core.domain.ids import BrokerOrderId, Cash, ClientOrderId, Underlying
from wsb_core.domain.orders import BrokerOrder, OrderState
from wsb_core.domain.positions import Holding
from wsb_core.reconcile.compare import Break, BreakKind, Verdict, View, compare, persistent, unknown_orders

TODAY = date(2024, 5, 15)
CALL, PUT, SHARES = a_call(), a_put(), Share(Underlying("AAPL"))
EXPIRING = a_call("100", expiry=TODAY)
EXPIRED = a_call("100", expiry=TODAY - timedelta(days=1))


def view(
    *held: tuple[Instrument, str], cash: str = "1000", orders: tuple[str, ...] = (), pending: str = "0"
) -> View:
    return View(
        tuple(Holding(instrument, Decimal(quantity)) for instrument, quantity in held),
        Cash(Decimal(cash)),
        frozenset(ClientOrderId(order) for order in orders),
        Cash(Decimal(pending)),
    )


def verdict(ours: View, theirs: View, *, after_close: bool = False) -> Verdict:
    return compare(ours, theirs, today=TODAY, after_close=after_close)


class TestPositions:
    def test_what_only_the_ledger_holds_is_a_break(self) -> None:
        found = verdict(view((CALL, "2")), view())

        assert found.unexplained == (Break(BreakKind.POSITION, CALL.symbol, "2", "0"),)
        assert not found.clean

    def test_what_only_the_broker_holds_is_a_break(self) -> None:
        found = verdict(view(), view((CALL, "2")))

        assert found.unexplained == (Break(BreakKind.POSITION, CALL.symbol, "0", "2"),)

    @pytest.mark.parametrize("theirs", ["-2", "1", "3"])
    def test_fm_44_sign_and_size_both_count(self, theirs: str) -> None:
        found = verdict(view((CALL, "2")), view((CALL, theirs)))

        assert [(b.ours, b.theirs) for b in found.unexplained] == [("2", theirs)]

    def test_the_same_quantity_of_another_contract_is_two_breaks(self) -> None:
        found = verdict(view((CALL, "2")), view((PUT, "2")))

        assert {b.key for b in found.unexplained} == {CALL.symbol, PUT.symbol}

    def test_rows_of_one_instrument_are_added_up(self) -> None:
        assert verdict(view((CALL, "1"), (CALL, "1")), view((CALL, "2"))).breaks == ()

    def test_contracts_are_exact_and_shares_are_exact_to_what_a_broker_rounds(self) -> None:
        hair = "2.0000000001"

        contracts = verdict(view((CALL, "2")), view((CALL, hair)))
        shares = verdict(view((SHARES, "2")), view((SHARES, hair)))
        more = verdict(view((SHARES, "2")), view((SHARES, "2.00000001")))

        assert [len(found.breaks) for found in (contracts, shares, more)] == [1, 0, 1]


class TestCash:
    @pytest.mark.parametrize(
        ("theirs", "clean"), [("1000.01", True), ("999.99", True), ("1000.02", False), ("999.98", False)]
    )
    def test_cash_agrees_within_a_cent(self, theirs: str, clean: bool) -> None:
        assert verdict(view(), view(cash=theirs)).clean is clean

    def test_fees_charged_and_not_yet_booked_explain_exactly_themselves(self) -> None:
        found = verdict(view(), view(cash="998.70", pending="1.30"))

        [cash] = found.breaks
        assert found.clean
        assert "fees of 1.30" in str(cash.explained_by)

    @pytest.mark.parametrize("theirs", ["1001.30", "998.60", "998.80", "900"])
    def test_pending_fees_explain_no_other_difference(self, theirs: str) -> None:
        assert not verdict(view(), view(cash=theirs, pending="1.30")).clean

    def test_money_that_nothing_explains_stays_unexplained(self) -> None:
        found = verdict(view(), view(cash="1500"))

        assert found.unexplained == (Break(BreakKind.CASH, "cash", "1000", "1500"),)


class TestExpiry:
    def test_a_contract_that_expires_today_is_missed_before_the_close(self) -> None:
        found = verdict(view((EXPIRING, "2")), view(), after_close=False)

        assert [b.key for b in found.unexplained] == [EXPIRING.symbol]

    def test_after_the_close_its_settlement_delivery_and_cash_are_explained_until_they_are_booked(
        self,
    ) -> None:
        found = verdict(view((EXPIRING, "2")), view((SHARES, "200"), cash="-19000"), after_close=True)

        assert {b.key for b in found.breaks} == {EXPIRING.symbol, "AAPL", "cash"}
        assert found.clean

    @pytest.mark.parametrize("after_close", [True, False])
    def test_a_contract_that_expired_on_an_earlier_day_is_explained_at_any_hour(self, after_close) -> None:
        assert verdict(view((EXPIRED, "2")), view(), after_close=after_close).clean

    def test_an_expired_contract_that_the_broker_still_holds_in_another_size_is_not_explained(self) -> None:
        found = verdict(view((EXPIRING, "2")), view((EXPIRING, "1")), after_close=True)

        assert not found.clean

    def test_an_expired_contract_that_only_the_broker_holds_is_not_explained(self) -> None:
        assert not verdict(view(), view((EXPIRING, "1")), after_close=True).clean

    def test_shares_of_another_underlying_are_not_its_delivery(self) -> None:
        others = Share(Underlying("MSFT"))

        found = verdict(view((EXPIRING, "2")), view((others, "200")), after_close=True)

        assert [b.key for b in found.unexplained] == ["MSFT"]

    def test_an_expiry_explains_no_order(self) -> None:
        found = verdict(view((EXPIRING, "2")), view(orders=("theirs",)), after_close=True)

        assert [b.key for b in found.unexplained] == ["theirs"]


class TestOrders:
    def test_orders_that_only_one_side_counts_as_open_are_breaks_in_both_directions(self) -> None:
        found = verdict(view(orders=("both", "ours")), view(orders=("both", "theirs")))

        assert found.unexplained == (
            Break(BreakKind.ORDER, "ours", "open", "not open"),
            Break(BreakKind.ORDER, "theirs", "not open", "open"),
        )

    def test_an_order_without_an_intent_is_told_apart_from_ours(self) -> None:
        at = datetime(2024, 5, 15, 19, 0, tzinfo=UTC)
        ours, strange = (
            BrokerOrder(
                BrokerOrderId(name), ClientOrderId(name), OrderState.WORKING, "new", 1, 0, None, (), at, at
            )
            for name in ("ours", "strange")
        )

        assert unknown_orders([ClientOrderId("ours")], (ours, strange)) == (strange,)


class TestTwoReads:
    def test_a_difference_that_only_one_read_saw_is_a_race(self) -> None:
        first = verdict(view((CALL, "2")), view())
        second = verdict(view((PUT, "1")), view())

        assert persistent(first, second).breaks == ()

    def test_a_difference_that_both_reads_saw_is_a_break(self) -> None:
        seen = verdict(view((CALL, "2")), view(cash="900", orders=("x",)))

        assert persistent(seen, seen) == seen

    def test_a_broker_whose_answer_moves_between_the_reads_is_still_settling(self) -> None:
        first = verdict(view((CALL, "2")), view((CALL, "1")))
        second = verdict(view((CALL, "2")), view((CALL, "3")))

        assert persistent(first, second).clean

    def test_what_a_second_read_explains_is_explained(self) -> None:
        first = verdict(view((EXPIRING, "2")), view(), after_close=False)
        second = verdict(view((EXPIRING, "2")), view(), after_close=True)

        assert persistent(first, second).clean


INSTRUMENTS = (CALL, PUT, SHARES, EXPIRING, EXPIRED, Share(Underlying("MSFT")))
quantities = st.integers(-50, 50).filter(bool).map(Decimal)
cents = st.integers(-10_000_000, 10_000_000).map(lambda n: Cash(Decimal(n) / 100))


@st.composite
def accounts(draw: st.DrawFn) -> View:
    held = draw(st.dictionaries(st.sampled_from(INSTRUMENTS), quantities))
    orders = draw(st.frozensets(st.sampled_from(["a", "b", "c"]).map(ClientOrderId)))
    return View(tuple(Holding(i, q) for i, q in held.items()), draw(cents), orders)


@st.composite
def one_difference(draw: st.DrawFn, account: View) -> tuple[View, BreakKind, str]:
    """``account`` with one thing changed, and what was changed."""
    kind = draw(st.sampled_from([BreakKind.POSITION, BreakKind.CASH, BreakKind.ORDER]))
    if kind is BreakKind.POSITION:
        instrument, by = draw(st.sampled_from(INSTRUMENTS)), draw(quantities)
        moved = (*account.holdings, Holding(instrument, by))
        return replace(account, holdings=moved), kind, instrument.symbol
    if kind is BreakKind.CASH:
        by = draw(st.integers(2, 10_000_000)) * draw(st.sampled_from([-1, 1]))
        return replace(account, cash=Cash(account.cash + Decimal(by) / 100)), kind, "cash"
    order = draw(st.sampled_from(["a", "b", "c", "d"]).map(ClientOrderId))
    return replace(account, open_orders=account.open_orders ^ {order}), kind, order


@given(accounts(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_an_account_agrees_with_itself(account: View, after_close: bool) -> None:
    assert verdict(account, account, after_close=after_close).breaks == ()


@given(st.data(), accounts(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_one_difference_is_found_on_whichever_side_it_is_and_named_alone(
    data: st.DataObject, account: View, after_close: bool, swapped: bool
) -> None:
    changed, kind, key = data.draw(one_difference(account))
    ours, theirs = (changed, account) if swapped else (account, changed)

    found = verdict(ours, theirs, after_close=after_close)

    assert [(b.kind, b.key) for b in found.breaks] == [(kind, key)]


@given(st.data(), accounts())
@settings(max_examples=100, deadline=None)
def test_before_the_close_one_difference_in_what_still_trades_is_never_explained(
    data: st.DataObject, account: View
) -> None:
    trading = replace(
        account, holdings=tuple(h for h in account.holdings if h.instrument not in (EXPIRING, EXPIRED))
    )
    changed, _, _ = data.draw(one_difference(trading))

    assert not verdict(trading, changed).clean

"""What the calendar and the broker's other words account for, to the contract and to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_call, a_put
from wsb_core.domain.calendar import session_on
from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Settlement, Share
from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split
from wsb_core.domain.ids import (
    AccountId,
    BrokerOrderId,
    Cash,
    ClientOrderId,
    Price,
    StrategyName,
    Underlying,
)
from wsb_core.domain.orders import Action, BrokerOrder, Fill, OrderLeg, OrderState
from wsb_core.domain.positions import AccountState, Holding, OpenOrder, Position
from wsb_core.domain.quotes import FeedClass, Provenance
from wsb_core.domain.structures import single
from wsb_core.reconcile.compare import (
    BreakKind,
    Verdict,
    View,
    attributed,
    compare,
    expected_buying_power,
    stops,
)
from wsb_core.reconcile.explain import Told
from wsb_core.reconcile.strangers import liquidated

TODAY = date(2024, 5, 15)
LATER = date(2024, 6, 21)
AAPL = Underlying("AAPL")
SHARES = Share(AAPL)
SHORT_PUT, LONG_PUT = a_put("100", expiry=LATER), a_put("95", expiry=LATER)
SHORT_CALL = a_call("110", expiry=LATER)
NOON = datetime(2024, 5, 15, 16, 0, tzinfo=UTC)
KNOWN = Provenance("test", FeedClass.REALTIME, NOON)


def view(*held: tuple[Instrument, int | str], cash: str = "50000", pending: str = "0") -> View:
    return View(
        tuple(Holding(instrument, Decimal(quantity)) for instrument, quantity in held),
        Cash(Decimal(cash)),
        frozenset(),
        Cash(Decimal(pending)),
    )


def judged(
    ours: View,
    theirs: View,
    *actions: CorporateAction,
    after_close: bool = False,
    unbooked: tuple[Told, ...] = (),
    traded: tuple[Fill, ...] = (),
) -> Verdict:
    return compare(
        ours,
        theirs,
        today=TODAY,
        after_close=after_close,
        actions=actions,
        unbooked=unbooked,
        traded=traded,
    )


def filled(instrument: Instrument, quantity: int) -> Fill:
    return Fill("e", None, BrokerOrderId("b"), instrument, Decimal(quantity), Price(Decimal(1)), NOON)


def why(found: Verdict) -> dict[str, str | None]:
    return {b.key.strip(): b.explained_by for b in found.breaks}


class TestAssignmentBeforeItIsBooked:
    def test_fm_32_two_of_five_short_puts_assigned_overnight_are_explained_by_their_shares_and_cash(
        self,
    ) -> None:
        ours = view((SHORT_PUT, -5), (LONG_PUT, 5))
        theirs = view((SHORT_PUT, -3), (LONG_PUT, 5), (SHARES, 200), cash="30000")

        found = judged(ours, theirs)

        assert found.clean
        assert "2 assigned" in str(why(found)[SHORT_PUT.symbol])
        assert "2 assigned" in str(why(found)["cash"])
        assert "delivery of 200 AAPL" in str(why(found)["AAPL"])

    def test_an_assigned_call_takes_the_shares_that_covered_it(self) -> None:
        found = judged(view((SHORT_CALL, -1), (SHARES, 100)), view(cash="61000"))

        assert found.clean

    def test_fm_33_an_assignment_whose_shares_have_not_come_is_not_explained(self) -> None:
        found = judged(view((SHORT_PUT, -5)), view((SHORT_PUT, -3)))

        assert [b.key for b in found.unexplained] == [SHORT_PUT.symbol]

    @pytest.mark.parametrize("cash", ["29999.98", "30000.02", "50001"])
    def test_an_assignment_explains_no_other_cash_than_its_strikes(self, cash: str) -> None:
        found = judged(view((SHORT_PUT, -2)), view((SHARES, 200), cash=cash))

        assert [b.kind for b in found.unexplained] == [BreakKind.CASH]

    def test_shares_that_came_for_nothing_are_no_assignment(self) -> None:
        found = judged(view((SHORT_PUT, -2)), view((SHARES, 200)))

        assert {b.key for b in found.unexplained} == {SHORT_PUT.symbol, "AAPL"}

    def test_a_long_contract_that_vanished_before_its_expiry_is_not_explained(self) -> None:
        found = judged(view((LONG_PUT, 2)), view((SHARES, -200), cash="69000"))

        assert {b.key for b in found.unexplained} >= {LONG_PUT.symbol, "AAPL"}

    def test_a_european_contract_is_not_assigned_early(self) -> None:
        index = replace(SHORT_PUT, style=ExerciseStyle.EUROPEAN)

        found = judged(view((index, -2)), view((SHARES, 200), cash="30000"))

        assert not found.clean

    def test_a_short_position_that_grew_is_never_an_assignment(self) -> None:
        found = judged(view((SHORT_PUT, -2)), view((SHORT_PUT, -4), (SHARES, 200), cash="30000"))

        assert not found.clean


class TestExpiryBeforeItIsBooked:
    LONG, SHORT = a_call("100", expiry=TODAY), a_call("105", expiry=TODAY)

    def test_fm_38_a_vertical_in_the_money_on_both_legs_leaves_its_width_and_no_shares(self) -> None:
        found = judged(view((self.LONG, 2), (self.SHORT, -2)), view(cash="51000"), after_close=True)

        assert found.clean
        assert "2 exercised" in str(why(found)[self.LONG.symbol])
        assert "2 assigned" in str(why(found)[self.SHORT.symbol])

    def test_fm_35_a_vertical_that_expired_worthless_leaves_nothing(self) -> None:
        found = judged(view((self.LONG, 2), (self.SHORT, -2)), view(), after_close=True)

        assert found.clean
        assert "2 expired" in str(why(found)[self.LONG.symbol])

    def test_money_that_is_missing_at_an_expiry_is_not_excused_by_it(self) -> None:
        found = judged(view((self.LONG, 2), (self.SHORT, -2)), view(cash="50400"), after_close=True)

        assert [b.kind for b in found.unexplained] == [BreakKind.CASH]

    def test_some_exercised_and_some_expired_is_explained(self) -> None:
        found = judged(view((self.LONG, 3)), view((SHARES, 100), cash="40000"), after_close=True)

        assert found.clean
        assert "1 exercised and 2 expired" in str(why(found)[self.LONG.symbol])

    def test_an_expiry_of_one_name_and_an_assignment_of_another_are_told_apart_by_their_sum(self) -> None:
        other = replace(a_put("50", expiry=LATER), root="MSFT", underlying=Underlying("MSFT"))
        ours = view((self.LONG, 1), (other, -1))

        found = judged(
            ours, view((SHARES, 100), (Share(Underlying("MSFT")), 100), cash="35000"), after_close=True
        )

        assert found.clean

    def test_fm_36_a_contract_of_yesterday_is_settled_before_todays_open(self) -> None:
        gone = a_call("100", expiry=TODAY - timedelta(days=1))

        assert judged(view((gone, 1)), view()).clean

    def test_fm_37_a_contract_settled_on_the_opening_is_gone_in_the_morning_and_one_on_the_close_is_not(
        self,
    ) -> None:
        evening = OptionContract(
            "SPXW", TODAY, self.LONG.right, Decimal(5000), Underlying("SPX"), style=ExerciseStyle.EUROPEAN
        )
        morning = replace(evening, root="SPX", settlement=Settlement.AM)

        found = judged(view((evening, 1), (morning, 1)), view((evening, 1), cash="50123"))
        too_early = judged(view((evening, 1)), view())

        assert found.clean
        assert not too_early.clean


class TestCorporateActions:
    def test_a_split_multiplies_shares_and_puts_new_contracts_in_the_place_of_the_old(self) -> None:
        split = Split(AAPL, TODAY, Decimal(2), KNOWN)
        halved = replace(SHORT_CALL, strike=Decimal(55))

        found = judged(view((SHARES, 100), (SHORT_CALL, -1)), view((SHARES, 200), (halved, -2)), split)

        assert found.clean
        assert set(why(found)) == {"AAPL", SHORT_CALL.symbol, halved.symbol}

    def test_fm_39_an_odd_split_leaves_an_adjusted_contract_whatever_the_broker_says_it_delivers(
        self,
    ) -> None:
        split = Split(AAPL, TODAY, Decimal("1.5"), KNOWN)
        adjusted = OptionContract("AAPL1", LATER, SHORT_CALL.right, Decimal("73.33"), AAPL, standard=False)

        found = judged(view((SHORT_CALL, -1)), view((adjusted, -1)), split)

        assert found.clean

    def test_a_split_that_does_not_fit_to_the_share_explains_nothing(self) -> None:
        split = Split(AAPL, TODAY, Decimal(2), KNOWN)

        assert not judged(view((SHARES, 100)), view((SHARES, 199)), split).clean

    def test_what_is_bought_back_on_the_day_of_a_split_was_not_split(self) -> None:
        split = Split(AAPL, TODAY, Decimal(2), KNOWN)
        halved = replace(SHORT_CALL, strike=Decimal(55))
        bought, opened = filled(SHARES, 50), filled(halved, -1)

        found = judged(
            view((SHARES, -50), (SHORT_CALL, -1), (halved, -1)),
            view((SHARES, -150), (halved, -3)),
            split,
            traded=(bought, opened),
        )
        whole = judged(view(), view((SHARES, -100)), split, traded=(filled(SHARES, 100),))

        assert found.clean
        assert whole.clean
        assert not judged(view((SHARES, -50)), view((SHARES, -150)), split).clean

    def test_shares_bought_on_the_ex_date_get_no_dividend(self) -> None:
        dividend = CashDividend(AAPL, TODAY, Price(Decimal("0.24")), None, False, KNOWN)
        both = view((SHARES, 300))

        found = judged(both, view((SHARES, 300), cash="50024"), dividend, traded=(filled(SHARES, 200),))

        assert found.clean

    def test_a_split_still_to_come_explains_nothing(self) -> None:
        split = Split(AAPL, TODAY + timedelta(days=1), Decimal(2), KNOWN)

        assert not judged(view((SHARES, 100)), view((SHARES, 200)), split).clean

    def test_a_new_ticker_renames_shares_and_contracts(self) -> None:
        renamed = Renamed(Underlying("FB"), Underlying("META"), TODAY, KNOWN)
        old = replace(SHORT_CALL, root="FB", underlying=Underlying("FB"))
        new = replace(SHORT_CALL, root="META", underlying=Underlying("META"))

        found = judged(
            view((Share(Underlying("FB")), 100), (old, -1)),
            view((Share(Underlying("META")), 100), (new, -1)),
            renamed,
        )

        assert found.clean

    @pytest.mark.parametrize(("held", "cash"), [(100, "50024.00"), (-100, "49976.00")])
    def test_a_dividend_is_paid_to_the_long_and_owed_by_the_short(self, held: int, cash: str) -> None:
        dividend = CashDividend(AAPL, TODAY, Price(Decimal("0.24")), None, False, KNOWN)

        found = judged(view((SHARES, held)), view((SHARES, held), cash=cash), dividend)
        other = judged(view((SHARES, held)), view((SHARES, held), cash="50100"), dividend)

        assert found.clean
        assert "dividend of 0.24" in str(why(found)["cash"])
        assert not other.clean

    def test_a_dividend_explains_no_shares(self) -> None:
        dividend = CashDividend(AAPL, TODAY, Price(Decimal("0.24")), None, False, KNOWN)

        found = judged(view((SHARES, 100)), view((SHARES, 90), cash="50024"), dividend)

        assert [b.key for b in found.unexplained] == ["AAPL"]


class TestFillsToldAndNotBooked:
    FILL = Told("wsb-1", {SHORT_PUT: Decimal(-2)}, Decimal(300))

    def test_a_fill_that_an_order_told_explains_its_legs_and_its_cash(self) -> None:
        found = judged(view(), view((SHORT_PUT, -2), cash="50300"), unbooked=(self.FILL,))

        assert found.clean
        assert "wsb-1" in str(why(found)["cash"])

    def test_it_explains_no_more_than_it_told(self) -> None:
        found = judged(view(), view((SHORT_PUT, -3), cash="50300"), unbooked=(self.FILL,))

        assert [b.key for b in found.unexplained] == [SHORT_PUT.symbol]

    def test_a_fill_that_is_already_in_both_books_explains_nothing(self) -> None:
        both = view((SHORT_PUT, -2))

        assert judged(both, view((SHORT_PUT, -2), cash="50300"), unbooked=(self.FILL,)).unexplained != ()

    def test_pending_fees_and_a_dividend_may_come_together(self) -> None:
        dividend = CashDividend(AAPL, TODAY, Price(Decimal("0.24")), None, False, KNOWN)

        found = judged(view((SHARES, 100)), view((SHARES, 100), cash="50022.70", pending="1.30"), dividend)

        assert found.clean


class TestWhomItConcerns:
    HELD = Position(
        AccountId("A"), StrategyName("wheel"), single(SHORT_PUT, -1), 2, Price(Decimal(1)), NOON, TODAY
    )
    OTHER = replace(HELD, strategy=StrategyName("dip"), structure=single(LONG_PUT))

    def test_a_difference_in_what_one_strategy_holds_stops_that_strategy_alone(self) -> None:
        found = judged(view((SHORT_PUT, -2), (LONG_PUT, 2)), view((LONG_PUT, 2)))

        told = attributed(found, [self.HELD, self.OTHER], [])

        rows = [b.row() for b in told.breaks]
        assert [b.scope for b in told.unexplained] == ["wheel"]
        assert (stops(rows, StrategyName("wheel")), stops(rows, StrategyName("dip"))) == (
            (SHORT_PUT.symbol,),
            (),
        )

    def test_what_two_hold_or_nobody_and_cash_stop_everything(self) -> None:
        both = replace(self.OTHER, structure=single(SHORT_PUT, -1))
        found = judged(view((SHORT_PUT, -2)), view((SHARES, 3), cash="7"))

        told = attributed(found, [self.HELD, both], [])

        assert {b.scope for b in told.unexplained} == {"*"}
        assert stops([b.row() for b in told.breaks], StrategyName("third"))

    def test_an_order_of_ours_that_the_broker_does_not_count_stops_its_strategy(self) -> None:
        order = OpenOrder(
            ClientOrderId("wsb-1"),
            StrategyName("wheel"),
            single(SHORT_PUT, -1),
            True,
            1,
            OrderState.WORKING,
            Cash(Decimal(1)),
        )
        ours = replace(view(), open_orders=frozenset({ClientOrderId("wsb-1")}))

        told = attributed(judged(ours, view()), [], [order])

        assert [(b.key, b.scope) for b in told.unexplained] == [("wsb-1", "wheel")]

    def test_every_row_shows_both_sides_the_difference_and_what_was_looked_at(self) -> None:
        [row] = [b.row() for b in judged(view((LONG_PUT, 2)), view()).breaks]

        assert (row["ours"], row["theirs"], row["difference"], row["halts"]) == ("2", "0", "-2", "yes")
        assert "assignments" in row["looked_at"]


class TestBuyingPower:
    STATE = AccountState(
        AccountId("A"),
        Cash(Decimal(60000)),
        Cash(Decimal(50000)),
        Cash(Decimal(100000)),
        None,
        3,
        False,
        NOON,
    )

    @pytest.mark.parametrize(
        ("told", "differs"), [("30000", False), ("50000", False), ("29999", True), ("100001", True)]
    )
    def test_a_figure_outside_what_our_books_allow_is_reported_and_halts_nothing(
        self, told: str, differs: bool
    ) -> None:
        held = (Holding(SHORT_PUT, Decimal(-2)),)
        expected = expected_buying_power(held, Decimal(50000), [], self.STATE)
        ours = replace(view((SHORT_PUT, -2)), buying_power=expected)
        power = Cash(Decimal(told))

        found = judged(ours, replace(view((SHORT_PUT, -2)), buying_power=(power, power)))

        assert bool(found.breaks) is differs
        assert found.clean


class TestLiquidation:
    CLOSES = session_on(TODAY)
    LONG = a_call("100", expiry=TODAY)
    HELD = Position(AccountId("A"), StrategyName("dip"), single(LONG), 1, Price(Decimal(-2)), NOON, TODAY)

    def order(self, action: Action = Action.SELL_TO_CLOSE, at: str = "19:20") -> BrokerOrder:
        hour, minute = map(int, at.split(":"))
        when = datetime(2024, 5, 15, hour, minute, tzinfo=UTC)
        leg = OrderLeg(self.LONG, action, 1)
        return BrokerOrder(
            BrokerOrderId("b"),
            ClientOrderId("theirs"),
            OrderState.FILLED,
            "filled",
            1,
            1,
            None,
            (leg,),
            when,
            when,
        )

    def test_fm_28_the_brokers_close_of_an_expiring_leg_is_known_for_what_it_is(self) -> None:
        assert self.CLOSES is not None
        assert liquidated(self.order(), [self.HELD], self.CLOSES) == ("dip",)

    @pytest.mark.parametrize(
        ("action", "at"), [(Action.BUY_TO_OPEN, "19:20"), (Action.SELL_TO_CLOSE, "15:00")]
    )
    def test_an_opening_order_or_one_at_another_time_is_somebodys(self, action: Action, at: str) -> None:
        assert self.CLOSES is not None
        assert liquidated(self.order(action, at), [self.HELD], self.CLOSES) == ()

    def test_an_order_in_what_we_do_not_hold_is_somebodys(self) -> None:
        assert self.CLOSES is not None
        assert liquidated(self.order(), [], self.CLOSES) == ()


counts = st.integers(1, 8)


@given(counts, counts, st.booleans(), st.integers(-5, 5))
@settings(max_examples=80, deadline=None)
def test_an_assignment_is_explained_exactly_when_shares_and_cash_both_fit(
    held: int, assigned: int, call: bool, off: int
) -> None:
    contract = SHORT_CALL if call else SHORT_PUT
    count = min(held, assigned)
    shares = count * 100 * (-1 if call else 1)
    paid = -shares * contract.strike
    ours = view((contract, -held), (SHARES, 1000))
    theirs = view(
        *([(contract, count - held)] if count < held else []),
        (SHARES, 1000 + shares),
        cash=str(Decimal(50000) + paid + off),
    )

    assert judged(ours, theirs).clean is (off == 0)

"""An approved order worked to its end: one attempt at a time, and never more than was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import ACCOUNT, AS_OF, DIP_BOT, SESSION, a_call, a_key, a_market, a_proposal, a_quote
from tests.execution.scripted import Fate, ManualClock, ScriptedBroker
from tests.flows.stage import sqlite_url
from wsb_core.brokers import rules_of
from wsb_core.domain.contracts import OptionContract
from wsb_core.domain.errors import ProviderUnavailable
from wsb_core.domain.ids import Cash, Price, RunId
from wsb_core.domain.orders import ApprovedOrder, Effect, Order, OrderState, Refusal, Review, Ruling
from wsb_core.domain.positions import Holding
from wsb_core.domain.quotes import Market
from wsb_core.domain.structures import Structure, StructureLeg
from wsb_core.execution.recovery import Trouble
from wsb_core.execution.submit import Sender, confirm, submit_once
from wsb_core.execution.working import ReviewAgain, Worked, closable, work
from wsb_core.ledger import Ledger, open_ledger


def approved(
    limit: str = "-4.10",
    quantity: int = 4,
    effect: Effect = Effect.OPEN,
    may_cross: bool = False,
    contract: OptionContract | None = None,
) -> ApprovedOrder:
    proposal = a_proposal(contract or a_call(), limit=limit, effect=effect)
    price = Price(Decimal(limit))
    order = Order(a_key(proposal), proposal.structure, effect, quantity, price, may_cross)
    return Review(order, AS_OF, (Ruling("size", True, "4", "4"),), Cash(Decimal(1640))).approve("dip", {})


@dataclass
class Bench:
    """A scripted broker, a real ledger, and how often the market was read."""

    ledger: Ledger
    clock: ManualClock
    broker: ScriptedBroker
    sender: Sender
    told: list[tuple[Trouble, str]]
    reads: int = 0

    def work(
        self, order: ApprovedOrder, *markets: Market | Refusal, review: ReviewAgain | None = None
    ) -> Worked:
        """Work ``order`` in these markets, one a read and the last one from then on; 3.80 to 4.20 if none."""
        seen = list(markets) or [a_market(a_quote(bid="3.80", ask="4.20"))]

        def fresh() -> Market | Refusal:
            self.reads += 1
            return seen.pop(0) if len(seen) > 1 else seen[0]

        worked = work(order, self.sender, fresh, review or (lambda market, left: order))
        self.ledger.record_fills(ACCOUNT, self.broker.fills(AS_OF), self.clock.now())
        return worked

    def sent(self, effect: Effect = Effect.OPEN) -> list[tuple[Decimal, int]]:
        """Limit and quantity of every order that reached the broker."""
        return [(order.limit, order.quantity) for order in self.broker.sent if order.effect is effect]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[[Sequence[Fate]], Bench]]:
    with open_ledger(sqlite_url(tmp_path)) as ledger:
        ledger.init()

        def make(fates: Sequence[Fate] = ()) -> Bench:
            clock = ManualClock()
            ledger.open_account(ACCOUNT, "practice", Cash(Decimal(100_000)), AS_OF)
            ledger.start_run(
                RunId("run-1"),
                flow="test",
                strategy=DIP_BOT,
                session=SESSION,
                slot="close-25m",
                account=ACCOUNT,
                config_hash="c",
                code_version="v",
                at=AS_OF,
            )
            lease = ledger.acquire_lease(ACCOUNT, "tests", AS_OF, timedelta(hours=1))
            broker = ScriptedBroker(clock, fates)
            told: list[tuple[Trouble, str]] = []

            def report(trouble: Trouble, order: Order, what: str) -> None:
                told.append((trouble, what))

            sender = Sender("run-1", broker, ledger, lease, clock, rules_of("alpaca"), report)
            return Bench(ledger, clock, broker, sender, told)

        yield make


def prices(*limits: str) -> list[Decimal]:
    return [Decimal(limit) for limit in limits]


def test_an_entry_that_nobody_takes_is_walked_canceled_and_recorded_as_unfilled(bench) -> None:
    one = bench()

    worked = one.work(approved())

    assert [limit for limit, _ in one.sent()] == prices("-4.00", "-4.05", "-4.10", "-4.10")
    assert [intent.state for intent in worked.attempts] == [OrderState.CANCELED] * 4
    assert (worked.filled, worked.refusal.rule) == (0, "unfilled")
    assert one.broker.open_orders() == ()
    assert one.reads == 4


def test_an_entry_that_fills_on_the_way_stops_there(bench) -> None:
    one = bench([Fate(), Fate(at_once=4)])

    worked = one.work(approved())

    assert (worked.filled, worked.refusal) == (4, None)
    assert len(one.sent()) == 2


@pytest.mark.parametrize("fate", [Fate(at_once=1), Fate(on_cancel=1)])
def test_an_entry_filled_in_part_is_kept_and_never_topped_up(bench, fate: Fate) -> None:
    one = bench([fate])

    worked = one.work(approved())
    again = one.work(approved())

    assert (worked.filled, again.filled) == (1, 1)
    assert len(one.sent()) == 1
    assert again.refusal.rule == "already_filled"
    assert one.broker.open_orders() == ()


def test_a_fill_that_beats_the_cancel_is_a_fill_and_nothing_follows_it(bench) -> None:
    one = bench([Fate(on_cancel=4)])

    worked = one.work(approved())

    assert (worked.last.state, worked.filled) == (OrderState.FILLED, 4)
    assert len(one.sent()) == 1


def an_exit(limit: str = "3.80", quantity: int = 4, *, may_cross: bool = False) -> ApprovedOrder:
    return approved(limit, quantity, Effect.CLOSE, may_cross)


def test_an_exit_goes_on_with_what_is_left_until_all_is_sold(bench) -> None:
    one = bench([Fate(at_once=4), Fate(at_once=1), Fate(on_cancel=2), Fate(at_once=1)])
    one.work(approved())

    worked = one.work(an_exit())

    assert [quantity for _, quantity in one.sent(Effect.CLOSE)] == [4, 3, 1]
    assert (worked.filled, worked.refusal) == (4, None)
    assert one.broker.holdings() == ()
    assert one.ledger.positions(ACCOUNT) == ()


def test_an_exit_that_nobody_takes_ends_at_the_touch(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())

    worked = one.work(an_exit())

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("4.00", "3.90", "3.85", "3.80")
    assert worked.refusal.rule == "unfilled"


def test_a_hard_exit_starts_at_the_touch_and_goes_through_it(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())

    one.work(an_exit(may_cross=True))

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("3.80", "3.75", "3.70")


def test_a_hard_exit_of_a_nearly_worthless_call_still_asks_for_a_penny(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())

    one.work(an_exit("0.01", may_cross=True), a_market(a_quote(bid="0.01", ask="0.05")))

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("0.01", "0.01", "0.01")


def test_fm_17_an_exit_is_sold_in_any_market_however_far_it_fell(bench) -> None:
    one = bench([Fate(at_once=4), Fate(at_once=4)])
    one.work(approved())

    worked = one.work(an_exit("3.80"), a_market(a_quote(bid="0.50", ask="0.60")))

    assert (worked.filled, one.sent(Effect.CLOSE)) == (4, [(Decimal("0.55"), 4)])


def test_after_an_entry_without_a_last_word_nothing_follows(bench) -> None:
    one = bench([Fate(silent=True)])

    worked, again = one.work(approved()), one.work(approved())

    assert (worked.last.state, again.last.state) == (OrderState.UNKNOWN, OrderState.UNKNOWN)
    assert worked.refusal.rule == "outcome_unknown"
    assert (len(worked.attempts), len(one.sent())) == (1, 1)


def test_after_an_exit_without_a_last_word_nothing_follows(bench) -> None:
    one = bench([Fate(at_once=4), Fate(silent=True)])
    one.work(approved())

    worked = one.work(an_exit())

    assert worked.last.state is OrderState.UNKNOWN
    assert len(one.sent(Effect.CLOSE)) == 1


def test_an_order_whose_cancel_is_not_confirmed_is_not_followed_by_another(bench) -> None:
    one = bench([Fate(stubborn=True)])

    worked = one.work(approved())

    assert worked.last.state is OrderState.WORKING
    assert worked.refusal.rule == "outcome_unknown"
    assert (len(worked.attempts), len(one.sent())) == (1, 1)


def test_a_refused_attempt_ends_the_walk(bench) -> None:
    one = bench([Fate(), Fate(rejected="not today")])

    worked = one.work(approved())

    assert (worked.last.state, worked.refusal.rule) == (OrderState.REJECTED, "rejected")
    assert len(one.sent()) == 2


def test_a_market_that_ran_away_from_the_approved_price_is_not_chased(bench) -> None:
    one = bench()

    worked = one.work(
        approved(), a_market(a_quote(bid="3.80", ask="4.20")), a_market(a_quote(bid="4.30", ask="4.50"))
    )

    assert [limit for limit, _ in one.sent()] == prices("-4.00")
    assert worked.refusal.rule == "price_cap"


@pytest.mark.parametrize(("bid", "ask"), [(None, "4.20"), ("3.80", None)])
def test_fm_27_a_leg_quoted_on_one_side_only_is_refused_and_nothing_is_sent(bench, bid, ask) -> None:
    one = bench()

    worked = one.work(approved(), a_market(a_quote(bid=bid, ask=ask)))

    assert worked.refusal is not None
    assert one.broker.sent == []


def test_a_market_that_fails_its_check_on_the_way_ends_the_walk_with_that_refusal(bench) -> None:
    one, failed = bench(), Refusal(a_market().underlying, "gate", "quote_recheck", "stale", "a clean quote")

    worked = one.work(approved(), a_market(a_quote(bid="3.80", ask="4.20")), failed)

    assert worked.refusal is failed
    assert len(one.sent()) == 1
    assert one.broker.open_orders() == ()


def test_a_walk_that_came_to_its_end_is_not_walked_again_by_a_rerun(bench) -> None:
    one = bench()
    first = one.work(approved())

    again = one.work(approved())

    assert len(one.broker.sent) == 4
    assert [i.client_order_id for i in again.attempts] == [i.client_order_id for i in first.attempts]
    assert again.refusal.rule == "unfilled"


@pytest.mark.parametrize("fate", [Fate(at_once=4), Fate(stubborn=True)])
def test_a_rerun_after_the_order_was_sent_sends_nothing_more(bench, fate: Fate) -> None:
    one = bench([fate])
    one.work(approved())

    again = one.work(approved())

    assert len(one.broker.sent) == 1
    assert len(again.attempts) == 1


def test_a_rerun_takes_up_the_walk_where_the_run_before_it_stopped(bench) -> None:
    one, failed = bench(), Refusal(a_market().underlying, "gate", "quote_recheck", "stale", "a clean quote")
    market = a_market(a_quote(bid="3.80", ask="4.20"))
    one.work(approved(), market, market, failed)

    again = one.work(approved(), market)

    assert [order.key.attempt for order in one.broker.sent] == [1, 2, 3, 4]
    assert len(again.attempts) == 4


def test_fm_10_never_are_two_attempts_open_at_the_broker_at_once(bench) -> None:
    one, open_at_send = bench(), []
    submit = one.broker.submit

    def look_first(order: Order):
        open_at_send.append(len(one.broker.open_orders()))
        return submit(order)

    one.broker.submit = look_first

    one.work(approved())

    assert open_at_send == [0, 0, 0, 0]


# --- the gates, asked again before every attempt ---


def test_risk_is_asked_again_before_every_attempt_with_what_is_left(bench) -> None:
    one, asked = bench([Fate(at_once=4), Fate(at_once=1), Fate(on_cancel=2), Fate(at_once=1)]), []
    one.work(approved())
    order = an_exit()

    def review(market: Market, left: int) -> ApprovedOrder:
        asked.append(left)
        return order

    one.work(order, review=review)

    assert asked == [4, 3, 1]


def test_a_refusal_by_risk_on_the_way_ends_the_walk_with_nothing_left_working(bench) -> None:
    one = bench()
    no = Refusal(a_market().underlying, "review", "daily_loss", "3.20%", "< 3.00%")
    answers = [approved(), approved(), no]

    worked = one.work(approved(), review=lambda market, left: answers.pop(0))

    assert worked.refusal is no
    assert (len(one.sent()), one.broker.open_orders()) == (2, ())


def test_risk_may_approve_fewer_units_than_at_first(bench) -> None:
    one = bench()
    sizes = [4, 2, 2, 1]

    one.work(approved(), review=lambda market, left: approved(quantity=sizes.pop(0)))

    assert [quantity for _, quantity in one.sent()] == [4, 2, 2, 1]


def test_risk_that_would_approve_more_than_at_first_gets_no_more(bench) -> None:
    one = bench()

    one.work(approved(), review=lambda market, left: approved(quantity=9))

    assert {quantity for _, quantity in one.sent()} == {4}


def test_a_walk_that_takes_too_long_is_broken_off(bench) -> None:
    one = bench()

    def slow(market: Market, left: int) -> ApprovedOrder:
        one.clock.sleep(70)
        return approved()

    worked = one.work(approved(), review=slow)

    assert worked.refusal is not None
    assert (worked.refusal.rule, len(one.sent())) == ("time_limit", 2)


def test_fm_15_a_walk_does_not_go_on_after_the_close(bench) -> None:
    one = bench()
    one.clock.sleep(19 * 60 + 50)

    worked = one.work(approved())

    assert worked.refusal is not None
    assert (worked.refusal.rule, len(one.sent())) == ("broker_regular_hours", 1)


def test_an_order_that_the_broker_does_not_take_is_refused_before_it_is_recorded(bench) -> None:
    one = bench()
    adjusted = replace(a_call(), root="AAPL1", standard=False)
    order = approved(contract=adjusted)

    worked = one.work(order, a_market(a_quote(adjusted, bid="3.80", ask="4.20")))

    assert worked.refusal is not None
    assert worked.refusal.rule == "broker_adjusted_contracts"
    assert one.ledger.attempts(order.order.key) == ()


# --- closing what the broker does not show ---


def test_fm_13_a_close_waits_until_the_broker_shows_the_position(bench) -> None:
    one = bench([Fate(at_once=4), Fate(at_once=4)])
    one.work(approved())
    one.broker.blind_looks = 2

    worked = one.work(an_exit())

    assert (worked.filled, worked.refusal) == (4, None)


def test_fm_13_a_close_of_what_the_broker_never_shows_is_not_sent(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())
    one.broker.blind_looks = 100

    worked = one.work(an_exit())

    assert worked.refusal is not None
    assert worked.refusal.rule == "not_at_the_broker"
    assert one.sent(Effect.CLOSE) == []


def test_fm_28_a_leg_that_is_gone_closes_no_package() -> None:
    condor = a_proposal(
        Structure((StructureLeg(a_call("105"), 1), StructureLeg(a_call("110"), -1))), effect=Effect.CLOSE
    )
    order = Order(a_key(condor), condor.structure, Effect.CLOSE, 2, Price(Decimal("1.00")))
    whole = [Holding(a_call("105"), Decimal(3)), Holding(a_call("110"), Decimal(-2))]

    found = [closable(order, holdings) for holdings in (whole, whole[:1], [])]

    assert found == [2, 0, 0]


# --- refusals by the broker ---

POOR = "insufficient options buying power"


def test_an_entry_without_the_buying_power_goes_out_once_more_as_large_as_the_broker_allows(bench) -> None:
    one = bench([Fate(rejected=POOR), Fate(at_once=2)])
    one.broker.power = "1000"

    worked = one.work(approved())

    assert [quantity for _, quantity in one.sent()] == [4, 2]
    assert (worked.filled, worked.refusal) == (2, None)
    assert [trouble for trouble, _ in one.told] == [Trouble.BUYING_POWER]


def test_the_smaller_order_is_smaller_even_when_the_broker_says_it_has_enough(bench) -> None:
    one = bench([Fate(rejected=POOR), Fate(at_once=3)])

    one.work(approved())

    assert [quantity for _, quantity in one.sent()] == [4, 3]


def test_a_second_refusal_for_buying_power_ends_it(bench) -> None:
    one = bench([Fate(rejected=POOR), Fate(rejected=POOR)])
    one.broker.power = "1000"

    worked = one.work(approved())

    assert worked.refusal is not None
    assert (worked.refusal.rule, len(one.sent())) == ("rejected", 2)


@pytest.mark.parametrize("power", ["0", "-5", "409"])
def test_fm_48_without_the_power_for_one_whole_unit_nothing_more_is_sent(bench, power: str) -> None:
    one = bench([Fate(rejected=POOR)])
    one.broker.power = power

    worked = one.work(approved())

    assert worked.refusal is not None
    assert (worked.refusal.rule, len(one.sent())) == ("buying_power", 1)


def test_an_exit_refused_for_buying_power_is_not_made_smaller(bench) -> None:
    one = bench([Fate(at_once=4), Fate(rejected=POOR)])
    one.work(approved())

    worked = one.work(an_exit())

    assert worked.refusal is not None
    assert (worked.refusal.rule, len(one.sent(Effect.CLOSE))) == ("rejected", 1)


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("potential wash trade detected. use complex orders", Trouble.REFUSED_FOR_NOW),
        ("account not eligible to trade spreads", Trouble.REFUSED_PERMISSION),
        ("the moon is in the wrong house", Trouble.REFUSED_UNLISTED),
    ],
)
def test_fm_11_a_refusal_is_told_by_its_words_and_ends_the_decision_for_every_rerun(
    bench, words: str, trouble: Trouble
) -> None:
    one = bench([Fate(rejected=words)])

    worked, again = one.work(approved()), one.work(approved())

    assert (worked.refusal.rule, worked.refusal.value, worked.refusal.detail) == ("rejected", trouble, words)
    assert again.refusal.rule == "rejected"
    assert one.told == [(trouble, words)]
    assert len(one.broker.sent) == 1


# --- words and silences ---


def test_fm_08_an_order_of_an_unknown_status_is_told_of_and_nothing_follows_it(bench) -> None:
    one = bench([Fate(status=("enchanted", OrderState.UNKNOWN), stubborn=True)])

    worked, again = one.work(approved()), one.work(approved())

    assert worked.last.state.may_work
    assert (worked.refusal.rule, again.refusal.rule) == ("outcome_unknown", "outcome_unknown")
    assert Trouble.UNKNOWN_STATUS in [trouble for trouble, _ in one.told]
    assert "'enchanted'" in one.told[0][1]
    assert len(one.broker.sent) == 1


def test_a_broker_that_answers_nothing_for_a_whole_step_is_told_of(bench) -> None:
    one = bench()
    submit = one.broker.submit

    def then_deaf(order: Order):
        answer = submit(order)
        one.broker.deaf = True
        return answer

    one.broker.submit = then_deaf

    worked = one.work(approved())

    assert worked.refusal is not None
    assert worked.refusal.rule == "outcome_unknown"
    assert {trouble for trouble, _ in one.told} == {Trouble.BROKER_UNREACHABLE, Trouble.OUTCOME_UNKNOWN}
    assert len(one.broker.sent) == 1


@pytest.mark.parametrize(("lost", "told"), [(7, [Trouble.BROKER_UNREACHABLE]), (6, []), (1, [])])
def test_one_answer_in_all_the_time_is_enough_not_to_call_it_an_outage(bench, lost: int, told) -> None:
    one, asked = bench(), []
    intent = submit_once(approved().at(Price(Decimal("-4.00")), 1), one.sender)
    look_up = one.broker.order_by_client_id

    def lossy(name):
        asked.append(name)
        if len(asked) <= lost:
            raise ProviderUnavailable("no answer")
        return look_up(name)

    one.broker.order_by_client_id = lossy

    confirm(intent, one.sender, 30.0)

    assert len(asked) == 7
    assert [trouble for trouble, _ in one.told] == told


def test_a_cancel_that_was_not_answered_is_asked_for_again(bench) -> None:
    one, asked = bench(), []
    cancel = one.broker.cancel

    def lost_once(name):
        asked.append(name)
        if len(asked) == 1:
            raise ProviderUnavailable("no answer")
        cancel(name)

    one.broker.cancel = lost_once

    worked = one.work(approved())

    assert asked[:2] == ["b1", "b1"]
    assert worked.refusal is not None
    assert worked.refusal.rule == "unfilled"
    assert one.broker.open_orders() == ()


def test_a_rerun_settles_the_order_that_still_works_before_it_asks_anything(bench) -> None:
    one = bench([Fate(on_cancel=4)])
    order = approved()
    first = submit_once(order.at(Price(Decimal("-4.00")), 1), one.sender)
    no = Refusal(a_market().underlying, "gate", "quote_recheck", "stale", "a clean quote")

    worked = one.work(order, no)

    assert first.state is OrderState.WORKING
    assert (worked.filled, worked.refusal, one.reads) == (4, None, 0)
    assert len(one.broker.sent) == 1


# --- packages ---

VERTICAL = Structure((StructureLeg(a_call("105"), 1), StructureLeg(a_call("110"), -1)))


def a_package(effect: Effect = Effect.OPEN, limit: str = "-2.10", quantity: int = 4) -> ApprovedOrder:
    proposal = a_proposal(VERTICAL, limit=limit, effect=effect)
    order = Order(a_key(proposal), VERTICAL, effect, quantity, Price(Decimal(limit)))
    loss = Cash(Decimal(840))
    return Review(order, AS_OF, (Ruling("size", True, "4", "4"),), loss).approve("spread", {})


def package_market() -> Market:
    return a_market(
        a_quote(a_call("105"), bid="3.80", ask="4.20"), a_quote(a_call("110"), bid="1.90", ask="2.10")
    )


def test_fm_20_a_package_is_walked_as_one_order_of_all_its_legs(bench) -> None:
    one = bench([Fate(), Fate(at_once=4)])

    worked = one.work(a_package(), package_market())

    assert [len(order.legs) for order in one.broker.sent] == [2, 2]
    assert worked.filled == 4
    assert {h.quantity for h in one.broker.holdings()} == {Decimal(4), Decimal(-4)}


def test_fm_21_a_package_that_is_refused_leaves_no_leg_behind(bench) -> None:
    one = bench([Fate(rejected="account not eligible to trade spreads")])

    worked = one.work(a_package(), package_market())

    assert (worked.filled, one.broker.holdings()) == (0, ())
    assert len(one.broker.sent) == 1


def test_fm_22_a_package_is_closed_whole_by_one_order(bench) -> None:
    one = bench([Fate(at_once=4), Fate(at_once=4)])
    one.work(a_package(), package_market())

    one.work(a_package(Effect.CLOSE, "1.90"), package_market())

    [close] = [order for order in one.broker.sent if order.effect is Effect.CLOSE]
    assert [leg.action.value for leg in close.legs] == ["sell_to_close", "buy_to_close"]
    assert one.broker.holdings() == ()
    assert one.ledger.positions(ACCOUNT) == ()


def test_fm_23_a_position_whose_close_was_only_sent_is_still_a_position(bench) -> None:
    one = bench([Fate(at_once=4), Fate(at_once=1, stubborn=True)])
    one.work(approved())

    worked = one.work(an_exit())

    [position] = one.ledger.positions(ACCOUNT)
    assert worked.last.state is OrderState.PARTIALLY_FILLED
    assert position.quantity == 3


def test_fm_06_a_fill_that_nothing_tells_of_is_found_by_asking(bench) -> None:
    one = bench()
    submit = one.broker.submit

    def filled_unseen(order: Order):
        answer = submit(order)
        one.broker._fill(answer.broker_order_id, order.quantity)
        return answer

    one.broker.submit = filled_unseen

    worked = one.work(approved())

    assert (worked.filled, len(one.broker.sent)) == (4, 1)

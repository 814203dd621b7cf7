"""An approved order worked to its end: one attempt at a time, and never more than was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import ACCOUNT, AS_OF, DIP_BOT, SESSION, a_call, a_key, a_market, a_proposal, a_quote
from tests.execution.scripted import Fate, ManualClock, ScriptedBroker
from tests.flows.stage import sqlite_url
from wsb_core.domain.ids import Cash, Price, RunId
from wsb_core.domain.orders import ApprovedOrder, Effect, Order, OrderState, Refusal, Review, Ruling
from wsb_core.domain.quotes import Market
from wsb_core.execution.submit import Sender
from wsb_core.execution.working import Worked, work
from wsb_core.ledger import Ledger, open_ledger


def approved(
    limit: str = "-4.10", quantity: int = 4, effect: Effect = Effect.OPEN, may_cross: bool = False
) -> ApprovedOrder:
    proposal = a_proposal(a_call(), limit=limit, effect=effect)
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
    reads: int = 0

    def work(self, order: ApprovedOrder, *markets: Market | Refusal) -> Worked:
        """Work ``order`` in these markets, one a read and the last one from then on; 3.80 to 4.20 if none."""
        seen = list(markets) or [a_market(a_quote(bid="3.80", ask="4.20"))]

        def fresh() -> Market | Refusal:
            self.reads += 1
            return seen.pop(0) if len(seen) > 1 else seen[0]

        worked = work(order, self.sender, fresh)
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
            return Bench(ledger, clock, broker, Sender("run-1", broker, ledger, lease, clock))

        yield make


def prices(*limits: str) -> list[Decimal]:
    return [Decimal(limit) for limit in limits]


def test_an_entry_that_nobody_takes_is_walked_canceled_and_recorded_as_unfilled(bench) -> None:
    one = bench()

    worked = one.work(approved())

    assert [limit for limit, _ in one.sent()] == prices("-4.00", "-4.04", "-4.07", "-4.10")
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

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("4.00", "3.93", "3.86", "3.80")
    assert worked.refusal.rule == "unfilled"


def test_a_hard_exit_starts_at_the_touch_and_goes_through_it(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())

    one.work(an_exit(may_cross=True))

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("3.80", "3.79", "3.78")


def test_a_hard_exit_of_a_nearly_worthless_call_still_asks_for_a_penny(bench) -> None:
    one = bench([Fate(at_once=4)])
    one.work(approved())

    one.work(an_exit("0.01", may_cross=True), a_market(a_quote(bid="0.01", ask="0.05")))

    assert [limit for limit, _ in one.sent(Effect.CLOSE)] == prices("0.01", "0.01", "0.01")


def test_an_exit_is_sold_in_any_market_however_far_it_fell(bench) -> None:
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
    one = bench([Fate(), Fate(rejected=True)])

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
def test_a_leg_that_is_quoted_on_one_side_only_is_refused_and_nothing_is_sent(bench, bid, ask) -> None:
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


def test_never_are_two_attempts_open_at_the_broker_at_once(bench) -> None:
    one, open_at_send = bench(), []
    submit = one.broker.submit

    def look_first(order: Order):
        open_at_send.append(len(one.broker.open_orders()))
        return submit(order)

    one.broker.submit = look_first

    one.work(approved())

    assert open_at_send == [0, 0, 0, 0]

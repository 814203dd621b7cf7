from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import (
    AS_OF,
    DIP_BOT,
    SESSION,
    a_book,
    a_call,
    a_key,
    a_position,
    a_proposal,
    a_put,
    an_account,
    an_open_order,
)
from wsb_core.domain.contracts import Share
from wsb_core.domain.ids import Underlying, cash
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.domain.structures import Structure, StructureLeg, single
from wsb_core.risk import RiskLimits
from wsb_core.risk.checks import CHECKS, CLOSE_CHECKS
from wsb_core.risk.sizing import Sizing
from wsb_core.strategies import STRATEGIES

STRATEGY = STRATEGIES[DIP_BOT]
YESTERDAY = date(2024, 5, 14)
NAMES = ("AAPL", "MSFT", "GOOGL", "META", "TSLA", "AMZN", "COST", "V", "LIN", "ZZZ")


def a_call_of(name: str):
    return a_call(underlying=name)


def test_approves_what_fits_with_every_rule_on_record(reviewed):
    [approved], refused = reviewed([a_proposal(preset="default")], a_book())

    assert refused == ()
    assert approved.order.quantity == 2
    assert approved.order.key == a_key(a_proposal())
    assert approved.review.max_loss == Decimal("800.20")
    assert approved.review.reviewed_at == AS_OF
    assert [r.rule for r in approved.review.rulings] == [check.__name__ for check in CHECKS]
    assert approved.facts == {"preset": "default"}


def book_with(**account):
    return a_book(account=an_account(**account))


def holding(*names: str, opened: date = YESTERDAY, orders: Sequence[str] = ()):
    """A book with one call of each name, and an order working in each of ``orders``."""
    held = (a_position(a_call_of(name), quantity=1, opened=opened) for name in names)
    return a_book(*held, orders=[an_open_order(a_call_of(name)) for name in orders])


VERTICAL = Structure((StructureLeg(a_call("105"), 1), StructureLeg(a_call("110"), -1)))
ELSEWHERE = [a_position(a_call_of(n), quantity=q, strategy="wheel") for n, q in (("MSFT", 11), ("V", 12))]


@pytest.mark.parametrize(
    ("rule", "proposal", "book"),
    [
        ("account_active", a_proposal(), book_with(blocked=True)),
        ("options_level", a_proposal(), book_with(options_level=None)),
        ("options_level", a_proposal(), book_with(options_level=1)),
        ("options_level", a_proposal(VERTICAL, limit="-2"), book_with(options_level=2)),
        ("equity_known", a_proposal(), a_book(equity_at_open=None)),
        ("equity_known", a_proposal(), a_book(peak_equity=None)),
        ("equity_known", a_proposal(), a_book(equity="0")),
        ("daily_loss", a_proposal(), a_book(equity="97000", equity_at_open=cash(100_000))),
        ("drawdown", a_proposal(), a_book(equity="85000", peak_equity=cash(100_000))),
        ("standard_contracts", a_proposal(a_call(standard=False)), a_book()),
        ("standard_contracts", a_proposal(a_call(multiplier=10)), a_book()),
        ("expiry_ahead", a_proposal(a_call(expiry=YESTERDAY)), a_book()),
        ("bounded_loss", a_proposal(single(a_call(), -1), limit="4"), a_book()),
        ("bounded_loss", a_proposal(VERTICAL, limit="0.10"), a_book()),
        ("one_per_underlying", a_proposal(), a_book(a_position(a_call("120"), opened=YESTERDAY))),
        ("one_per_underlying", a_proposal(), a_book(orders=[an_open_order(a_call("120"))])),
        ("no_working_order", a_proposal(), a_book(orders=[an_open_order(strategy="wheel", opening=False)])),
        ("no_working_order", a_proposal(), a_book(orders=[an_open_order(strategy=None)])),
        ("buying_power", a_proposal(), book_with(options_buying_power=None)),
        ("buying_power", a_proposal(), book_with(options_buying_power=cash(400))),
        (
            "buying_power",
            a_proposal(),
            a_book(
                orders=[an_open_order(a_put(), strategy=None, max_loss="600", state=OrderState.UNKNOWN)],
                account=an_account(options_buying_power=cash(1_000)),
            ),
        ),
        ("fits_budget", a_proposal(limit="-10.00"), a_book()),
        ("open_count", a_proposal(), holding(*NAMES[4:8])),
        ("sector_count", a_proposal(a_call_of("NVDA")), holding(*NAMES[:2])),
        ("new_this_session", a_proposal(), holding("V", "LIN", opened=SESSION)),
        ("new_this_session", a_proposal(), holding("V", opened=SESSION, orders=["LIN"])),
        ("strategy_risk", a_proposal(), a_book(a_position(a_call_of("V"), quantity=6, opened=YESTERDAY))),
        ("underlying_risk", a_proposal(), a_book(a_position(a_call("120"), quantity=11, strategy="wheel"))),
        ("sector_risk", a_proposal(), a_book(a_position(VERTICAL, quantity=75, strategy="wheel"))),
        ("premium_at_risk", a_proposal(), a_book(*ELSEWHERE)),
    ],
)  # fmt: skip
def test_each_rule_refuses_alone(reviewed, rule, proposal, book):
    limits = RiskLimits(underlying_max_loss=1) if rule == "sector_risk" else RiskLimits()

    approved, [refusal] = reviewed([proposal], book, limits=limits)

    assert approved == ()
    assert (refusal.stage, refusal.rule) == ("review", rule)
    assert refusal.value
    assert refusal.bound


def test_all_defined_risk_together_is_capped(reviewed):
    spreads = [
        a_position(
            Structure((StructureLeg(a_call_of(n), 1), StructureLeg(a_call("110", underlying=n), -1))),
            quantity=16,
            strategy="wheel",
            entry="-3.00",
        )
        for n in ("V", "LIN", "COST", "TSLA")
    ]

    _, [refusal] = reviewed([a_proposal()], a_book(*spreads))

    assert refusal.rule == "total_risk"
    assert refusal.value == "$19,200.00 + $800.20"


def test_shares_and_secured_puts_are_paid_for_and_do_not_count_as_risk(reviewed):
    shares = a_position(single(Share(Underlying("AAPL"))), quantity=500, strategy="wheel", entry="-100")
    put = a_position(single(a_put(), -1), quantity=5, strategy="wheel", entry="2")

    approved, refused = reviewed([a_proposal()], a_book(shares, put))

    assert refused == ()
    assert len(approved) == 1


def test_a_position_without_a_bounded_loss_makes_the_total_unknown(reviewed):
    naked = a_position(single(a_call_of("V"), -1), strategy="manual", entry="4")

    _, [refusal] = reviewed([a_proposal()], a_book(naked))

    assert refusal.rule == "total_risk"
    assert "has no bounded loss" in refusal.value


def test_names_without_a_sector_count_together(reviewed):
    _, [refusal] = reviewed([a_proposal(a_call_of("XXX"))], holding("ZZZ", "YYY"))

    assert (refusal.rule, refusal.value) == ("sector_count", "2 in unknown")


def test_what_the_batch_has_approved_counts_for_the_rest_of_it(reviewed):
    wishes = [a_proposal(a_call_of(name)) for name in ("AAPL", "AAPL", "V", "LIN")]

    approved, refused = reviewed(wishes, a_book())

    assert [a.order.key.underlying for a in approved] == ["AAPL", "V"]
    assert [(r.underlying, r.rule) for r in refused] == [
        ("AAPL", "one_per_underlying"),
        ("LIN", "new_this_session"),
    ]


def test_buying_power_is_spent_once_in_a_batch(reviewed):
    wishes = [a_proposal(a_call_of(name)) for name in ("AAPL", "V")]
    book = a_book(account=an_account(options_buying_power=cash(1_000)))

    [first], [refusal] = reviewed(wishes, book)

    assert first.order.key.underlying == "AAPL"
    assert (refusal.underlying, refusal.rule, refusal.value) == ("V", "buying_power", "$199.80")


def test_a_refusal_for_size_suggests_what_would_have_passed(reviewed):
    # 2,400 of the strategy's 3,000 are taken: two contracts do not fit and one does.
    book = a_book(a_position(a_call_of("V"), quantity=6, opened=YESTERDAY))

    approved, [refusal] = reviewed([a_proposal()], book)

    assert approved == ()
    assert (refusal.rule, refusal.detail) == ("strategy_risk", "suggested quantity 1")


def test_a_size_that_is_too_large_is_caught_again_by_the_rules(reviewed, monkeypatch):
    three = Sizing(3, cash(1_000), cash("400.10"))
    monkeypatch.setattr(import_module("wsb_core.risk.review"), "size", lambda *given: three)

    approved, [refusal] = reviewed([a_proposal()], a_book())

    assert approved == ()
    assert (refusal.rule, refusal.value) == ("trade_loss", "$1,200.30")
    assert refusal.detail == "suggested quantity 2"


def test_a_drawdown_shrinks_the_size(reviewed):
    # 94,000 is 6 % below the peak: 1 % of it, three quarters, is 705, and that is one contract.
    [approved], _ = reviewed([a_proposal()], a_book(equity="94000", peak_equity=cash(100_000)))

    assert approved.order.quantity == 1


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_rule_that_cannot_be_evaluated_refuses(reviewed, monkeypatch, check):
    def broken(ctx):
        raise KeyError("a figure is missing")

    broken.__name__ = check.__name__
    checks = tuple(broken if c is check else c for c in CHECKS)
    monkeypatch.setattr(import_module("wsb_core.risk.review"), "CHECKS", checks)

    approved, [refusal] = reviewed([a_proposal()], a_book())

    assert approved == ()
    assert refusal.rule == check.__name__
    assert "KeyError" in refusal.value


def test_a_proposal_that_cannot_be_sized_is_refused_and_does_not_stop_the_next(reviewed):
    broken = replace(a_proposal(), limit=Decimal("NaN"))

    approved, [refusal] = reviewed([broken, a_proposal(a_call_of("V"))], a_book())

    assert refusal.rule == "sizing"
    assert [a.order.key.underlying for a in approved] == ["V"]


WORST = an_account(equity="1", blocked=True, options_level=None, options_buying_power=None)


def test_an_exit_passes_where_no_entry_would(reviewed):
    book = a_book(a_position(), account=WORST, equity_at_open=None, peak_equity=None)
    exit_ = replace(a_proposal(effect=Effect.CLOSE, limit="1.80", quantity=2), urgent=True)

    [approved], refused = reviewed([exit_], book)

    assert refused == ()
    assert approved.order.quantity == 2
    assert approved.order.may_cross
    assert approved.review.max_loss == 0
    assert [r.rule for r in approved.review.rulings] == [check.__name__ for check in CLOSE_CHECKS]


def test_an_exit_without_a_quantity_closes_all_that_is_left(reviewed):
    [approved], _ = reviewed([a_proposal(effect=Effect.CLOSE, limit="4")], a_book(a_position(quantity=3)))

    assert approved.order.quantity == 3
    assert not approved.order.may_cross


@pytest.mark.parametrize(
    ("quantity", "book", "suggested"),
    [
        (3, a_book(a_position(quantity=2)), "suggested quantity 2"),
        (2, a_book(a_position(quantity=2), orders=[an_open_order(opening=False)]), "suggested quantity 1"),
        (1, a_book(), ""),
        (None, a_book(), ""),
        (1, a_book(a_position(strategy="wheel")), ""),
        (1, a_book(a_position(a_call("110"))), ""),
    ],
    ids=["too many", "being closed", "nothing held", "all of nothing", "another's", "another contract"],
)
def test_an_exit_can_only_reduce(reviewed, quantity, book, suggested):
    approved, [refusal] = reviewed([a_proposal(effect=Effect.CLOSE, limit="4", quantity=quantity)], book)

    assert approved == ()
    assert (refusal.rule, refusal.detail) == ("only_what_is_held", suggested)


def test_two_exits_in_a_batch_do_not_close_the_same_contract_twice(reviewed):
    exit_ = a_proposal(effect=Effect.CLOSE, limit="4", quantity=2)

    approved, [refusal] = reviewed([exit_, exit_], a_book(a_position(quantity=3)))

    assert [a.order.quantity for a in approved] == [2]
    assert refusal.detail == "suggested quantity 1"


def test_an_exit_needs_a_price(reviewed):
    unpriced = replace(a_proposal(effect=Effect.CLOSE), limit=Decimal("NaN"))

    approved, [refusal] = reviewed([unpriced], a_book(a_position()))

    assert approved == ()
    assert refusal.rule == "priced"


positions = st.builds(
    lambda name, quantity, entry, own, today: a_position(
        a_call_of(name),
        quantity=quantity,
        entry=f"-{entry}",
        strategy=DIP_BOT if own else "wheel",
        opened=SESSION if today else YESTERDAY,
    ),
    st.sampled_from(NAMES),
    st.integers(1, 20),
    st.decimals("0.05", "9", places=2),
    st.booleans(),
    st.booleans(),
)
orders = st.builds(
    lambda name, loss: an_open_order(a_call("130", underlying=name), max_loss=str(loss)),
    st.sampled_from(NAMES),
    st.integers(0, 3_000),
)
proposals = st.builds(
    lambda name, debit: a_proposal(a_call_of(name), limit=f"-{debit}"),
    st.sampled_from(NAMES),
    st.decimals("0.05", "12", places=2),
)


@settings(max_examples=60, deadline=None)
@given(
    held=st.lists(positions, max_size=4),
    working=st.lists(orders, max_size=2),
    wishes=st.lists(proposals, min_size=1, max_size=5),
    equity=st.integers(10_000, 1_000_000),
    power=st.integers(0, 1_000_000),
)
def test_approved_orders_leave_every_limit_whole(reviewed, held, working, wishes, equity, power):
    account = an_account(str(equity), options_buying_power=cash(power))
    book = a_book(*held, orders=working, account=account)

    approved, refused = reviewed(wishes, book)

    new = sum(a.review.max_loss for a in approved)
    before = sum(p.structure.max_loss(p.entry) * p.quantity for p in held)
    mine = sum(p.structure.max_loss(p.entry) * p.quantity for p in held if p.strategy == DIP_BOT)
    flying = sum(o.max_loss for o in working)
    assert len(approved) + len(refused) == len(wishes)
    assert all(a.review.max_loss <= Decimal(equity) / 100 for a in approved)
    assert new <= max(0, power - flying)
    assert new == 0 or before + flying + new <= Decimal(equity) / 10
    assert new == 0 or mine + flying + new <= Decimal(equity) * 3 / 100
    assert len(approved) <= STRATEGY.max_new_per_session
    assert all(a.order.quantity >= 1 for a in approved)

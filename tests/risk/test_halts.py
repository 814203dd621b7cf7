"""When the desk stops by itself, and what is only noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from wsb_core.domain.halts import HaltKind
from wsb_core.domain.ids import StrategyName, cash
from wsb_core.risk.halts import (
    RULES,
    Gauge,
    Reading,
    Tally,
    Vitals,
    confirmed,
    measure,
    over,
)
from wsb_core.risk.limits import RiskLimits

AT = datetime(2026, 1, 14, 17, 0, tzinfo=UTC)
DAY = date(2026, 1, 14)
LIMITS = RiskLimits()
DIP = StrategyName("wsb_dip_bot")
QUIET = Gauge(20, Decimal("0.01"), Decimal("0.01"), Decimal(500), Decimal(1000), Decimal("0.5"))
CALM = Vitals(
    at=AT,
    equity=cash("100000"),
    equity_at_open=cash("100000"),
    peak_equity=cash("100000"),
    paid_in=cash("0"),
    exposed=True,
    books_agree=True,
    market=QUIET,
)


@dataclass(frozen=True)
class Look:
    at: datetime
    readings: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class AHalt:
    by: str
    at: datetime
    hard: bool = False
    scope: str = "*"


def past(vitals: Vitals) -> set[str]:
    return {reading.rule for reading in measure(vitals, LIMITS) if reading.past}


def reading_of(rule: str, vitals: Vitals) -> Reading:
    [found] = [reading for reading in measure(vitals, LIMITS) if reading.rule == rule]
    return found


def looks(*each: tuple[int, Vitals]) -> list[Look]:
    """Looks so many minutes before ``AT``."""
    return [
        Look(AT - timedelta(minutes=minutes), tuple(r.row() for r in measure(vitals, LIMITS)))
        for minutes, vitals in each
    ]


def halted(now: Vitals, *earlier: tuple[int, Vitals]) -> set[str]:
    return {reading.rule for reading in confirmed(measure(now, LIMITS), looks(*earlier), AT)}


SOFT = replace(CALM, equity=cash("97000"))
HARD = replace(CALM, equity=cash("95000"))


def test_a_calm_day_is_past_no_bound_and_everything_is_measured():
    readings = measure(replace(CALM, orders={DIP: Tally(10, 0)}), LIMITS)

    assert [reading.rule for reading in readings if reading.past or reading.value is None] == []
    assert {reading.rule for reading in readings} >= {"daily_loss_soft", "order_errors"}
    assert len(RULES) == 5


@pytest.mark.parametrize(
    ("equity", "rules"),
    [
        ("97000.01", set()),
        ("97000", {"daily_loss_soft"}),
        ("95000.01", {"daily_loss_soft"}),
        ("95000", {"daily_loss_soft", "daily_loss_hard", "drawdown_reduced"}),
        ("90000", {"daily_loss_soft", "daily_loss_hard", "drawdown_reduced", "drawdown_halved"}),
    ],
)
def test_the_loss_of_a_day_has_a_soft_and_a_hard_bound(equity: str, rules: set[str]):
    assert past(replace(CALM, equity=cash(equity))) == rules


def test_the_last_step_of_the_drawdown_ladder_stops_whatever_today_did():
    fallen = replace(CALM, peak_equity=cash("117648"))

    assert past(fallen) == {"drawdown_reduced", "drawdown_halved", "drawdown_stop"}
    assert reading_of("drawdown_stop", fallen).hard
    assert reading_of("drawdown_halved", fallen).kind is None


def test_what_each_loss_asks_for():
    soft, hard = reading_of("daily_loss_soft", HARD), reading_of("daily_loss_hard", HARD)

    assert (soft.kind, soft.hard) == (HaltKind.REDUCE_ONLY, False)
    assert (hard.kind, hard.hard) == (HaltKind.PAUSE, True)


def test_past_the_hard_bound_everything_is_closed_where_that_is_wanted_and_the_books_agree():
    wanted = replace(HARD, hard_loss=HaltKind.FLATTEN)

    assert reading_of("daily_loss_hard", wanted).kind is HaltKind.FLATTEN
    assert reading_of("daily_loss_hard", replace(wanted, books_agree=False)).kind is HaltKind.PAUSE


def test_money_taken_out_of_the_account_is_no_loss_and_money_paid_in_hides_none():
    assert (
        past(replace(CALM, equity=cash("90000"), paid_in=cash("-10000"), peak_equity=cash("90000"))) == set()
    )
    assert "daily_loss_hard" in past(replace(CALM, equity=cash("104500"), paid_in=cash("10000")))


def test_fm_19_an_account_that_holds_and_traded_nothing_is_not_halted_by_its_figures():
    assert "daily_loss_hard" not in past(replace(HARD, exposed=False, peak_equity=cash("95000")))


def test_fm_19_one_bad_look_is_noise_and_two_in_a_row_are_not():
    assert halted(HARD, (10, CALM), (5, CALM)) == set()
    assert halted(CALM, (10, CALM), (5, HARD)) == set()
    assert halted(HARD, (10, CALM), (5, HARD)) == {"daily_loss_soft", "daily_loss_hard", "drawdown_reduced"}


def test_fm_19_nothing_halts_before_the_session_has_been_looked_at_three_times():
    assert halted(HARD, (5, HARD)) == set()
    assert halted(HARD, (10, HARD), (5, HARD)) != set()


@pytest.mark.parametrize(("seconds", "counts"), [(29, False), (30, True), (1200, True), (1201, False)])
def test_the_second_look_is_neither_the_same_moment_nor_another_hour(seconds: int, counts: bool):
    earlier = [
        Look(AT - timedelta(seconds=gap), tuple(r.row() for r in measure(HARD, LIMITS)))
        for gap in (4000, 3000, seconds)
    ]

    assert bool(confirmed(measure(HARD, LIMITS), earlier, AT)) is counts


def test_a_look_a_moment_ago_does_not_hide_the_one_before_it():
    earlier = [*looks((10, CALM), (5, HARD)), Look(AT - timedelta(seconds=2), ())]

    assert confirmed(measure(HARD, LIMITS), earlier, AT) != ()


def test_a_hard_loss_after_a_soft_one_is_confirmed_as_a_soft_one_first():
    assert halted(HARD, (10, CALM), (5, SOFT)) == {"daily_loss_soft"}


@pytest.mark.parametrize("vitals", [replace(HARD, equity_at_open=None), replace(HARD, peak_equity=None)])
def test_what_is_not_known_is_said_and_halts_nothing(vitals: Vitals):
    unknown = [reading for reading in measure(vitals, LIMITS) if reading.value is None]

    assert unknown != []
    assert not any(reading.past for reading in unknown)
    assert all("not measured" in reading.text for reading in unknown)


def gauge(**changes: object) -> Vitals:
    return replace(CALM, market=replace(QUIET, **changes))


def test_three_usual_ranges_are_a_spike():
    assert past(gauge(reach=Decimal("0.0299"))) == set()
    assert past(gauge(reach=Decimal("0.03"))) == {"volatility_spike"}


def test_a_small_day_after_very_calm_ones_is_no_spike():
    assert past(gauge(reach=Decimal("0.0199"), usual_reach=Decimal("0.002"))) == set()


def test_volume_is_held_against_what_is_usual_by_this_time_of_day():
    assert past(gauge(volume=Decimal(1499))) == set()
    assert past(gauge(volume=Decimal(1500))) == {"unusual_volume"}
    assert past(gauge(volume=Decimal(1500), volume_due=Decimal(1))) == set()


def test_the_first_minutes_and_a_short_history_say_nothing_of_the_market():
    early = reading_of("unusual_volume", gauge(volume=Decimal(9000), volume_due=Decimal("0.14")))
    young = measure(gauge(days=19, reach=Decimal("0.5"), volume=Decimal(9000)), LIMITS)

    assert early.value is None
    assert [r.rule for r in young if r.value is None] == ["volatility_spike", "unusual_volume"]


def test_a_market_that_cannot_be_read_is_said_with_its_reason():
    lost = replace(CALM, market=None, market_unknown="SPY: no bars of it")

    assert reading_of("volatility_spike", lost).text == "volatility_spike: not measured: SPY: no bars of it"


@pytest.mark.parametrize(
    ("sent", "bad", "stops"), [(4, 4, False), (5, 2, False), (5, 3, True), (60, 3, True), (61, 3, False)]
)
def test_orders_that_go_wrong_stop_their_strategy_once_there_are_enough_of_them(sent, bad, stops):
    found = reading_of("order_errors", replace(CALM, orders={DIP: Tally(sent, bad)}))

    assert (found.scope, found.kind, found.past) == (DIP, HaltKind.PAUSE, stops)


YESTERDAY = AT - timedelta(days=1)


@pytest.mark.parametrize(
    ("halt", "lifted"),
    [
        (AHalt("risk.daily_loss_soft", YESTERDAY), True),
        (AHalt("risk.order_errors", YESTERDAY, scope=DIP), True),
        (AHalt("risk.daily_loss_soft", AT - timedelta(hours=1)), False),
        (AHalt("risk.daily_loss_hard", YESTERDAY, hard=True), False),
        (AHalt("ann", YESTERDAY), False),
        (AHalt("reconcile", YESTERDAY, hard=True), False),
    ],
)
def test_soft_halts_of_these_rules_end_in_a_later_session_and_no_others(halt: AHalt, lifted: bool):
    assert bool(over([halt], measure(CALM, LIMITS), DAY)) is lifted


def test_a_soft_halt_stays_while_its_rule_is_past_or_cannot_be_measured():
    halt = AHalt("risk.volatility_spike", YESTERDAY)

    assert over([halt], measure(gauge(reach=Decimal("0.05")), LIMITS), DAY) == ()
    assert over([halt], measure(replace(CALM, market=None), LIMITS), DAY) == ()

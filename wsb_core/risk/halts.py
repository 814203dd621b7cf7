"""When the desk stops by itself: each rule measures one thing and says where its bound is.

A rule that is past its bound once has seen noise. It halts when two looks in a row are past it, and
never before the session has been looked at ``WARM_UP`` times. What cannot be measured is said, and
halts nothing: the risk rules of an entry refuse on it already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import Cash, StrategyName

from .limits import RiskLimits

BY = "risk."
"""What the setter of an automatic halt begins with; the rule's name follows."""
WARM_UP = 3
"""Looks a session has had, this one included, before any rule may halt: the open is noise."""
SECOND_LOOK = (timedelta(seconds=30), timedelta(minutes=20))
"""How much older the look before has to be, and may be, to count as the one before."""
USUAL_DAYS = 20
"""Completed sessions that say what a usual day of the market is."""
LEAST_RANGE = Decimal("0.02")
"""A day's range below this share of the price is no spike, however calm the days before were."""
LEAST_VOLUME_DONE = Decimal("0.15")
"""Share of a usual day's volume that has to be due before the volume so far says anything."""
FEWEST_ORDERS, FEWEST_ERRORS = 5, 3
"""Fewer orders, or fewer bad ones, are no rate."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """The market's day so far against its usual day; ``days`` completed sessions stand behind it.

    ``reach`` is the true range as a share of the last close, ``usual_reach`` its mean over those
    sessions; volumes are shares, ``volume_due`` the usual share of a day's that is done by now.
    """

    days: int
    reach: Decimal
    usual_reach: Decimal
    volume: Decimal
    usual_volume: Decimal
    volume_due: Decimal


@dataclass(frozen=True, slots=True)
class Tally:
    """Orders of one strategy sent this session, and those refused or without an answer."""

    sent: int
    bad: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the rules look at, as of ``at``. A figure that is not known is None.

    ``paid_in`` is the day's net deposits; ``exposed`` whether anything is held, working or was traded
    today; ``books_agree`` whether the last reconciliation was clean.
    """

    at: datetime
    equity: Cash
    equity_at_open: Cash | None
    peak_equity: Cash | None
    paid_in: Cash
    exposed: bool
    books_agree: bool
    hard_loss: HaltKind = HaltKind.PAUSE
    market: Gauge | None = None
    market_unknown: str = "not asked"
    orders: Mapping[StrategyName, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one rule measured. ``kind`` None only warns; ``value`` None was not measured, and why."""

    rule: str
    scope: str
    value: Decimal | None
    bound: Decimal
    kind: HaltKind | None
    hard: bool = False
    detail: str = ""

    @property
    def past(self) -> bool:
        return self.value is not None and self.value >= self.bound

    @property
    def by(self) -> str:
        return BY + self.rule

    @property
    def text(self) -> str:
        if self.value is None:
            return f"{self.rule}: not measured: {self.detail}"
        return f"{self.rule}: {self.value:.4f} (bound {self.bound:.4f}) {self.detail}".strip()

    def row(self) -> dict[str, str]:
        """As it is kept: plain text by name."""
        value = "" if self.value is None else f"{self.value:.6f}"
        return {
            "rule": self.rule,
            "scope": self.scope,
            "value": value,
            "bound": str(self.bound),
            "past": "yes" if self.past else "no",
            "detail": self.detail,
        }


class Seen(Protocol):
    """An earlier look as it was kept."""

    @property
    def at(self) -> datetime: ...

    @property
    def readings(self) -> tuple[Mapping[str, str], ...]: ...


class HaltView(Protocol):
    """A halt in force."""

    @property
    def scope(self) -> str: ...

    @property
    def by(self) -> str: ...

    @property
    def at(self) -> datetime: ...

    @property
    def hard(self) -> bool: ...


Rule = Callable[[Vitals, RiskLimits], Iterable[Reading]]


def measure(vitals: Vitals, limits: RiskLimits) -> tuple[Reading, ...]:
    """One look: the reading of every rule."""
    return tuple(reading for rule in RULES for reading in rule(vitals, limits))


def confirmed(readings: Sequence[Reading], earlier: Sequence[Seen], at: datetime) -> tuple[Reading, ...]:
    """The readings past their bound in this look and in the one before, once the session is warm.

    ``earlier`` are the looks of the same session, oldest first.
    """
    youngest, oldest = SECOND_LOOK
    before = [look for look in earlier if youngest <= at - look.at]
    if len(before) + 1 < WARM_UP or at - before[-1].at > oldest:
        return ()
    past = {(row["rule"], row["scope"]) for row in before[-1].readings if row["past"] == "yes"}
    return tuple(reading for reading in readings if reading.past and (reading.rule, reading.scope) in past)


def over(halts: Iterable[HaltView], readings: Sequence[Reading], session: date) -> tuple[HaltView, ...]:
    """Soft halts of these rules from an earlier session whose rule was measured now and is not past.

    Hard ones ask for a person, and those of today last the day.
    """
    calm = {(r.by, r.scope) for r in readings if r.value is not None and not r.past}
    quiet = {r.scope for r in readings if r.rule == _ORDER_ERRORS}
    return tuple(
        halt
        for halt in halts
        if halt.by.startswith(BY)
        and not halt.hard
        and halt.at.astimezone(NEW_YORK).date() < session
        and ((halt.by, halt.scope) in calm or (halt.by == BY + _ORDER_ERRORS and halt.scope not in quiet))
    )


# --- the rules ---

_ORDER_ERRORS = "order_errors"


def daily_loss(vitals: Vitals, limits: RiskLimits) -> Iterable[Reading]:
    """Loss since the open, money paid in or out set aside: soft stops entries, hard stops the desk.

    An account that holds and traded nothing has no loss, whatever its figures say. Past the hard limit
    nothing is flattened on books that do not agree.
    """
    opened = vitals.equity_at_open
    value, detail = None, ""
    if opened is None or opened + vitals.paid_in <= 0:
        detail = f"equity at the open is {opened}"
    elif not vitals.exposed:
        value, detail = Decimal(0), "nothing held, working or traded today"
    else:
        value = 1 - vitals.equity / (opened + vitals.paid_in)
        detail = f"equity {vitals.equity}, {opened} at the open, {vitals.paid_in} paid in"
    hard = vitals.hard_loss if vitals.books_agree else HaltKind.PAUSE
    yield Reading(
        "daily_loss_soft", EVERYTHING, value, limits.daily_loss_soft, HaltKind.REDUCE_ONLY, False, detail
    )
    yield Reading("daily_loss_hard", EVERYTHING, value, limits.daily_loss_hard, hard, True, detail)


def drawdown(vitals: Vitals, limits: RiskLimits) -> Iterable[Reading]:
    """Fall from the equity's peak: two steps make orders smaller, which sizing does; the last stops."""
    peak = vitals.peak_equity
    value = None if peak is None or peak <= 0 else 1 - vitals.equity / max(peak, vitals.equity)
    detail = f"equity {vitals.equity}, peak {peak}"
    yield Reading("drawdown_reduced", EVERYTHING, value, limits.drawdown_reduce, None, False, detail)
    yield Reading("drawdown_halved", EVERYTHING, value, limits.drawdown_halve, None, False, detail)
    yield Reading(
        "drawdown_stop", EVERYTHING, value, limits.drawdown_stop, HaltKind.REDUCE_ONLY, True, detail
    )


def volatility_spike(vitals: Vitals, limits: RiskLimits) -> Iterable[Reading]:
    """The market's range so far in usual ranges; a day that is small in itself is no spike."""
    gauge, value = vitals.market, None
    if gauge is None or gauge.days < USUAL_DAYS or gauge.usual_reach <= 0:
        detail = vitals.market_unknown if gauge is None else f"{gauge.days} days of history"
    else:
        value = gauge.reach / gauge.usual_reach if gauge.reach >= LEAST_RANGE else Decimal(0)
        detail = f"range {gauge.reach:.2%}, usually {gauge.usual_reach:.2%}"
    yield Reading(
        "volatility_spike", EVERYTHING, value, limits.volatility_spike, HaltKind.PAUSE, False, detail
    )


def unusual_volume(vitals: Vitals, limits: RiskLimits) -> Iterable[Reading]:
    """The market's volume so far in usual volumes at this time of day."""
    gauge, value = vitals.market, None
    if gauge is None or gauge.days < USUAL_DAYS or gauge.usual_volume <= 0:
        detail = vitals.market_unknown if gauge is None else f"no volumes in {gauge.days} days of history"
    elif gauge.volume_due < LEAST_VOLUME_DONE:
        detail = f"only {gauge.volume_due:.0%} of a usual day's volume is due"
    else:
        value = gauge.volume / (gauge.usual_volume * gauge.volume_due)
        detail = f"{gauge.volume:.0f} shares, usually {gauge.usual_volume * gauge.volume_due:.0f} by now"
    yield Reading("unusual_volume", EVERYTHING, value, limits.unusual_volume, HaltKind.PAUSE, False, detail)


def order_errors(vitals: Vitals, limits: RiskLimits) -> Iterable[Reading]:
    """For each strategy that sent orders: how many were refused, or have no answer."""
    for strategy, tally in sorted(vitals.orders.items()):
        enough = tally.sent >= FEWEST_ORDERS and tally.bad >= FEWEST_ERRORS
        value = Decimal(tally.bad) / tally.sent if enough else Decimal(0)
        detail = f"{tally.bad} of {tally.sent} orders"
        yield Reading(_ORDER_ERRORS, strategy, value, limits.order_error_rate, HaltKind.PAUSE, False, detail)


RULES: tuple[Rule, ...] = (daily_loss, drawdown, volatility_spike, unusual_volume, order_errors)

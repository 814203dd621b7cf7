"""What a broker takes, and what its refusals mean: one table a broker, asked before anything is recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import gcd

from wsb_core.domain.calendar import NEW_YORK, Session, last_session_on_or_before, session_on
from wsb_core.domain.contracts import ExerciseStyle, OptionContract, Right, Settlement, Share
from wsb_core.domain.errors import InsufficientBuyingPower, OrderRejected
from wsb_core.domain.orders import Effect, Order, Refusal
from wsb_core.domain.structures import Structure

from .recovery import Trouble
from .ticks import grid_of

ORDER_TYPE = "limit"
TIME_IN_FORCE = "day"
"""The one type and the one time in force of every order this desk sends."""


_FAR = 14
"""Days to expiry from which the last session is not looked up: the calendar ends a year from now."""


class OrderClass(StrEnum):
    SHARES = "shares"
    OPTION = "one option"
    PACKAGE = "several options"
    SHARES_AND_OPTIONS = "shares and options together"


class Need(StrEnum):
    """What an opening structure asks of the account's options level."""

    SECURED = "covered calls and cash-secured puts"
    LONG = "long options"
    SPREAD = "spreads"


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """A refusal by the broker's ``code`` (None for any) and ``words``, which its text holds in any case."""

    code: int | None
    words: str
    means: Trouble


@dataclass(frozen=True, slots=True)
class BrokerRules:
    """One row of the capability matrix. The defaults are what every broker of US options takes."""

    name: str
    order_classes: frozenset[OrderClass] = frozenset(
        {OrderClass.SHARES, OrderClass.OPTION, OrderClass.PACKAGE}
    )
    order_types: frozenset[str] = frozenset({"limit"})
    times_in_force: frozenset[str] = frozenset({"day"})
    max_legs: int = 4
    fractional_shares: bool = False
    extended_hours: bool = False
    index_options: bool = False
    """Whether European contracts may be opened; they may always be closed."""
    adjusted_contracts: bool = False
    """Whether contracts with an odd deliverable may be opened; they may always be closed."""
    uncovered_legs: bool = False
    """Whether a package may sell a leg that no bought leg of it covers."""
    levels: Mapping[Need, int] = field(
        default_factory=lambda: {Need.SECURED: 1, Need.LONG: 2, Need.SPREAD: 3}
    )
    last_opening: timedelta = timedelta(minutes=30)
    """Before the close of the last session of a contract: from here on it is not opened any more."""
    client_order_id: str = r"[A-Za-z0-9_-]{1,48}"
    refusals: tuple[KnownRefusal, ...] = ()


CAUTIOUS = BrokerRules("any broker")


@dataclass(frozen=True, slots=True)
class Moment:
    """When the order would be sent, and the account's options level then (None when unknown)."""

    at: datetime
    options_level: int | None


@dataclass(frozen=True, slots=True)
class _Ask:
    order: Order
    rules: BrokerRules
    moment: Moment | None


def order_class(structure: Structure) -> OrderClass:
    """What the broker would call an order for ``structure``."""
    shares = any(isinstance(leg.instrument, Share) for leg in structure.legs)
    if shares and structure.contracts:
        return OrderClass.SHARES_AND_OPTIONS
    if shares:
        return OrderClass.SHARES
    return OrderClass.OPTION if len(structure.legs) == 1 else OrderClass.PACKAGE


def need_of(structure: Structure) -> Need | None:
    """What opening ``structure`` asks of the options level; None for plain shares."""
    kind = order_class(structure)
    if kind is OrderClass.SHARES:
        return None
    if kind is OrderClass.PACKAGE:
        return Need.SPREAD
    if kind is OrderClass.SHARES_AND_OPTIONS:
        return Need.SECURED
    return Need.LONG if structure.legs[0].ratio > 0 else Need.SECURED


def unsupported(order: Order, rules: BrokerRules, moment: Moment | None = None) -> Refusal | None:
    """The first thing about ``order`` that the broker does not take; None when it takes all of it.

    Without a ``moment`` only the order itself is looked at, and not the time and the account's level.
    """
    ask = _Ask(order, rules, moment)
    for name, rule in _ROWS.items():
        found = rule(ask)
        if found is not None:
            value, bound = found
            detail = f"{rules.name} does not take {value}: {bound}"
            return Refusal(order.structure.underlying, "gate", f"broker_{name}", value, bound, detail)
    return None


def refused(rules: BrokerRules, error: OrderRejected) -> Trouble:
    """What a refusal means, by the broker's code and words; ``REFUSED_UNLISTED`` when no row knows them."""
    text = error.text.lower()
    for known in rules.refusals:
        if known.code in (None, error.code) and known.words in text:
            return known.means
    if isinstance(error, InsufficientBuyingPower):
        return Trouble.BUYING_POWER
    return Trouble.REFUSED_UNLISTED


_Found = tuple[str, str] | None
"""The value that is not taken and what would be."""


def _order_class(ask: _Ask) -> _Found:
    kind = order_class(ask.order.structure)
    taken = ask.rules.order_classes
    return None if kind in taken else (str(kind), f"one order each of {', '.join(sorted(taken))}")


def _order_type(ask: _Ask) -> _Found:
    taken = ask.rules.order_types
    return None if ORDER_TYPE in taken else (ORDER_TYPE, f"{', '.join(sorted(taken))} orders")


def _time_in_force(ask: _Ask) -> _Found:
    taken = ask.rules.times_in_force
    return None if TIME_IN_FORCE in taken else (TIME_IN_FORCE, f"in force: {', '.join(sorted(taken))}")


def _client_order_id(ask: _Ask) -> _Found:
    name, pattern = ask.order.client_order_id, ask.rules.client_order_id
    return None if re.fullmatch(pattern, name) else (f"the id {name!r}", f"ids like {pattern}")


def _legs(ask: _Ask) -> _Found:
    legs, most = len(ask.order.legs), ask.rules.max_legs
    return None if legs <= most else (f"{legs} legs", f"at most {most}")


def _ratios(ask: _Ask) -> _Found:
    ratios = [leg.ratio for leg in ask.order.legs if isinstance(leg.instrument, OptionContract)]
    if not ratios or gcd(*ratios) == 1:
        return None
    return f"ratios {':'.join(map(str, ratios))}", "without a common divisor"


def _whole_quantity(ask: _Ask) -> _Found:
    quantity = ask.order.quantity
    whole = isinstance(quantity, int) and not isinstance(quantity, bool)
    if whole or (ask.rules.fractional_shares and not ask.order.structure.contracts):
        return None
    return f"a quantity of {quantity}", "whole contracts and shares"


def _opened(ask: _Ask) -> tuple[OptionContract, ...]:
    return ask.order.structure.contracts if ask.order.effect is Effect.OPEN else ()


def _adjusted(ask: _Ask) -> _Found:
    odd = [c.symbol.strip() for c in _opened(ask) if not c.standard]
    if not odd or ask.rules.adjusted_contracts:
        return None
    return f"opening {', '.join(odd)}", "adjusted contracts are only closed"


def _index(ask: _Ask) -> _Found:
    index = [c.symbol.strip() for c in _opened(ask) if c.style is ExerciseStyle.EUROPEAN]
    if not index or ask.rules.index_options:
        return None
    return f"opening {', '.join(index)}", "index options are only closed"


def _covered(ask: _Ask) -> _Found:
    """In a package every sold contract has a bought one of its right that expires no sooner."""
    legs = ask.order.structure.legs if ask.order.effect is Effect.OPEN and len(ask.order.legs) > 1 else ()
    pairs = [(leg.instrument, leg.ratio) for leg in legs if isinstance(leg.instrument, OptionContract)]
    if ask.rules.uncovered_legs or len(pairs) != len(legs):
        return None
    for right in Right:
        for expiry in {c.expiry for c, ratio in pairs if ratio < 0 and c.right is right}:
            net = sum(ratio for c, ratio in pairs if c.right is right and c.expiry >= expiry)
            if net < 0:
                return (
                    f"a sold {right.name.lower()} that nothing covers",
                    "every sold leg covered by a bought",
                )
    return None


def _sign(ask: _Ask) -> _Found:
    """One leg: bought at a debit, sold at a credit. The net of a package may have either sign."""
    if len(ask.order.legs) > 1:
        return None
    buys, limit = ask.order.legs[0].action.is_buy, ask.order.limit
    if (limit < 0) if buys else (limit > 0):
        return None
    return f"{ask.order.legs[0].action} at {limit}", "a debit (below 0)" if buys else "a credit (above 0)"


def _tick(ask: _Ask) -> _Found:
    limit, grid = ask.order.limit, grid_of(ask.order.structure)
    return None if grid.holds(limit) else (f"a limit of {limit}", f"multiples of {grid.tick(limit)}")


def _level(ask: _Ask) -> _Found:
    need = need_of(ask.order.structure)
    if ask.moment is None or need is None or ask.order.effect is Effect.CLOSE:
        return None
    level, needed = ask.moment.options_level, ask.rules.levels[need]
    if level is not None and level >= needed:
        return None
    return f"{need} at options level {'unknown' if level is None else level}", f"level {needed} or higher"


def _hours(ask: _Ask) -> _Found:
    if ask.moment is None or ask.rules.extended_hours:
        return None
    at = ask.moment.at.astimezone(NEW_YORK)
    session = _session(at.date())
    if session is not None and session.is_open(at):
        return None
    return f"an order at {at:%a %H:%M} New York", "orders in the regular session"


def _expiring(ask: _Ask) -> _Found:
    """Openings stop before the close of a contract's last session, closes at it."""
    if ask.moment is None:
        return None
    at, opening = ask.moment.at, ask.order.effect is Effect.OPEN
    for contract in ask.order.structure.contracts:
        if contract.dte(at.astimezone(NEW_YORK).date()) > _FAR:
            continue
        last = _last_session(contract)
        ends = last.closes - ask.rules.last_opening if opening else last.closes
        if at >= ends:
            what = "opening" if opening else "closing"
            return f"{what} {contract.symbol.strip()}", f"before {ends.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
    return None


@lru_cache(maxsize=64)
def _session(day: date) -> Session | None:
    return session_on(day)


@lru_cache(maxsize=4096)
def _last_session(contract: OptionContract) -> Session:
    """The last session it trades in: the one before the settlement's when that is on opening prices."""
    day = last_session_on_or_before(contract.expiry)
    if contract.settlement is Settlement.AM:
        day = last_session_on_or_before(day - timedelta(days=1))
    found = session_on(day)
    if found is None:
        raise ValueError(f"{contract.symbol}: {day} is no session")
    return found


_ROWS: Mapping[str, Callable[[_Ask], _Found]] = {
    "order_class": _order_class,
    "order_type": _order_type,
    "time_in_force": _time_in_force,
    "client_order_id": _client_order_id,
    "legs": _legs,
    "ratios": _ratios,
    "whole_quantity": _whole_quantity,
    "adjusted_contracts": _adjusted,
    "index_options": _index,
    "covered_legs": _covered,
    "sign": _sign,
    "tick": _tick,
    "options_level": _level,
    "regular_hours": _hours,
    "expiring": _expiring,
}
"""The columns of the matrix, in the order in which they refuse."""
ROWS = tuple(_ROWS)

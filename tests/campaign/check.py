"""What must hold once everything has recovered: the exchange's own records against the ledger's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from wsb_core.domain.contracts import Instrument
from wsb_core.domain.ids import AccountId
from wsb_core.domain.orders import BrokerOrder, Effect, IntentKey, Order, OrderState
from wsb_core.domain.ports import Broker
from wsb_core.ledger import Ledger
from wsb_core.reconcile.compare import Verdict

OWN = "wsb-"
"""How our client order ids begin. Other orders are of the broker's risk desk."""


@dataclass
class Found:
    """What is wrong, one line each; all empty is what the campaign is for."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    books_differ: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not any(self.lines.values())

    @property
    def lines(self) -> Mapping[str, list[str]]:
        """The findings by name, in the order in which they are reported."""
        return {
            "duplicates": self.duplicates,
            "lost": self.lost,
            "unexplained": self.unexplained,
            "books_differ": self.books_differ,
        }


@dataclass(frozen=True)
class Truth:
    """The account as the exchange has it, read by a client that nothing goes wrong for."""

    orders: tuple[BrokerOrder, ...]
    fills: Counter[tuple[str, Decimal, Decimal]]
    """Executions by symbol, signed quantity and price."""
    holdings: Mapping[Instrument, Decimal]
    cash: Decimal

    @classmethod
    def told_by(cls, broker: Broker, since: datetime) -> Truth:
        """All that ``broker`` says of the account since ``since``."""
        return cls(
            orders=broker.orders_since(since),
            fills=Counter((f.instrument.symbol, f.quantity, Decimal(f.price)) for f in broker.fills(since)),
            holdings={holding.instrument: holding.quantity for holding in broker.holdings()},
            cash=Decimal(broker.account().cash),
        )


def reckon(
    truth: Truth,
    ledger: Ledger,
    account: AccountId,
    meant: Mapping[str, Order],
    last: Verdict | None,
    asked: Mapping[IntentKey, int] = MappingProxyType({}),
) -> Found:
    """Everything that differs, now that nothing is on its way any more.

    ``meant`` are the orders that were handed to an adapter, by client order id; ``last`` is the
    newest reconciliation's verdict, None when none came to an end; ``asked`` the most units that an exit
    was for, where that is known: a rerun may be for more than the first, when more is held by then.
    """
    found = Found(duplicates=list(_duplicates(truth.orders, meant, asked)))
    found.lost += [*_orders(truth, ledger), *_fills_missing(truth, ledger, account)]
    if last is None:
        found.unexplained.append("no reconciliation came to an end")
    else:
        found.unexplained += [
            f"{b.kind} {b.key}: ledger {b.ours}, broker {b.theirs}" for b in last.unexplained
        ]
    found.books_differ += _books(truth, ledger, account)
    return found


# --- sent twice -------------------------------------------------------------------------------


def decision(key: IntentKey) -> IntentKey:
    """The decision that an attempt is of."""
    return replace(key, attempt=1)


def _duplicates(
    orders: Iterable[BrokerOrder], meant: Mapping[str, Order], asked: Mapping[IntentKey, int]
) -> Iterator[str]:
    """Orders at the exchange that one decision too many made."""
    decisions: dict[IntentKey, list[BrokerOrder]] = defaultdict(list)
    for row in sorted(orders, key=lambda row: row.submitted_at):
        order = meant.get(row.client_order_id)
        if order is not None:
            decisions[decision(order.key)].append(row)
    for key, rows in decisions.items():
        yield from _attempts(key, rows, meant, asked.get(key, 0))
    for key, rows in decisions.items():
        if key.action == "open":
            yield from _second_entries(key, rows, decisions, meant)


def _attempts(
    key: IntentKey, rows: list[BrokerOrder], meant: Mapping[str, Order], asked: int
) -> Iterator[str]:
    """Attempts of one decision follow each other, and together fill no more than was asked for."""
    number = {row.client_order_id: meant[row.client_order_id].key.attempt for row in rows}
    for earlier, later in ((a, b) for i, b in enumerate(rows) for a in rows[:i]):
        names = f"{later.client_order_id} was taken"
        if not earlier.state.terminal or earlier.updated_at > later.submitted_at:
            yield f"{names} while {earlier.client_order_id} of the same decision worked"
        elif number[later.client_order_id] < number[earlier.client_order_id]:
            yield f"{names} after {earlier.client_order_id} had followed it: it was given up by then"
        elif earlier.filled and key.action == "open":
            yield f"{names} after {earlier.client_order_id} of the same entry had filled"
    filled, wanted = sum(row.filled for row in rows), max(asked, *(row.quantity for row in rows))
    if filled > wanted:
        yield f"{key.strategy} {key.slot} {key.action}: {filled} filled of {wanted}"


def _second_entries(
    key: IntentKey,
    rows: list[BrokerOrder],
    decisions: Mapping[IntentKey, list[BrokerOrder]],
    meant: Mapping[str, Order],
) -> Iterator[str]:
    """A strategy enters a name once a day, unless what the other entry of the day held was closed."""
    for other, before in decisions.items():
        of_the_day = (other.strategy, other.session, other.underlying, other.action)
        if other == key or of_the_day != (key.strategy, key.session, key.underlying, "open"):
            continue
        for row in rows:
            earlier = [one for one in before if one.submitted_at <= row.submitted_at]
            working = any(not o.state.terminal or o.updated_at > row.submitted_at for o in earlier)
            held = sum(one.filled for one in earlier)
            if working or held > _closed(key, earlier, row.submitted_at, decisions, meant):
                yield f"{row.client_order_id} entered what {other.slot} had entered"


def _closed(
    key: IntentKey,
    entered: list[BrokerOrder],
    by: datetime,
    decisions: Mapping[IntentKey, list[BrokerOrder]],
    meant: Mapping[str, Order],
) -> int:
    """Units of what was entered that exits of the strategy had closed by then."""
    structures = {meant[row.client_order_id].structure.symbol for row in entered}
    return sum(
        row.filled
        for other, rows in decisions.items()
        if other.strategy == key.strategy and other.action != "open"
        for row in rows
        if row.submitted_at <= by
        and meant[row.client_order_id].effect is Effect.CLOSE
        and meant[row.client_order_id].structure.symbol in structures
    )


# --- lost -------------------------------------------------------------------------------------


def _orders(truth: Truth, ledger: Ledger) -> Iterator[str]:
    """Orders that the two sides do not have alike, in both directions."""
    intents = {str(one.client_order_id): one for one in ledger.intents()}
    there = {str(row.client_order_id): row for row in truth.orders}
    for name, row in there.items():
        one = intents.get(name)
        if one is None:
            if name.startswith(OWN):
                yield f"order {name} ({row.state}) has no intent"
        elif (one.state, one.filled) != (row.state, row.filled):
            yield f"order {name}: ledger {one.state} {one.filled}, exchange {row.state} {row.filled}"
    never_there = (OrderState.REJECTED, OrderState.ABANDONED)
    for name, one in intents.items():
        if name not in there and one.state not in never_there:
            yield f"intent {name} is {one.state} and the exchange has no such order"


def _fills_missing(truth: Truth, ledger: Ledger, account: AccountId) -> Iterator[str]:
    for (symbol, quantity, price), times in (truth.fills - _our_fills(ledger, account)).items():
        yield f"{times} x fill of {quantity} {symbol} at {price} is not in the ledger"


def _our_fills(ledger: Ledger, account: AccountId) -> Counter[tuple[str, Decimal, Decimal]]:
    return Counter((f.instrument.symbol, f.quantity, Decimal(f.price)) for f in ledger.fills(account))


# --- the books --------------------------------------------------------------------------------


def _books(truth: Truth, ledger: Ledger, account: AccountId) -> Iterator[str]:
    for (symbol, quantity, price), times in (_our_fills(ledger, account) - truth.fills).items():
        yield f"{times} x fill of {quantity} {symbol} at {price} never happened"
    book = ledger.derived(account)
    ours = {one.instrument: one.quantity for one in book.holdings}
    for instrument in sorted({*ours, *truth.holdings}, key=lambda i: i.symbol):
        here, there = ours.get(instrument), truth.holdings.get(instrument)
        if here != there:
            yield f"{instrument.symbol}: ledger {here}, exchange {there}"
    if book.cash != truth.cash:
        yield f"cash: ledger {book.cash}, exchange {truth.cash}"
    for problem in ledger.verify().problems:
        yield f"verify: {problem}"

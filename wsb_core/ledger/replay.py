"""The replay behind positions.py: units opened, closed, assigned, expired and split, in time order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_CEILING, Decimal
from functools import partial

from wsb_core.domain.activities import Activity, ActivityKind
from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Share
from wsb_core.domain.ids import AccountId, ClientOrderId, StrategyName, Underlying
from wsb_core.domain.orders import Effect, Fill
from wsb_core.domain.positions import Holding, Lot, Position
from wsb_core.domain.structures import Structure, single

from .held import ZERO, ClosedTrade, Held, name_of, per_share, ratios_of, symbol_of
from .packages import OrderTerms, Package, Packed, fill_cash
from .taxlots import TaxLots
from .types import exact

_FINE = Decimal("1e-10")
_REPLACING = frozenset({"NC", "OPCA", "MA", "REORG"})
"""The vendor's types of rows that take one instrument and may bring another: a new ticker, a merger."""
_OPENS = time(9, 30, tzinfo=NEW_YORK)
_LIFECYCLE = (ActivityKind.EXPIRY, ActivityKind.EXERCISE, ActivityKind.ASSIGNMENT)


@dataclass(slots=True)
class _Event:
    """``apply`` answers whether all of it is done, and is asked again until it is; then ``give_up``."""

    at: datetime
    rank: int
    key: str
    apply: Callable[[], bool]
    give_up: Callable[[], object] | None = None


class _Amount:
    """A quantity and the cash that goes with it, handed out in parts that add up exactly."""

    def __init__(self, quantity: Decimal, cash: Decimal) -> None:
        self.quantity, self.cash = quantity, cash

    def part(self, quantity: Decimal) -> Decimal:
        """The cash of ``quantity``, which is taken off."""
        whole = quantity == self.quantity
        cash = self.cash if whole else (self.cash * quantity / self.quantity).quantize(_FINE)
        self.quantity -= quantity
        self.cash -= cash
        return cash


@dataclass(slots=True, eq=False)
class _Due:
    """Shares that an exercise or assignment of ``held`` brings. Both legs of a spread may be due at once."""

    held: Held
    at: datetime
    group: str | None
    shares: Decimal


class Replay:
    """Holds the state while events are applied; ask ``positions`` and the rest after ``run``."""

    def __init__(self, fees: Mapping[ClientOrderId, Decimal], units: Mapping[ClientOrderId, int]) -> None:
        self.closed: list[ClosedTrade] = []
        self.problems: list[str] = []
        self._fees, self._units = fees, units
        self._held: dict[Underlying, list[Held]] = defaultdict(list)
        """In the order in which they were opened. What happens to one underlying touches no other."""
        self._due: list[_Due] = []
        self._opened: dict[tuple[StrategyName, str], int] = defaultdict(int)
        self._quantity: dict[str, Decimal] = defaultdict(Decimal)
        self._instruments: dict[str, Instrument] = {}
        self._tax = TaxLots()

    def run(self, packed: Packed, fills: Sequence[Fill], activities: Sequence[Activity]) -> None:
        """Apply everything, once."""
        waiting: list[_Event] = []
        events = [*self._fill_events(packed, fills), *self._activity_events(activities)]
        for event in sorted(events, key=lambda e: (e.at, e.rank, e.key)):
            waiting.append(event)
            while waiting:
                rest = [each for each in waiting if not each.apply()]
                if len(rest) == len(waiting):
                    break
                waiting = rest
        for event in waiting:
            if event.give_up is not None:
                event.give_up()
        for due in self._due:
            due.held.awaited = 0
            self._settle(due.held, due.at)

    # What there is to apply. A booking counts an instrument; the others move structures.

    def _fill_events(self, packed: Packed, fills: Sequence[Fill]) -> Iterator[_Event]:
        for fill in fills:
            row, strategy = fill.execution_id, packed.strategies[fill.execution_id]
            book = partial(self._book, row, fill.instrument, fill.quantity, fill.price, fill.at, strategy)
            yield _Event(fill.at, 1, row, book)
        for number, package in enumerate(packed.packages):
            key, order = f"{package.order.client_order_id} {number:06d}", package.order
            if order.effect is Effect.OPEN:
                yield _Event(package.at, 2, key, partial(self._open, package))
            else:
                rest = _Amount(Decimal(package.units), sum(package.legs.values(), ZERO))
                yield _Event(
                    package.at,
                    3,
                    key,
                    partial(self._close, package, rest),
                    partial(self._overclosed, order, rest),
                )
        for fill in packed.strays:
            take = partial(
                self._take_all, fill.instrument, _Amount(fill.quantity, fill_cash(fill)), fill.at, "manual"
            )
            yield _Event(fill.at, 4, fill.execution_id, take)

    def _activity_events(self, activities: Sequence[Activity]) -> Iterator[_Event]:
        together: dict[tuple[object, str], list[Activity]] = defaultdict(list)
        for row in activities:
            if row.instrument is None or not row.quantity:
                continue
            if row.kind is ActivityKind.SPLIT or row.raw_kind in _REPLACING:
                split = row.kind is ActivityKind.SPLIT
                group = row.instrument.underlying if split else row.group or row.raw_kind
                together[row.booked_on, group].append(row)
                continue
            price = row.price or ZERO
            rest, rule = _Amount(row.quantity, row.cash), row.kind.value
            book = partial(self._book, row.activity_id, row.instrument, row.quantity, price, row.at, None)
            yield _Event(row.at, 1, row.activity_id, book)
            leave = partial(self._take_all, row.instrument, rest, row.at, rule)
            if isinstance(row.instrument, OptionContract) and row.kind in _LIFECYCLE:
                yield _Event(row.at, 5, row.activity_id, partial(self._lifecycle, row, row.instrument, rest))
            elif row.kind is ActivityKind.OPTION_TRADE:
                yield _Event(row.at, 6, row.activity_id, partial(self._deliver, row, rest), leave)
            else:
                yield _Event(row.at, 4, row.activity_id, leave)
        for rows in together.values():
            first = min(rows, key=lambda row: (row.at, row.activity_id))
            yield _Event(_in_force(first), 0, first.activity_id, partial(self._replace, rows))

    def _book(
        self,
        row: str,
        instrument: Instrument,
        quantity: Decimal,
        price: Decimal,
        at: datetime,
        strategy: StrategyName | None,
    ) -> bool:
        symbol = symbol_of(instrument)
        self._instruments.setdefault(symbol, instrument)
        self._quantity[symbol] += quantity
        self._tax.change(row, instrument, quantity, price, at, strategy)
        return True

    # Whole units of our orders.

    def _open(self, package: Package) -> bool:
        structure, strategy = _named(package.order)
        order, fee = package.order, self._fee(package)
        self._hold(
            strategy, structure, package.units, package.legs, package.at, order.session, order.facts, fee
        )
        return True

    def _hold(
        self,
        strategy: StrategyName,
        structure: Structure,
        units: int,
        paid: Mapping[str, Decimal],
        at: datetime,
        session: date,
        facts: Mapping[str, str],
        fees: Decimal,
    ) -> None:
        size = {symbol: Decimal(ratio * units) for symbol, ratio in ratios_of(structure)}
        name = name_of(structure)
        key = (strategy, name)
        there = self._held[structure.underlying]
        if not any(h.key == name and h.strategy == strategy and not h.broken for h in there):
            self._opened[key] = 0
        self._opened[key] += units
        there.append(
            Held(
                strategy=strategy,
                structure=structure,
                units=units,
                opened_at=at,
                session=session,
                facts=facts,
                size=size,
                left=dict(size),
                paid=dict(paid),
                fees=fees,
                key=name,
            )
        )

    def _close(self, package: Package, rest: _Amount) -> bool:
        structure, strategy = _named(package.order)
        own = [h for h in self._held[structure.underlying] if h.strategy == strategy]
        name = name_of(structure)
        same = [h for h in own if h.key == name]
        # What an assignment or expiry left of another structure is closed as what it now is.
        remnants = [h for h in own if h.broken]
        for held in [h for h in same if not h.broken] + remnants:
            units = min(held.capacity(structure), int(rest.quantity))
            if not units:
                continue
            part = held if held.broken else self._part(held, units)
            for symbol, ratio in ratios_of(structure):
                part.left[symbol] -= ratio * units
            part.exit += rest.part(Decimal(units))
            part.fees += (self._fee(package) * units / package.units).quantize(_FINE)
            part.rule = package.order.reason
            self._settle(part, package.at)
        return not rest.quantity

    def _overclosed(self, order: OrderTerms, rest: _Amount) -> None:
        self.problems.append(
            f"order {order.client_order_id} closed {rest.quantity:f} units more than were open"
        )

    def _fee(self, package: Package) -> Decimal:
        order = package.order.client_order_id
        if order not in self._fees:
            return ZERO
        return (self._fees[order] * package.units / self._units[order]).quantize(_FINE)

    # One leg alone: expiry, exercise, assignment, a stranger's trade.

    def _take_all(self, instrument: Instrument, rest: _Amount, at: datetime, rule: str) -> bool:
        for part, _ in self._take(instrument.symbol, rest, at, rule, self._held[instrument.underlying]):
            self._settle(part, at)
        return True

    def _take(
        self, symbol: str, rest: _Amount, at: datetime, rule: str, among: Sequence[Held]
    ) -> list[tuple[Held, Decimal]]:
        """Take one leg from positions that hold its other side, those already broken first."""
        bearing = [h for h in among if h.left.get(symbol, ZERO) * rest.quantity < 0]
        taken: list[tuple[Held, Decimal]] = []
        for held in sorted(bearing, key=lambda h: not h.broken):
            if not rest.quantity:
                break
            part = held
            if not held.broken:
                ratio = abs(held.size[symbol]) / held.units
                units = int((abs(rest.quantity) / ratio).to_integral_value(ROUND_CEILING))
                part = self._part(held, min(units, held.units))
                part.broken = True
            amount = min(abs(part.left[symbol]), abs(rest.quantity)).copy_sign(rest.quantity)
            part.left[symbol] += amount
            part.exit += rest.part(amount)
            part.rule = rule
            taken.append((part, amount))
        return taken

    def _lifecycle(self, row: Activity, contract: OptionContract, rest: _Amount) -> bool:
        # Cash in the row itself, or a European index, is settled in cash: no shares will come.
        in_shares = (
            row.kind is not ActivityKind.EXPIRY
            and not row.cash
            and contract.style is not ExerciseStyle.EUROPEAN
        )
        direction = -1 if contract.right is Right.CALL else 1
        there = self._held[contract.underlying]
        for part, amount in self._take(contract.symbol, rest, row.at, row.kind.value, there):
            if in_shares:
                part.awaited += 1
                self._due.append(_Due(part, row.at, row.group, amount * direction * contract.multiplier))
            self._settle(part, row.at)
        return not rest.quantity

    def _deliver(self, row: Activity, rest: _Amount) -> bool:
        """The share leg of an exercise or assignment goes to the position whose option it was."""
        symbol = "" if row.instrument is None else row.instrument.symbol
        for same_group in (True, False):
            for due in list(self._due):
                fits = due.held.underlying == symbol and due.shares * rest.quantity > 0
                if not fits or (same_group and (due.group is None or due.group != row.group)):
                    continue
                amount = min(abs(due.shares), abs(rest.quantity)).copy_sign(rest.quantity)
                due.shares -= amount
                self._tax.belongs(row.activity_id, symbol, due.held.strategy)
                due.held.receive(Share(due.held.underlying), amount, rest.part(amount))
                if not due.shares:
                    self._due.remove(due)
                    due.held.awaited -= 1
                self._settle(due.held, row.at)
                if not rest.quantity:
                    return True
        return False

    def _settle(self, held: Held, at: datetime) -> None:
        """Close it when its legs are gone; delivered shares that are left become a position at the strike."""
        there = self._held[held.underlying]
        if not held.gone or held not in there:
            return
        there.remove(held)
        share = Share(held.underlying)
        quantity, cost = ZERO, ZERO
        if share.symbol not in held.legs:
            quantity, cost = held.give_up(share)
        self.closed.append(held.trade(at))
        if quantity:
            self._receive_shares(held, share, _Amount(quantity, cost), at)

    def _receive_shares(self, source: Held, share: Share, rest: _Amount, at: datetime) -> None:
        """Against the strategy's own shares first: a call that was assigned gives up what it was sold on."""
        there = self._held[share.underlying]
        own = [h for h in there if h.strategy == source.strategy and (h.is_shares or h.broken)]
        for part, _ in self._take(share.symbol, rest, at, source.rule, own):
            self._settle(part, at)
        if not rest.quantity:
            return
        units, ratio = int(abs(rest.quantity)), 1 if rest.quantity > 0 else -1
        day = at.astimezone(NEW_YORK).date()
        facts = {**source.facts, "delivered_by": source.structure.symbol}
        paid = {share.symbol: rest.cash}
        self._hold(source.strategy, single(share, ratio), units, paid, at, day, facts, ZERO)

    def _part(self, held: Held, units: int) -> Held:
        part = held.split(units)
        if part is not held:
            there = self._held[held.underlying]
            there.insert(there.index(held), part)
        return part

    # Splits, new tickers, mergers into other shares.

    def _replace(self, rows: Sequence[Activity]) -> bool:
        """Multiply what stays, and put what came in the place of what went."""
        changes: list[tuple[str, Instrument, Decimal]] = []
        gone: list[tuple[Activity, Instrument]] = []
        came: list[tuple[Activity, Instrument]] = []
        for row in rows:
            instrument = row.instrument
            if instrument is None:
                continue
            before = self._quantity[instrument.symbol]
            after = before + row.quantity
            if isinstance(instrument, Share) and before * after > 0:
                changes.append((instrument.symbol, instrument, after / before))
            else:
                (gone if before * row.quantity < 0 else came).append((row, instrument))
            self._instruments.setdefault(instrument.symbol, instrument)
            self._quantity[instrument.symbol] = after
        for (old, was), (new, now) in zip(sorted(gone, key=_place), sorted(came, key=_place), strict=False):
            changes.append((was.symbol, now, -new.quantity / old.quantity))
        unpaired = sorted(gone, key=_place)[len(came) :] + sorted(came, key=_place)[len(gone) :]
        for row, instrument in unpaired:
            self._unpaired(row, instrument)
        for symbol, instrument, factor in changes:
            self._tax.replace(symbol, instrument, factor)
        touched = {self._instruments[symbol].underlying for symbol, _, _ in changes}
        for held in [held for name in sorted(touched) for held in self._held[name]]:
            home = held.underlying
            held.replace_legs({symbol: (new, factor) for symbol, new, factor in changes})
            if held.underlying != home:
                self._held[home].remove(held)
                self._held[held.underlying].append(held)
        return True

    def _unpaired(self, row: Activity, instrument: Instrument) -> None:
        """It went for cash alone, or came from nothing: what was held of it is closed."""
        if row.kind is ActivityKind.SPLIT:
            self.problems.append(f"split {row.activity_id}: what went and what came do not pair up")
        price = row.price or ZERO
        self._tax.change(row.activity_id, instrument, row.quantity, price, row.at, None)
        self._take_all(instrument, _Amount(row.quantity, row.cash), row.at, row.raw_kind.lower())

    # What is there at the end.

    def _all(self) -> Iterator[Held]:
        return (held for there in self._held.values() for held in there)

    def positions(self, account: AccountId) -> tuple[Position, ...]:
        """By strategy and structure, in the order in which they were opened."""
        found: dict[tuple[StrategyName, str], list[tuple[Held, Structure, int, Decimal]]] = defaultdict(list)
        for held in self._all():
            for structure, units, cost in held.remains():
                name = held.key if structure is held.structure else structure.symbol
                found[held.strategy, name].append((held, structure, units, cost))
        positions = []
        for key, parts in found.items():
            first, structure = parts[0][0], parts[0][1]
            units = sum(count for _, _, count, _ in parts)
            cost = sum((cash for _, _, _, cash in parts), ZERO)
            whole = not any(held.broken for held, _, _, _ in parts)
            positions.append(
                Position(
                    account=account,
                    strategy=key[0],
                    structure=structure,
                    quantity=units,
                    entry=per_share(cost, structure, units),
                    opened_at=first.opened_at,
                    opened_session=first.session,
                    facts=first.facts,
                    opened_quantity=max(self._opened[key], units) if whole else None,
                )
            )
        names = {id(position): key for position, key in zip(positions, found, strict=True)}
        return tuple(sorted(positions, key=lambda p: (p.opened_at, *names[id(p)])))

    def holdings(self) -> tuple[Holding, ...]:
        """By instrument, in order of symbol, nothing that is zero."""
        return tuple(
            Holding(self._instruments[symbol], exact(quantity))
            for symbol, quantity in sorted(self._quantity.items())
            if quantity
        )

    def unassigned(self) -> tuple[Holding, ...]:
        """Holdings less what the positions account for."""
        rest = dict(self._quantity)
        for held in self._all():
            for symbol, quantity in held.left.items():
                rest[symbol] = rest.get(symbol, ZERO) - quantity
        return tuple(
            Holding(self._instruments[symbol], exact(quantity))
            for symbol, quantity in sorted(rest.items())
            if quantity
        )

    def lots(self) -> tuple[Lot, ...]:
        return self._tax.lots()


def _named(order: OrderTerms) -> tuple[Structure, StrategyName]:
    if order.structure is None or order.strategy is None:
        raise TypeError(f"{order.client_order_id}: only an order with a structure and a strategy is packed")
    return order.structure, order.strategy


def _in_force(row: Activity) -> datetime:
    """When a split or a new ticker begins: booked the next morning, it was there for the whole day before."""
    late = row.at.astimezone(NEW_YORK).date() > row.booked_on
    return datetime.combine(row.booked_on, _OPENS) if late else row.at


def _place(one: tuple[Activity, Instrument]) -> tuple[str, object, Decimal]:
    """Shares pair up with shares, contracts by right, expiry and rank of strike."""
    instrument = one[1]
    if isinstance(instrument, OptionContract):
        return instrument.right.value, instrument.expiry, instrument.strike
    return "", date.min, abs(one[0].quantity)

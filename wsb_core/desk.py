"""The ledger as a person reads it: rows for the terminal, the report and every other door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from wsb_core.analytics import format as fmt
from wsb_core.analytics.report import CheckRow, DecisionRow, Exit, OrderRow, Trade, check_rows
from wsb_core.analytics.tables import PositionRow
from wsb_core.domain.contracts import Instrument
from wsb_core.domain.ids import AccountId, Cash, ClientOrderId, StrategyName
from wsb_core.domain.orders import Effect
from wsb_core.domain.ports import MarketData
from wsb_core.domain.positions import AccountState, Position
from wsb_core.domain.quotes import FeedClass, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.ledger import ClosedTrade, Halt, Ledger, Outcome, Reconciliation, Run

_TRUST = tuple(FeedClass)


@dataclass(frozen=True, slots=True)
class Status:
    """The account at a glance. ``broker`` is None, and ``broker_error`` says why, when it was not read."""

    mode: str
    account: AccountId
    broker: AccountState | None
    broker_error: str
    cash: Cash | None
    positions: int
    working: int
    halts: tuple[Halt, ...]
    reconciliation: Reconciliation | None
    runs: tuple[Run, ...]


def status(
    ledger: Ledger,
    account: AccountId,
    mode: str,
    broker: AccountState | None,
    broker_error: str,
    last: int = 5,
) -> Status:
    """What the ledger knows of ``account``, and what the broker said if it could be asked."""
    known = ledger.opened_at(account) is not None
    return Status(
        mode=mode,
        account=account,
        broker=broker,
        broker_error=broker_error,
        cash=ledger.cash(account) if known else None,
        positions=len(ledger.positions(account)) if known else 0,
        working=len(ledger.open_orders(account)) if known else 0,
        halts=ledger.halts(),
        reconciliation=ledger.last_reconciliation(account) if known else None,
        runs=ledger.runs()[-last:],
    )


def status_lines(view: Status) -> tuple[str, ...]:
    """The status in words, a line each."""
    seen = view.broker
    if seen is None:
        broker = f"broker not read: {view.broker_error} (`wsb doctor` names the remedy)"
    else:
        power = fmt.money(seen.options_buying_power, why="not given")
        broker = f"equity {fmt.money(seen.equity)}, options buying power {power}"
    last = view.reconciliation
    books = "never reconciled"
    if last is not None:
        books = f"{'clean' if last.clean else 'UNEXPLAINED DIFFERENCES'} at {fmt.et_stamp(last.at)}"
    halts = "; ".join(f"{h.scope} {h.kind} by {h.by}: {h.reason}" for h in view.halts) or "none"
    return (
        f"{view.mode.upper()} account {view.account}",
        broker,
        f"cash by the ledger {fmt.money(view.cash, why='no such account in the ledger')}",
        f"{view.positions} positions, {view.working} orders that work or may work",
        f"halts: {halts}",
        f"reconciliation: {books}",
        *(f"run {r.flow} {r.session or ''} {r.slot or ''}: {r.state}, {r.reason}" for r in view.runs),
    )


def decision_rows(
    ledger: Ledger, session: date | None = None, strategy: StrategyName | None = None, *, held: bool = True
) -> tuple[DecisionRow, ...]:
    """Every recorded decision of a session (all sessions when None), oldest first."""
    return tuple(
        DecisionRow(
            session=row.session,
            strategy=row.strategy,
            underlying=row.underlying,
            outcome=str(row.outcome),
            stage=row.stage,
            rule=row.rule,
            value=row.value,
            bound=row.bound,
            detail=row.detail,
        )
        for row in ledger.decisions(session, strategy)
        if row.session is not None and row.strategy is not None and (held or row.outcome is not Outcome.HELD)
    )


def order_rows(
    ledger: Ledger, session: date | None = None, strategy: StrategyName | None = None
) -> tuple[OrderRow, ...]:
    """Every intent with what became of it, oldest first; the broker's own words where it refused."""
    return tuple(
        OrderRow(
            client_order_id=intent.client_order_id,
            strategy=intent.order.key.strategy,
            structure=intent.order.structure,
            effect=intent.order.effect,
            quantity=intent.order.quantity,
            limit=intent.order.limit,
            state=intent.state,
            filled=intent.filled,
            average=intent.average,
            recorded_at=intent.created_at,
            broker_text=_broker_text(ledger, intent.client_order_id) if intent.state == "rejected" else "",
        )
        for intent in ledger.intents(session, strategy)
    )


def _broker_text(ledger: Ledger, client_order_id: ClientOrderId) -> str:
    texts = [event.evidence.get("text", "") for event in ledger.order_events(client_order_id)]
    return next((text for text in reversed(texts) if text), "")


def check_failures(ledger: Ledger, sessions: Iterable[date] | None = None) -> tuple[CheckRow, ...]:
    """Failed expectations and quarantined tickers, by the session of the run that met them."""
    wanted = None if sessions is None else frozenset(sessions)
    runs = {run.run_id: run.session for run in ledger.runs()}
    rows: list[CheckRow] = []
    for record in ledger.checks():
        session = runs.get(record.run_id)
        if session is not None and (wanted is None or session in wanted):
            rows += check_rows(session, record.report)
    return tuple(rows)


def trades(ledger: Ledger, account: AccountId) -> tuple[Trade, ...]:
    """Closed trades, one for each opening with all its exits, then what is still open (unmarked)."""
    closed: dict[tuple[str, datetime], list[ClosedTrade]] = {}
    for trade in ledger.closed_trades(account):
        closed.setdefault((trade.structure.symbol, trade.opened_at), []).append(trade)
    reasons = {
        (i.order.structure.symbol, i.order.key.session): i.reason
        for i in ledger.intents()
        if i.order.effect is Effect.OPEN and i.filled
    }
    done = []
    for parts in closed.values():
        first = parts[0]
        session = first.opened_at.date()
        done.append(
            Trade(
                strategy=first.strategy,
                structure=first.structure,
                quantity=sum(part.quantity for part in parts),
                entry=first.entry,
                opened_at=first.opened_at,
                reason=reasons.get((first.structure.symbol, session), ""),
                profit=Cash(sum((part.pnl for part in parts), start=Cash(first.pnl * 0))),
                fees=_known_fees(parts),
                exits=tuple(Exit(p.closed_at, p.quantity, p.exit, p.exit_rule) for p in parts),
            )
        )
    return (*done, *(_still_open(p) for p in ledger.positions(account)))


def _known_fees(parts: Sequence[ClosedTrade]) -> Cash | None:
    """Fees that the broker's rows tie to the trade; None when none do."""
    fees = sum((part.fees for part in parts), start=Cash(parts[0].fees * 0))
    return Cash(fees) if fees else None


def _still_open(position: Position) -> Trade:
    return Trade(
        strategy=position.strategy,
        structure=position.structure,
        quantity=position.quantity,
        entry=position.entry,
        opened_at=position.opened_at,
        reason=position.facts.get("reason", ""),
        profit=None,
        facts=position.facts,
    )


def position_rows(
    ledger: Ledger, account: AccountId, quotes: dict[Instrument, Quote], now: datetime, why: str
) -> tuple[PositionRow, ...]:
    """Held structures marked at mid; ``why`` says what stands in for a quote that is not there."""
    rows = []
    for position in ledger.positions(account):
        found = [quotes.get(leg.instrument) for leg in position.structure.legs]
        mids = {q.instrument: q.mid for q in found if q is not None and q.mid is not None}
        if len(mids) < len(found):
            rows.append(PositionRow(position, None, None, None, None, why=why))
            continue
        mark = position.structure.net(mids)
        profit = Cash((mark + position.entry) * position.structure.multiplier * position.quantity)
        quoted = [q for q in found if q is not None]
        worst = max(quoted, key=lambda q: _TRUST.index(q.provenance.feed))
        age = max(q.provenance.age(now) for q in quoted)
        rows.append(PositionRow(position, mark, profit, worst.provenance.feed, age))
    return tuple(rows)


def read_quotes(data: MarketData, held: Sequence[Position], on: date) -> dict[Instrument, Quote]:
    """Quotes of every held instrument that has one.

    Raises: Transient or Terminal when the source could not be read whole.
    """
    quotes: dict[Instrument, Quote] = {}
    for underlying in sorted({position.underlying for position in held}):
        spot = data.quotes([underlying])[underlying]
        if isinstance(spot, Quote):
            quotes[spot.instrument] = spot
        contracts = [c for p in held if p.underlying == underlying for c in p.structure.contracts]
        if contracts:
            days = [contract.dte(on) for contract in contracts]
            for found in data.chain(underlying, ChainWindow(min(days), max(days)), on):
                quotes[found.contract] = found.quote
    return quotes

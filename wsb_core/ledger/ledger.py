"""The ledger as the rest of the system sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any

from wsb_core.domain.activities import Activity
from wsb_core.domain.checks import CheckReport
from wsb_core.domain.halts import HaltKind
from wsb_core.domain.ids import (
    AccountId,
    BrokerOrderId,
    Cash,
    ClientOrderId,
    Price,
    RunId,
    StrategyName,
)
from wsb_core.domain.orders import ApprovedOrder, BrokerOrder, Fill, IntentKey, OrderState
from wsb_core.domain.positions import Holding, Lot, OpenOrder, Position

from . import books, control, journal, migrate, observations, orders, outbox
from .books import Balance, Unbooked
from .chain import AuditEntry
from .held import ClosedTrade
from .positions import Derived
from .records import (
    Alert,
    CheckRecord,
    Decided,
    Halt,
    Intent,
    KnownOrder,
    Lease,
    MarkKind,
    OrderEvent,
    ProviderHealth,
    Reconciliation,
    Run,
    StoredLook,
    Verification,
)
from .store import Store
from .verify import adopt_rows, audit_entries, verify


def open_ledger(url: str) -> Ledger:
    """A ledger at an SQLAlchemy URL, ``sqlite:///file.db`` or ``postgresql://...``; creates nothing.

    Raises: LedgerError for another database, or SQLite in memory.
    """
    return Ledger(Store(url))


class Ledger:
    """What was decided, ordered, filled and booked.

    Every method that changes something is one transaction, appends to the audit chain in it, and may
    be repeated with the same arguments: the repetition changes nothing that counts. All raise
    LedgerUnavailable (Transient) when the database does not answer, and LedgerError when a fact
    contradicts a stored one. Instants are aware, and come back in UTC.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        store.memory["derived"] = books.DerivedCache()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back. The ledger opens new ones when it is used again."""
        self._store.engine.dispose()

    # Schema

    def init(self) -> None:
        """Create the tables, or migrate them to the newest revision; nothing to do is fine."""
        migrate.init(self._store)
        adopt_rows(self._store)

    def upgrade(self) -> None:
        """Migrate to the newest revision. Raises: LedgerError when there is no ledger yet."""
        migrate.upgrade(self._store)
        adopt_rows(self._store)

    def revision(self) -> tuple[str | None, str]:
        """The revision of the database, None when it holds no ledger, and the newest one."""
        return migrate.revision(self._store)

    def require_current(self) -> None:
        """LedgerError naming both revisions and the command to run, unless they are the same."""
        migrate.require_current(self._store)

    # Accounts, runs, checks, decisions

    def open_account(self, account: AccountId, mode: str, opening_cash: Cash, at: datetime) -> bool:
        """Begin the account's books at ``opening_cash``; False when they were begun before.

        Raises: LedgerError when the account is here in another mode.
        """
        with self._store.write(at) as tx:
            return books.open_account(tx, account, mode, opening_cash)

    def account_mode(self, account: AccountId) -> str | None:
        """practice, paper or live; None when the account never came to this ledger."""
        with self._store.read() as session:
            return books.account_mode(session, account)

    def opened_at(self, account: AccountId) -> datetime | None:
        """When the account came to this ledger; None when it never did."""
        with self._store.read() as session:
            return books.opened_at(session, account)

    def start_run(
        self,
        run_id: RunId,
        *,
        flow: str,
        strategy: StrategyName | None,
        session: date | None,
        slot: str | None,
        account: AccountId,
        config_hash: str,
        code_version: str,
        at: datetime,
    ) -> bool:
        """Record that a run began; False when it is known."""
        with self._store.write(at) as tx:
            return journal.start_run(
                tx, run_id, flow, strategy, session, slot, account, config_hash, code_version
            )

    def finish_run(self, run_id: RunId, state: str, reason: str, at: datetime) -> None:
        """Record how a run ended, in the orchestrator's words; a later word replaces it."""
        with self._store.write(at) as tx:
            journal.finish_run(tx, run_id, state, reason)

    def runs(self, session: date | None = None, flow: str | None = None) -> tuple[Run, ...]:
        """Runs, oldest first, of one trading day and one flow when given."""
        with self._store.read() as found:
            return journal.runs(found, session, flow)

    def record_check(self, run_id: RunId, report: CheckReport) -> bool:
        """Keep a data check's report whole; False when this run has it already."""
        with self._store.write(report.checked_at) as tx:
            return journal.record_check(tx, run_id, report)

    def checks(self, session: date | None = None) -> tuple[CheckRecord, ...]:
        """Reports in the order recorded, of the runs of one trading day when given."""
        with self._store.read() as found:
            return journal.checks(found, session)

    def record_decisions(
        self,
        run_id: RunId,
        *,
        session: date,
        strategy: StrategyName,
        slot: str,
        decisions: Sequence[Decided],
        at: datetime,
    ) -> int:
        """Keep what was decided on each candidate; how many were new to this run."""
        with self._store.write(at) as tx:
            return journal.record_decisions(tx, run_id, session, strategy, slot, decisions)

    def decisions(
        self, session: date | None = None, strategy: StrategyName | None = None
    ) -> tuple[Decided, ...]:
        """Decisions in the order recorded."""
        with self._store.read() as found:
            return journal.decisions(found, session, strategy)

    def record_inputs(self, run_id: RunId, inputs: Mapping[str, bytes], at: datetime) -> int:
        """Keep what a run decides on, by name; how many were new. What is the same is kept once for all."""
        with self._store.write(at) as tx:
            return journal.record_inputs(tx, run_id, inputs)

    def inputs(self, run_id: RunId) -> Mapping[str, bytes]:
        """What a run decided on; empty when it kept nothing. Raises: LedgerError when it was changed."""
        with self._store.read() as session:
            return journal.inputs(session, run_id)

    # Orders

    def record_intent(self, run_id: RunId, approved: ApprovedOrder, *, lease: Lease, at: datetime) -> Intent:
        """Record an order as ``sending``, before it is sent: ``created`` is True for the one caller that may.

        Gives back an intent with ``created`` False, and records nothing, when the key has one, or when
        another order of the strategy for the same structure and effect works or may be working.
        Raises: LeaseLost; NotArmed; Halted for an opening order under any halt, and for a closing one
        under a hold alone; ReduceOnlyViolation for a close of more units than are held and not being
        closed.
        """
        with self._store.write(at) as tx:
            return orders.record_intent(tx, run_id, approved, lease)

    def attempts(self, key: IntentKey) -> tuple[Intent, ...]:
        """Every recorded attempt of the decision ``key`` names, oldest first; its ``attempt`` is not read."""
        with self._store.read() as session:
            return orders.attempts(session, key)

    def mark_sending(self, client_order_id: ClientOrderId, *, lease: Lease, at: datetime) -> bool:
        """Commit that an order which the broker never had is sent again. True for the one caller that may.

        From ``unknown``, or from ``sending`` when the run that was sending it is gone. False, and nothing
        changed, when another run is sending it or it is past that. Checks lease, arming, halts, twins and
        quantity again.
        Raises: LeaseLost, NotArmed, Halted, DuplicateOrder, ReduceOnlyViolation.
        """
        with self._store.write(at) as tx:
            return orders.mark_sending(tx, client_order_id, lease)

    def move_order(
        self,
        client_order_id: ClientOrderId,
        state: OrderState,
        *,
        at: datetime,
        evidence: Mapping[str, str],
        broker_order_id: BrokerOrderId | None = None,
        filled: int | None = None,
        average: Price | None = None,
    ) -> bool:
        """Move an order by what the broker said; whether anything changed.

        The same again changes nothing. What comes after a terminal state, or counts fewer fills than
        are known, is kept as an ignored event and changes nothing. ``filled`` None with state
        ``filled`` means all of it. Raises: ValueError for an illegal move, LedgerError for an order
        that is not here or fills that cannot be.
        """
        with self._store.write(at) as tx:
            return orders.move_order(tx, client_order_id, state, evidence, broker_order_id, filled, average)

    def record_leg_ids(
        self, client_order_id: ClientOrderId, legs: Mapping[str, BrokerOrderId], at: datetime
    ) -> None:
        """Keep the broker's own ids of an order's legs, by symbol: their fills may come under these."""
        with self._store.write(at) as tx:
            orders.record_leg_ids(tx, client_order_id, legs)

    def adopt_order(
        self,
        broker_order: BrokerOrder,
        *,
        account: AccountId,
        strategy: StrategyName | None = None,
        at: datetime,
    ) -> bool:
        """Record an order found at the broker that has no intent here; False when it is known.

        Told again, a stranger's order goes where the broker says it is; ours are left to move_order.
        Without a strategy its fills change holdings and cash, close what they offset, and open no
        position.
        """
        with self._store.write(at) as tx:
            return orders.adopt_order(tx, broker_order, account, strategy)

    def intent(self, client_order_id: ClientOrderId) -> Intent:
        """One intent as it stands. Raises: LedgerError when there is none."""
        with self._store.read() as session:
            return orders.intent(session, client_order_id)

    def open_intents(self, account: AccountId) -> tuple[Intent, ...]:
        """Intents that work, or may be working; oldest first."""
        with self._store.read() as session:
            return orders.open_intents(session, account)

    def working(self, account: AccountId) -> frozenset[ClientOrderId]:
        """Orders that the broker was last known to have open, ours or not."""
        with self._store.read() as session:
            return orders.working(session, account)

    def open_orders(self, account: AccountId) -> tuple[OpenOrder, ...]:
        """What open intents still have to fill, as limits and duplicates count them."""
        with self._store.read() as session:
            return orders.open_orders(session, account)

    def intents(
        self, session: date | None = None, strategy: StrategyName | None = None
    ) -> tuple[Intent, ...]:
        """Intents, oldest first, of one trading day and one strategy when given."""
        with self._store.read() as found:
            return orders.intents(found, session, strategy)

    def known_states(
        self, account: AccountId, ids: Sequence[ClientOrderId]
    ) -> Mapping[ClientOrderId, tuple[OrderState, bool]]:
        """State of each of ``ids`` that is known here, and whether it was adopted."""
        with self._store.read() as session:
            return books.known_states(session, account, ids)

    def unbooked(self, account: AccountId) -> tuple[Unbooked, ...]:
        """What orders were told filled beyond the units that their executions make."""
        with self._store.read() as session:
            return books.unbooked(session, account)

    def orders(self, account: AccountId, adopted: bool | None = None) -> tuple[KnownOrder, ...]:
        """Every order of the account, ours (``adopted`` False), strangers' (True) or both; oldest first."""
        with self._store.read() as session:
            return orders.known_orders(session, account, adopted)

    def order_events(self, client_order_id: ClientOrderId) -> tuple[OrderEvent, ...]:
        """All that was said about an order, in the order recorded, ignored events included."""
        with self._store.read() as session:
            return orders.order_events(session, client_order_id)

    # What happened, and what follows from it

    def record_fills(self, account: AccountId, fills: Sequence[Fill], at: datetime) -> int:
        """Keep executions, once each by execution id; how many were new.

        Which order one belongs to follows from its client id, the order's broker id or a leg's.
        Raises: LedgerError when an execution comes again with other numbers.
        """
        with self._store.write(at) as tx:
            return books.record_fills(tx, account, fills)

    def record_activities(self, account: AccountId, activities: Sequence[Activity], at: datetime) -> int:
        """Keep booked rows, once each; how many were new. Fills among them are left to record_fills."""
        with self._store.write(at) as tx:
            return books.record_activities(tx, account, activities)

    def fills(self, account: AccountId) -> tuple[Fill, ...]:
        """Executions, oldest first."""
        with self._store.read() as session:
            return books.fills_of(session, account)

    def activities(self, account: AccountId) -> tuple[Activity, ...]:
        """Booked rows, oldest first."""
        with self._store.read() as session:
            return books.activities_of(session, account)

    def derived(self, account: AccountId) -> Derived:
        """Positions, holdings, lots, cash and closed trades, all from one instant.

        Rebuilt when something was filled or booked since this process last asked, by whomever.
        """
        with self._store.read() as session:
            return books.derived(session, account)

    def positions(self, account: AccountId) -> tuple[Position, ...]:
        """Open structures by strategy, first in first out; what an assignment left of one as what it is."""
        return self.derived(account).positions

    def holdings(self, account: AccountId) -> tuple[Holding, ...]:
        """Signed quantity of every instrument held, by symbol."""
        return self.balance(account).holdings

    def lots(self, account: AccountId) -> tuple[Lot, ...]:
        """Tax lots by symbol, oldest first."""
        return self.derived(account).lots

    def cash(self, account: AccountId) -> Cash:
        """Opening cash and everything fills and activities moved."""
        return self.balance(account).cash

    def balance(self, account: AccountId) -> Balance:
        """Holdings and cash of one instant, added up without asking which strategy's they are."""
        with self._store.read() as session:
            return books.balance(session, account)

    def closed_trades(self, account: AccountId) -> tuple[ClosedTrade, ...]:
        """Round trips in the order in which they were closed."""
        return self.derived(account).trades

    # Control

    def acquire_lease(self, account: AccountId, holder: str, at: datetime, ttl: timedelta) -> Lease:
        """Take or renew the right to trade. ``holder`` names one installation, whose processes share it.

        The token grows whenever the holder changes. Raises: LeaseLost naming who has it, and until when.
        """
        with self._store.write(at) as tx:
            return control.acquire_lease(tx, account, holder, ttl)

    def renew_lease(self, lease: Lease, at: datetime, ttl: timedelta) -> Lease:
        """The lease good until at least ``ttl`` from ``at``, even when it ran out and nobody took it.

        Raises: LeaseLost naming who has it when another took it, or it was given back.
        """
        with self._store.write(at) as tx:
            return control.renew_lease(tx, lease, ttl)

    def release_lease(self, lease: Lease, at: datetime) -> bool:
        """Give the lease back; False when it was no longer held."""
        with self._store.write(at) as tx:
            return control.release_lease(tx, lease)

    def set_halt(
        self, scope: str, kind: str, reason: str, by: str, at: datetime, *, hard: bool | None = None
    ) -> Halt:
        """Stop a strategy, or all (``*``), until cleared; kinds, and which are hard, are those of HaltKind.

        Set again by the same setter it is the same halt; another setter's stands beside it.
        """
        with self._store.write(at) as tx:
            return control.set_halt(tx, scope, HaltKind(kind), reason, by, hard)

    def clear_halt(
        self,
        scope: str,
        by: str,
        at: datetime,
        *,
        kind: str | None = None,
        set_by: str | None = None,
        why: str = "",
    ) -> int:
        """Clear the halts on exactly this scope, of one kind and one setter when given; how many.

        Raises: HardHalt, and clears nothing, when one of them is hard and ``why`` is empty.
        """
        with self._store.write(at) as tx:
            wanted = None if kind is None else HaltKind(kind)
            return control.clear_halt(tx, scope, by, wanted, set_by, why)

    def halts(self, scope: str | None = None) -> tuple[Halt, ...]:
        """Halts in force, oldest first: all of them, or those that cover ``scope`` (its own and ``*``)."""
        with self._store.read() as session:
            return control.halts(session, scope)

    def record_look(self, account: AccountId, readings: Sequence[Mapping[str, str]], at: datetime) -> None:
        """Keep what the halt rules measured at ``at``."""
        with self._store.write(at) as tx:
            control.record_look(tx, account, readings)

    def looks(self, account: AccountId, session: date) -> tuple[StoredLook, ...]:
        """What the halt rules measured on a trading day, oldest first."""
        with self._store.read() as found:
            return control.looks(found, account, session)

    def set_limits(
        self, strategy: StrategyName | None, limits: Mapping[str, Decimal], by: str, at: datetime
    ) -> None:
        """New values from ``at`` on, for one strategy or for all (None); older ones stay on record."""
        with self._store.write(at) as tx:
            control.set_limits(tx, strategy, limits, by)

    def limits(self, strategy: StrategyName | None, at: datetime) -> Mapping[str, Decimal]:
        """Limits in force at ``at`` by name: the general ones, with the strategy's own over them."""
        with self._store.read() as session:
            return control.limits_at(session, strategy, at)

    def arm(self, account: AccountId, until: datetime, by: str, at: datetime) -> None:
        """Allow live orders until ``until``; an instant not after ``at`` takes it back."""
        with self._store.write(at) as tx:
            control.arm(tx, account, until, by)

    def armed_until(self, account: AccountId) -> datetime | None:
        """Until when live orders are allowed by the last arming; None when there was none.

        The order path asks for itself: no order of a live account is recorded or sent unarmed.
        """
        with self._store.read() as session:
            return control.armed_until(session, account)

    # Observations

    def record_provider(
        self, source: str, ok: bool, latency_ms: float | None, error: str, at: datetime
    ) -> None:
        """Keep how one call to a source went."""
        with self._store.write(at) as tx:
            observations.record_provider(tx, source, ok, latency_ms, error)

    def take_request(self, source: str, most: int, at: datetime) -> bool:
        """Whether ``source`` may be asked once more in the minute of ``at``; counted, for every process,
        when it may."""
        with self._store.write(at) as tx:
            return observations.take_request(tx, source, most)

    def provider_health(self, source: str) -> ProviderHealth | None:
        """A source's last 50 calls, summed up; None when it was never called."""
        with self._store.read() as session:
            return observations.provider_health(session, source)

    def record_mark(self, account: AccountId, equity: Cash, cash: Cash, at: datetime, kind: str) -> None:
        """Keep the broker's equity and cash; kinds are those of MarkKind."""
        with self._store.write(at) as tx:
            observations.record_mark(tx, account, equity, cash, MarkKind(kind))

    def equity_at_open(self, account: AccountId, session: date) -> Cash | None:
        """Equity of the session's first opening mark; None when there is none."""
        with self._store.read() as found:
            return observations.equity_at_open(found, account, session)

    def equity_at_close(self, account: AccountId) -> Mapping[date, Cash]:
        """Equity after each session's close, by session; a session that was not marked is not in it."""
        with self._store.read() as found:
            return observations.equity_at_close(found, account)

    def peak_equity(self, account: AccountId) -> Cash | None:
        """The highest equity ever marked, less what was withdrawn since and with what was paid in; None
        when there is none."""
        with self._store.read() as session:
            return observations.peak_equity(session, account)

    def record_reconciliation(
        self, account: AccountId, at: datetime, clean: bool, breaks: Sequence[Mapping[str, str]]
    ) -> None:
        """Keep what a reconciliation found."""
        with self._store.write(at) as tx:
            observations.record_reconciliation(tx, account, clean, breaks)

    def last_reconciliation(self, account: AccountId, clean: bool | None = None) -> Reconciliation | None:
        """The newest one, or the newest clean (True) or unclean (False) one; None when there is none."""
        with self._store.read() as session:
            return observations.last_reconciliation(session, account, clean)

    # Alerts

    def enqueue_alert(self, dedupe_key: str, severity: str, title: str, body: str, at: datetime) -> bool:
        """Put a message in the outbox; False when the key was used before, sent or not."""
        with self._store.write(at) as tx:
            return outbox.enqueue_alert(tx, dedupe_key, severity, title, body)

    def pending_alerts(self, at: datetime, limit: int = 20) -> tuple[Alert, ...]:
        """Claim messages that are due, oldest first: nobody else gets them for a minute."""
        with self._store.write(at) as tx:
            return outbox.claim_alerts(tx, limit)

    def mark_alert(self, alert_id: int, sent: bool, error: str | None, at: datetime) -> None:
        """Say how sending went. A failed message is due again after 30 s, doubling up to an hour."""
        with self._store.write(at) as tx:
            outbox.mark_alert(tx, alert_id, sent, error or "")

    # Audit

    def audit(self, kind: str, payload: Mapping[str, Any], at: datetime) -> None:
        """Append an entry of the caller's own to the chain."""
        with self._store.write(at) as tx:
            tx.audit(kind, payload)

    def say(self, kind: str, payload: Mapping[str, Any], at: datetime) -> None:
        """Append an entry to the chain with the next thing that is written, for no commit of its own.

        What was said and never followed by a write is lost with the process.
        """
        self._store.say(kind, payload, at)

    def audit_log(self) -> tuple[AuditEntry, ...]:
        """The whole chain, oldest first."""
        with self._store.read() as session:
            return tuple(audit_entries(session))

    def verify(self) -> Verification:
        """Check the chain, every order against its fills, every fill for an order, and cash.

        Rebuilds positions and cash from fills and activities; changes nothing.
        """
        with self._store.read() as session:
            return verify(session)

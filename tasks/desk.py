"""May this run do anything at all: session, window, halts, lease, reconciliation, arming."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from prefect import task
from prefect.runtime import flow_run
from pydantic import BaseModel

from tasks.notify import notify
from tasks.retry import ONCE
from tasks.wiring import Wiring, wiring
from wsb_core import __version__
from wsb_core.control import require_mode
from wsb_core.domain.calendar import NEW_YORK, Session, session_on
from wsb_core.domain.errors import LeaseLost, NotArmed, ReconciliationBreak
from wsb_core.domain.ids import AccountId, RunId, StrategyName, Underlying
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.ledger import Lease
from wsb_core.reconcile.compare import stops
from wsb_core.reconcile.sync import opening_cash
from wsb_core.strategies import STRATEGIES

_SOON = timedelta(hours=1)
_LEASE_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Desk:
    """An open desk: what every later task of the run is told."""

    run_id: RunId
    account: AccountId
    session: Session
    slot: str
    as_of: datetime
    lease: Lease


@dataclass(frozen=True, slots=True)
class Closed:
    """Why the run ends here, completed and with nothing done."""

    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A run that gathers data and sends no order: any time of day, and without the trader lease."""

    run_id: RunId
    account: AccountId
    session: Session | None
    day: date
    as_of: datetime

    @property
    def trading(self) -> bool:
        """Whether the market is open."""
        return self.session is not None and self.session.is_open(self.as_of)


@task(**ONCE)
def open_collection(flow: str) -> Collection:
    """Begin a run that only gathers data."""
    w = wiring()
    now = w.clock.now()
    day = now.astimezone(NEW_YORK).date()
    session = session_on(day)
    _start(w, flow, session, None, now, None, None)
    return Collection(run_id(), w.account, session, day, now)


def watched() -> tuple[Underlying, ...]:
    """What any strategy may trade, and what is held."""
    return tuple(sorted({name for each in STRATEGIES.values() for name in each.universe} | held()))


def held() -> set[Underlying]:
    """Underlyings of open positions; none before the account's books are opened."""
    w = wiring()
    if w.ledger.opened_at(w.account) is None:
        return set()
    return {position.underlying for position in w.ledger.positions(w.account)}


@task(**ONCE)
def open_desk(flow: str, strategy: AnyStrategy, params: BaseModel) -> Desk | Closed:
    """Open the desk for entries of ``strategy``, or say why it stays closed.

    Raises: ReconciliationBreak when the last reconciliation found a difference nobody explained;
    NotArmed when live trading is not armed; LedgerError when the ledger is at the wrong migration.
    """
    w = wiring()
    now = w.clock.now()
    session = _session(w, now)
    if session is None or not session.is_open(now):
        return _closed(w, flow, now, strategy.name, params, f"market closed at {_local(now)}")
    slot = strategy.cadence.slot_at(session, now)
    if slot is None:
        windows = ", ".join(f"{s.name} from {_local(s.starts(session))}" for s in strategy.cadence.slots)
        return _closed(
            w, flow, now, strategy.name, params, f"{_local(now)} is outside the windows: {windows}"
        )
    halts = [h for scope in ("*", strategy.name) for h in w.ledger.halts(scope)]
    if halts:
        worst = halts[0]
        return _closed(
            w, flow, now, strategy.name, params, f"halted ({worst.kind}, {worst.scope}): {worst.reason}"
        )
    _require_armed(w, now)
    _require_reconciled(w, now, strategy.name)
    return _open(w, flow, session, slot.name, now, strategy.name, params)


@task(**ONCE)
def open_exit_desk(flow: str) -> Desk | Closed:
    """Open the desk for exits: session, lease and arming count; no halt and no entry gate does.

    An arming that runs out within the hour is told: without one no exit is sent either.
    """
    w = wiring()
    now = w.clock.now()
    session = _session(w, now)
    if session is None or not session.is_open(now):
        return _closed(w, flow, now, None, None, f"market closed at {_local(now)}")
    _require_armed(w, now)
    _warn_of_the_end(w, now)
    local = now.astimezone(NEW_YORK)
    slot = f"exit-{local:%H}{local.minute // 5 * 5:02d}"
    return _open(w, flow, session, slot, now, None, None)


@task(**ONCE)
def open_books(flow: str) -> Desk:
    """A desk that only reads and books: any time of day, on trading days and off them."""
    w = wiring()
    now = w.clock.now()
    day = now.astimezone(NEW_YORK).date()
    session = session_on(day) or Session(day, now, now)
    return _open(w, flow, session, f"{now.astimezone(NEW_YORK):%H%M}", now, None, None)


def config_hash(params: BaseModel | None) -> str:
    """A short digest of a run's parameters and code version: the same inputs, the same digest."""
    text = f"{__version__}\n{params.model_dump_json() if params is not None else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_id() -> RunId:
    """This flow run's id, the same that the Prefect UI shows."""
    return RunId(str(flow_run.id))


def _session(w: Wiring, now: datetime) -> Session | None:
    day = now.astimezone(NEW_YORK).date()
    ours, theirs = session_on(day), w.broker.session(day)
    if (ours and (ours.opens, ours.closes)) != (theirs and (theirs.opens, theirs.closes)):
        raise ReconciliationBreak(
            f"calendar of {day}: ours says {_hours(ours)}, the broker's {_hours(theirs)}"
        )
    return ours


def _hours(session: Session | None) -> str:
    return "closed" if session is None else f"{_local(session.opens)} to {_local(session.closes)}"


def _local(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} ET"


def _require_armed(w: Wiring, now: datetime) -> None:
    """NotArmed before anything is fetched; the ledger asks again at every send."""
    require_mode(w.ledger, w.account, w.settings.mode)
    if w.settings.mode != "live":
        return
    until = w.ledger.armed_until(w.account)
    if until is None or until <= now:
        raise NotArmed(
            f"live trading of {w.account} is not armed (last arming: {until}): wsb arm, or another mode"
        )


def _warn_of_the_end(w: Wiring, now: datetime) -> None:
    until = w.ledger.armed_until(w.account) if w.settings.mode == "live" else None
    if until is None or until - now > _SOON:
        return
    notify(
        key=f"arming:{w.account}:{until.isoformat()}",
        severity="critical",
        title=f"Arming of {w.account} runs out at {_local(until)}",
        what="After that no order of this account is sent, exits included.",
        do="Arm it again: wsb arm --for 8h --by NAME, or close what must not stay unwatched.",
    )


def _require_reconciled(w: Wiring, now: datetime, strategy: StrategyName) -> None:
    last = w.ledger.last_reconciliation(w.account)
    limit = timedelta(minutes=w.settings.reconcile_max_age_minutes)
    if last is None:
        raise ReconciliationBreak(f"{w.account} was never reconciled: run the flow reconcile first")
    against = stops(last.breaks, strategy)
    if against:
        raise ReconciliationBreak(
            f"the reconciliation at {_local(last.at)} found unexplained differences: {', '.join(against)}"
        )
    if now - last.at > limit:
        minutes = (now - last.at).total_seconds() / 60
        raise ReconciliationBreak(f"last clean reconciliation is {minutes:.0f} minutes old, over {limit}")


def _open(
    w: Wiring,
    flow: str,
    session: Session,
    slot: str,
    now: datetime,
    strategy: StrategyName | None,
    params: BaseModel | None,
) -> Desk:
    require_mode(w.ledger, w.account, w.settings.mode)
    if w.ledger.opened_at(w.account) is None:
        w.ledger.open_account(w.account, w.settings.mode, opening_cash(w.broker), now)
    _start(w, flow, session, slot, now, strategy, params)
    lease = take_lease(w)
    return Desk(run_id(), w.account, session, slot, now, lease)


def take_lease(w: Wiring) -> Lease:
    """The trader lease, waited for while another installation holds it, for so long as the settings say.

    Raises: LeaseLost naming who holds it and until when.
    """
    ttl = timedelta(seconds=w.settings.lease_seconds)
    patience = timedelta(seconds=w.settings.lease_wait_seconds)
    began = now = w.clock.now()
    while True:
        try:
            return w.ledger.acquire_lease(w.account, w.settings.trader, now, ttl)
        except LeaseLost as taken:
            left = began + patience - now
            if left <= timedelta(0):
                raise LeaseLost(f"{taken} (waited {patience.total_seconds():.0f} s for it)") from None
        w.clock.sleep(min(_LEASE_POLL_SECONDS, left.total_seconds()))
        now = w.clock.now()


def _start(
    w: Wiring, flow: str, session: Session | None, slot: str | None, now: datetime, strategy: Any, params: Any
) -> None:
    w.ledger.start_run(
        run_id(),
        flow=flow,
        strategy=strategy,
        session=session.day if session else None,
        slot=slot,
        account=w.account,
        config_hash=config_hash(params),
        code_version=__version__,
        at=now,
    )


def _closed(w: Wiring, flow: str, now: datetime, strategy: Any, params: Any, reason: str) -> Closed:
    _start(w, flow, None, None, now, strategy, params)
    w.ledger.finish_run(run_id(), "skipped", reason, now)
    return Closed(reason)

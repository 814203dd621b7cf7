"""Stopping, resuming and arming the desk: what the command line and the flows both call."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from wsb_core.domain.errors import ConfigError, NotArmed, OrderRejected, ProviderRefused, Transient
from wsb_core.domain.halts import EVERYTHING
from wsb_core.domain.ids import AccountId, ClientOrderId
from wsb_core.domain.orders import Effect
from wsb_core.domain.ports import Broker, Clock
from wsb_core.execution.submit import Sender, confirm, refresh
from wsb_core.ledger import Intent, Ledger

LONGEST_ARMING = timedelta(hours=24)
PATIENCE_SECONDS = 30.0
_CONFIRM_SECONDS = 2.0
ALL = "all"
"""What a person calls ``EVERYTHING``."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Entries that were working when a halt came, and those whose end the broker did not confirm."""

    found: tuple[ClientOrderId, ...] = ()
    left: tuple[ClientOrderId, ...] = ()

    @property
    def text(self) -> str:
        if not self.found:
            return "no entry was working"
        told = f"{len(self.found) - len(self.left)} of {len(self.found)} working entries are over"
        return f"{told}; not confirmed: {', '.join(self.left)}" if self.left else told


def working_entries(ledger: Ledger, account: AccountId, scope: str) -> tuple[Intent, ...]:
    """Opening orders in ``scope`` that work or may be working."""
    return tuple(
        intent
        for intent in ledger.open_intents(account)
        if intent.state.may_work
        and intent.order.effect is Effect.OPEN
        and scope in (EVERYTHING, intent.order.key.strategy)
    )


def stop_entries(
    ledger: Ledger,
    broker: Broker,
    clock: Clock,
    account: AccountId,
    scope: str,
    patience: float = PATIENCE_SECONDS,
) -> Stopped:
    """Cancel the entries that a halt found working, and wait until the broker says each is over.

    The halt is set before: it keeps the next attempt from being sent, this ends the one that rests. A
    fill may win, and then it is a fill. Sends nothing, so it needs no lease; may be repeated.
    """
    first = working = working_entries(ledger, account, scope)
    to = Sender("", broker, ledger, None, clock)
    deadline = clock.now() + timedelta(seconds=patience)
    while working:
        for intent in working:
            if intent.broker_order_id is not None:
                # Asked for all of them before waiting for any: what is refused here is over already.
                with suppress(OrderRejected, ProviderRefused, Transient):
                    broker.cancel(intent.broker_order_id)
        for intent in working:
            if intent.broker_order_id is not None:
                confirm(intent, to, _CONFIRM_SECONDS, poll=0.5)
            else:
                # On its way, without an id yet: its own run, or this look-up, brings it.
                refresh(intent, to)
        working = working_entries(ledger, account, scope)
        if clock.now() >= deadline:
            break
        if working:
            clock.sleep(0.5)
    return Stopped(
        tuple(intent.client_order_id for intent in first),
        tuple(intent.client_order_id for intent in working),
    )


def arm(ledger: Ledger, broker: Broker, account: AccountId, until: datetime, by: str, at: datetime) -> None:
    """Allow live orders until ``until``, once mode, host, key and account are seen to agree.

    Raises: NotArmed when they do not, ConfigError for a time that is too long.
    """
    if until - at > LONGEST_ARMING:
        raise ConfigError(f"arming until {until} is too long: at most {span_text(LONGEST_ARMING)}")
    require_mode(ledger, account, broker.mode)
    # The adapter refuses keys that open another account, as it refuses a host or key of another mode.
    broker.account()
    ledger.arm(account, until, by, at)


def require_mode(ledger: Ledger, account: AccountId, mode: str) -> None:
    """NotArmed unless the ledger keeps ``account`` as one of that mode, or does not know it yet."""
    kept = ledger.account_mode(account)
    if kept is not None and kept != mode:
        raise NotArmed(
            f"account {account} is a {kept} account in this ledger and the mode is {mode}: "
            "set WSB_MODE, or use another ledger"
        )


def parse_span(text: str) -> timedelta:
    """``8h``, ``90m``, ``1h30m``. Raises: ConfigError naming the forms there are."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", text.strip())
    span = timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0)) if found else timedelta(0)
    if span <= timedelta(0):
        raise ConfigError(f"--for must be a time such as 8h, 90m or 1h30m, not {text!r}")
    if span > LONGEST_ARMING:
        raise ConfigError(f"--for {text} is too long: at most {span_text(LONGEST_ARMING)}")
    return span


def span_text(span: timedelta) -> str:
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    return f"{hours}h" + (f"{minutes}m" if minutes else "")

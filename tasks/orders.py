"""Orders out: each approved order is recorded, sent once, worked and confirmed. Never retried by Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from prefect import task

from tasks.book import sender
from tasks.checks import judge_chains
from tasks.desk import Desk
from tasks.market import read_chains
from tasks.retry import ONCE
from tasks.wiring import wiring
from wsb_core.domain.errors import DataQualityError, Halted, Transient
from wsb_core.domain.orders import ApprovedOrder, Effect, Refusal
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import ChainWindow
from wsb_core.execution.submit import Sender
from wsb_core.execution.working import Worked, work


@dataclass(frozen=True, slots=True)
class Placed:
    """One approved order and what became of it."""

    approved: ApprovedOrder
    worked: Worked


@task(**ONCE)
def place_orders(
    desk: Desk, approved: Sequence[ApprovedOrder], markets: Sequence[Market]
) -> tuple[Placed, ...]:
    """Work every approved order in turn; the first one whose outcome is unknown stops the rest.

    Repeating this task sends nothing twice: each attempt has its intent in the ledger.
    """
    w = wiring()
    to = sender(w, desk)
    by_name = {market.underlying: market for market in markets}
    placed: list[Placed] = []
    for order in approved:
        market = by_name[order.order.structure.underlying]
        worked = _work_one(desk, order, market, to)
        placed.append(Placed(order, worked))
        last = worked.last
        if last is not None and not last.state.terminal:
            break
    fills = w.broker.fills(desk.as_of)
    w.ledger.record_fills(desk.account, fills, w.clock.now())
    return tuple(placed)


def _work_one(desk: Desk, approved: ApprovedOrder, market: Market, to: Sender) -> Worked:
    try:
        return work(approved, to, lambda: _fresh(desk, approved, market))
    except Halted as halted:
        refusal = Refusal(market.underlying, "gate", "halt", str(halted), "no halt on entries")
        return Worked((), 0, refusal)


def _fresh(desk: Desk, approved: ApprovedOrder, market: Market) -> Market | Refusal:
    """The market again, fetched and checked as the first time, or why it cannot be used."""
    contracts = approved.order.structure.contracts
    dtes = [contract.dte(desk.session.day) for contract in contracts]
    window = ChainWindow(min(dtes), max(dtes), tuple({contract.right for contract in contracts}))
    try:
        # An exit takes the quotes there are, and takes them first; an entry wants them confirmed.
        entry = approved.order.effect is Effect.OPEN
        with nullcontext() if entry else wiring().data.urgent():
            quoted = read_chains([market.underlying], window, desk.session.day, entry=entry)
        judged = judge_chains(desk, quoted)
    except (Transient, DataQualityError) as error:
        return Refusal(
            market.underlying, "gate", "quote_recheck", type(error).__name__, "a clean quote", str(error)
        )
    return judged.market(market)

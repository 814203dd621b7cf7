"""The end of a run: decisions into the ledger, tables into the run, one line to Slack when it traded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from tasks.checks import CheckedMarkets
from tasks.decide import Managed
from tasks.desk import Collection, Desk
from tasks.notify import notify, run_link
from tasks.orders import Placed
from tasks.retry import ONCE
from tasks.wiring import wiring
from wsb_core.analytics.format import money
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import ApprovedOrder, Refusal
from wsb_core.domain.positions import Book
from wsb_core.domain.strategy import AnyStrategy, StrategyParams
from wsb_core.ledger import Decided, Outcome


@task(**ONCE)
def record_run(
    desk: Desk,
    strategy: AnyStrategy,
    params: StrategyParams,
    refusals: Sequence[Refusal],
    approved: Sequence[ApprovedOrder],
    placed: Sequence[Placed],
    checked: CheckedMarkets,
) -> str:
    """Write why each candidate was or was not traded, and end the run with one line of text."""
    feeds = {m.underlying: m.chain.provenance for m in checked.markets}
    rows = [_refused(refusal) for refusal in refusals]
    rows += [_ordered(p, feeds) for p in placed]
    done = {p.approved.order.client_order_id for p in placed}
    rows += [
        Decided(
            a.order.structure.underlying, Outcome.SELECTED, stage="review", rule="approved", facts=_facts(a)
        )
        for a in approved
        if a.order.client_order_id not in done
    ]
    w = wiring()
    if rows:
        w.ledger.record_decisions(
            desk.run_id,
            session=desk.session.day,
            strategy=strategy.name,
            slot=desk.slot,
            decisions=rows,
            at=w.clock.now(),
        )
    _show_decisions(strategy.name, rows)
    create_markdown_artifact(
        strategy.notes(params), key="expectation", description=f"what {strategy.title} is"
    )
    filled = sum(p.worked.filled > 0 for p in placed)
    text = f"{len(rows)} candidates, {len(placed)} orders, {filled} filled"
    _tell(desk, strategy.title, placed)
    return finish(desk, "completed", text)


@task(**ONCE)
def record_exits(
    desk: Desk,
    book: Book,
    managed: Managed | None,
    placed: Sequence[Placed],
    unpriced: Sequence[Refusal],
) -> str:
    """Write what was held and what was closed and why; a position without a valid quote raises the alarm."""
    if managed is None:
        return finish(desk, "completed", "nothing held")
    w = wiring()
    for strategy in sorted({position.strategy for position in book.positions}):
        rows = [
            Decided(p.underlying, Outcome.HELD, stage="manage", rule="hold", detail=hold.nearest)
            for p, hold in managed.held
            if p.strategy == strategy
        ]
        rows += [_closed(p) for p in placed if p.approved.order.key.strategy == strategy]
        w.ledger.record_decisions(
            desk.run_id,
            session=desk.session.day,
            strategy=strategy,
            slot=desk.slot,
            decisions=rows,
            at=w.clock.now(),
        )
        _show_decisions(strategy, rows)
    for refusal in unpriced:
        notify(
            key=f"unpriced:{desk.session.day}:{refusal.underlying}:{refusal.rule}",
            severity="critical",
            title=f"{refusal.underlying}: an open position cannot be priced",
            what=f"{refusal.rule}: {refusal.detail or refusal.value}",
            did="Held it; the next run in five minutes looks again.",
            do="Look at the quote yourself; close by hand if it must go.",
            link=run_link(desk.run_id),
        )
    _tell(desk, "Exit", placed)
    closed = sum(p.worked.filled > 0 for p in placed)
    return finish(desk, "completed", f"{len(book.positions)} positions, {closed} closed")


def finish(desk: Desk | Collection, state: str, text: str) -> str:
    """End the run in the ledger with one line of text, which comes back."""
    w = wiring()
    w.ledger.finish_run(desk.run_id, state, text, w.clock.now())
    return text


def _refused(refusal: Refusal) -> Decided:
    return Decided(
        refusal.underlying,
        Outcome.REFUSED,
        stage=refusal.stage,
        rule=refusal.rule,
        value=refusal.value,
        bound=refusal.bound,
        detail=refusal.detail,
    )


def _ordered(placed: Placed, feeds: dict[Underlying, Any]) -> Decided:
    order, worked = placed.approved.order, placed.worked
    source = feeds.get(order.structure.underlying)
    facts = {**_facts(placed.approved), "source": f"{source.source} ({source.feed})" if source else "unknown"}
    last = worked.last
    return Decided(
        order.structure.underlying,
        Outcome.ORDERED,
        stage="submit" if worked.refusal else "filled",
        rule=worked.refusal.rule if worked.refusal else "filled",
        value=worked.refusal.value if worked.refusal else f"{worked.filled} of {order.quantity}",
        bound=worked.refusal.bound if worked.refusal else f"limit {order.limit}",
        detail=worked.refusal.detail if worked.refusal else "",
        facts=facts,
        client_order_id=last.order.client_order_id if last else None,
    )


def _closed(placed: Placed) -> Decided:
    order, worked = placed.approved.order, placed.worked
    last = worked.last
    return Decided(
        order.structure.underlying,
        Outcome.CLOSED if worked.filled else Outcome.ORDERED,
        stage="manage",
        rule=placed.approved.reason,
        value=f"{worked.filled} of {order.quantity}",
        bound=f"limit {order.limit}",
        detail=placed.approved.facts.get("exit_detail", ""),
        facts=_facts(placed.approved),
        client_order_id=last.order.client_order_id if last else None,
    )


def _facts(approved: ApprovedOrder) -> dict[str, str]:
    order = approved.order
    return {
        **approved.facts,
        "structure": order.structure.symbol,
        "quantity": str(order.quantity),
        "max_loss": str(approved.review.max_loss),
    }


def _show_decisions(strategy: str, rows: Sequence[Decided]) -> None:
    table = [
        {
            "underlying": row.underlying,
            "outcome": str(row.outcome),
            "stage": row.stage,
            "rule": row.rule,
            "value": row.value,
            "bound": row.bound,
            "detail": row.detail,
        }
        for row in rows
    ]
    key = f"decisions-{strategy.replace('_', '-')}"
    nothing = [{"underlying": "-", "outcome": "no candidate", "stage": "screen"}]
    create_table_artifact(
        table or nothing, key=key, description="every candidate and the first rule that decided it"
    )


def _tell(desk: Desk, title: str, placed: Sequence[Placed]) -> None:
    lines = []
    for one in placed:
        if not one.worked.filled:
            continue
        order = one.approved.order
        average = one.worked.last.average if one.worked.last else None
        paid = (
            money(Cash(average * order.structure.multiplier * one.worked.filled))
            if average is not None
            else "?"
        )
        lines.append(f"{one.worked.filled} x {order.structure.symbol} ({one.approved.reason}), {paid}")
    if lines:
        notify(
            key=f"trades:{desk.run_id}",
            severity="trade",
            title=f"{title}: {len(lines)} filled",
            what="; ".join(lines),
            link=run_link(desk.run_id),
        )

"""What a run decided on, kept so that its decision can be made again."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task

from tasks.checks import CheckedMarkets, CheckedUniverse
from tasks.decide import Screened
from tasks.desk import Desk
from tasks.retry import ONCE
from tasks.wiring import wiring
from wsb_core.decision import Inputs, Setting, lines
from wsb_core.domain.orders import ApprovedOrder, Proposal, Refusal
from wsb_core.domain.positions import Book
from wsb_core.domain.strategy import AnyStrategy, StrategyParams
from wsb_core.inputs import pack
from wsb_core.strategies import sectors


@task(**ONCE)
def keep_inputs(
    desk: Desk,
    strategy: AnyStrategy,
    params: StrategyParams,
    universe: CheckedUniverse,
    checked: CheckedMarkets,
    book: Book,
    screened: Screened,
    proposals: Sequence[Proposal],
    orders: Sequence[ApprovedOrder],
    refused: Sequence[Refusal],
) -> None:
    """Prices, events, book, parameters, limits, code and the decision itself, before anything is sent."""
    w = wiring()
    now = w.clock.now()
    known = sectors(w.settings.sectors_file)
    names = {*universe.panel.close.columns, *(position.underlying for position in book.positions)}
    setting = Setting(
        account=desk.account,
        session=desk.session.day,
        slot=desk.slot,
        reviewed_at=orders[0].review.reviewed_at if orders else now,
        limits=w.ledger.limits(strategy.name, desk.as_of),
        sectors={name: sector for name, sector in known.items() if name in names},
    )
    inputs = Inputs(setting, strategy.name, params, universe.panel, tuple(checked.markets), book)
    decision = lines(screened.selected, (*screened.refused, *refused), proposals, orders)
    w.ledger.record_inputs(desk.run_id, pack(inputs, decision), now)

"""One flow for each strategy in the registry: check, screen, propose, review, record, submit, confirm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import Flow, State, flow
from prefect.states import Completed

from tasks.approve import ask_approval
from tasks.book import load_book
from tasks.checks import check_account, check_bars, check_chains
from tasks.decide import propose_orders, review_orders, screen_universe
from tasks.desk import Closed, open_desk
from tasks.inputs import keep_inputs
from tasks.market import fetch_bars, fetch_chains
from tasks.notify import alert_failure
from tasks.orders import place_orders
from tasks.record import record_run
from wsb_core.domain.ids import Underlying
from wsb_core.domain.strategy import AnyStrategy, StrategyParams
from wsb_core.strategies import STRATEGIES


def run_strategy(
    strategy: AnyStrategy, params: StrategyParams, universe: Sequence[Underlying], dry_run: bool
) -> State[Any]:
    """One decision of ``strategy``: at most one order for each candidate, however often it is run.

    With ``dry_run`` everything is fetched, checked, decided and recorded, and no order is sent.
    """
    desk = open_desk(strategy.name, strategy, params)
    if isinstance(desk, Closed):
        return Completed(name="Skipped", message=desk.reason)
    book = load_book(desk, strategy.name)
    check_account(desk, book)
    needs = strategy.needs(params)
    fetched = fetch_bars(desk, universe, needs)
    bars = check_bars(desk, fetched, needs)
    screened = screen_universe(desk, strategy, params, bars)
    quoted = fetch_chains(desk, screened.selected, needs)
    checked = check_chains(desk, quoted, bars)
    proposals, not_proposed = propose_orders(strategy, params, checked.markets, book)
    orders, refused = review_orders(desk, strategy, proposals, book)
    unwanted = (*not_proposed, *refused)
    keep_inputs(desk, strategy, params, bars, checked, book, screened, proposals, orders, unwanted)
    allowed, denied = (orders, ()) if dry_run else ask_approval(desk, orders)
    placed = () if dry_run else place_orders(desk, allowed, checked.markets)
    refusals = (*screened.refused, *checked.refused, *unwanted, *denied)
    message = record_run(desk, strategy, params, refusals, allowed, placed, checked)
    return Completed(message=message)


def strategy_flow(strategy: AnyStrategy) -> Flow[Any, Any]:
    """The Prefect flow of one strategy; its ``Params`` are the form in the UI."""

    def run(
        params: StrategyParams = strategy.params, universe: list[str] | None = None, dry_run: bool = False
    ) -> State[Any]:
        names = strategy.universe if universe is None else [Underlying(name) for name in universe]
        return run_strategy(strategy, params, names, dry_run)

    run.__name__ = strategy.name
    run.__doc__ = f"{strategy.title}. {strategy.summary}"
    run.__annotations__["params"] = type(strategy.params)
    decorate = flow(
        name=strategy.name.replace("_", "-"),
        timeout_seconds=900,
        on_failure=[alert_failure],
        on_crashed=[alert_failure],
    )
    return decorate(run)


FLOWS: dict[str, Flow[Any, Any]] = {name: strategy_flow(strategy) for name, strategy in STRATEGIES.items()}
# Deployments name a flow as ``flows/run_strategy.py:<strategy>``.
globals().update(FLOWS)

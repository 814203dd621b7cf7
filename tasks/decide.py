"""What to do: screen, propose, review, manage. Pure functions of checked data, asked once a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect import task

from tasks.checks import CheckedUniverse, judge_held
from tasks.desk import Desk
from tasks.market import read_held
from tasks.retry import ONCE
from tasks.wiring import wiring
from wsb_core.decision import intent_key as key_of
from wsb_core.decision import propose
from wsb_core.domain.errors import Terminal
from wsb_core.domain.halts import EVERYTHING, HaltKind
from wsb_core.domain.ids import Price, StrategyName, Underlying
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, Proposal, Refusal
from wsb_core.domain.positions import Book, Position
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import AnyStrategy, Close, Hold, Screen, StrategyParams
from wsb_core.execution.ticket import package_quote
from wsb_core.risk import RiskLimits, review
from wsb_core.strategies import STRATEGIES, sectors


@dataclass(frozen=True, slots=True)
class Screened:
    """Names that pass every rule, best first, and for each other candidate the rule that refused it."""

    selected: tuple[Underlying, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Exit:
    """A position that one of its exit rules wants closed, and the proposal that closes it."""

    position: Position
    decision: Close
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Managed:
    """The decision on every position: exits to make, and what is held and why."""

    exits: tuple[Exit, ...]
    held: tuple[tuple[Position, Hold], ...]


@task(**ONCE)
def screen_universe(
    desk: Desk, strategy: AnyStrategy, params: StrategyParams, universe: CheckedUniverse
) -> Screened:
    """The last row of the strategy's own screen."""
    screen: Screen = strategy.screen(universe.panel, params)
    return Screened(screen.selected(desk.session.day), screen.refusals(desk.session.day))


@task(**ONCE)
def propose_orders(
    strategy: AnyStrategy, params: StrategyParams, markets: Sequence[Market], book: Book
) -> tuple[tuple[Proposal, ...], tuple[Refusal, ...]]:
    """The strategy's wishes, each priced at the worst price its order may be walked to."""
    return propose(strategy, params, markets, book)


@task(**ONCE)
def review_orders(
    desk: Desk, strategy: AnyStrategy, proposals: Sequence[Proposal], book: Book
) -> tuple[tuple[ApprovedOrder, ...], tuple[Refusal, ...]]:
    """Risk's answer to every proposal: approved with a size, or refused by the first rule that said no."""
    return review_batch(desk, strategy, proposals, book)


def review_batch(
    desk: Desk, strategy: AnyStrategy, proposals: Sequence[Proposal], book: Book
) -> tuple[tuple[ApprovedOrder, ...], tuple[Refusal, ...]]:
    """``risk.review`` with the limits in force and this desk's keys."""
    w = wiring()
    limits = RiskLimits.model_validate(dict(w.ledger.limits(strategy.name, desk.as_of)))
    return review(
        proposals,
        book,
        strategy=strategy,
        limits=limits,
        key_for=lambda proposal: intent_key(desk, strategy.name, proposal),
        sectors=sectors(w.settings.sectors_file),
        session=desk.session.day,
        at=w.clock.now(),
    )


def intent_key(desk: Desk, strategy: StrategyName, proposal: Proposal) -> IntentKey:
    """The key of the decision that ``proposal`` is part of; nothing of the run is in it."""
    return key_of(desk.account, desk.session.day, desk.slot, strategy, proposal)


@task(**ONCE)
def manage_book(book: Book, markets: Sequence[Market]) -> Managed:
    """Ask each position's own strategy whether to keep it; a halt that flattens answers for it."""
    return managed(book, markets, flattened())


def flattened() -> Mapping[str, str]:
    """Scopes that a halt wants closed, with its reason."""
    return {h.scope: h.reason for h in wiring().ledger.halts() if h.kind is HaltKind.FLATTEN}


def managed(book: Book, markets: Sequence[Market], flat: Mapping[str, str]) -> Managed:
    """The decision on each position; one with no market is held, and says so.

    ``flat`` are the scopes in which everything is closed, whatever its own rules say.
    """
    by_name = {market.underlying: market for market in markets}
    exits, held = [], []
    for position in book.positions:
        market = by_name.get(position.underlying)
        if market is None:
            held.append((position, Hold("no checked market: nothing can be decided on it")))
            continue
        decision = _flatten(position, flat) or _decide(position, market)
        if isinstance(decision, Close) and not _closing(book, position):
            exits.append(_exit(position, decision, market))
        else:
            held.append((position, decision if isinstance(decision, Hold) else Hold("already being closed")))
    return Managed(tuple(exits), tuple(held))


@task(**ONCE)
def confirm_exits(desk: Desk, book: Book, first: Managed) -> Managed:
    """Look again where a rule asks for two looks: one bad tick closes nothing."""
    waits = [e.decision.confirm for e in first.exits if e.decision.confirm is not None]
    if not waits:
        return first
    wiring().clock.sleep(max(waits).total_seconds())
    markets = judge_held(desk, book, read_held(desk, book)).markets
    return confirmed(first, managed(book, markets, flattened()))


@task(**ONCE)
def review_exits(desk: Desk, exits: Managed, book: Book) -> tuple[ApprovedOrder, ...]:
    """Every exit, approved by quantity alone. One that is not approved is an error, never silence.

    Raises: Terminal when risk refused a close.
    """
    approved: list[ApprovedOrder] = []
    for exit_ in exits.exits:
        strategy = STRATEGIES[exit_.position.strategy]
        orders, refused = review_batch(desk, strategy, [exit_.proposal], book)
        if refused:
            raise Terminal(
                f"exit of {exit_.position.structure.symbol} refused: {refused[0].rule} {refused[0].value}"
            )
        approved.extend(orders)
    return tuple(approved)


def confirmed(first: Managed, second: Managed) -> Managed:
    """Exits of the second look, where a rule that asks for two looks fired in both."""
    fired = {(e.position.structure, e.decision.rule) for e in first.exits}
    kept = tuple(
        e
        for e in second.exits
        if e.decision.confirm is None or (e.position.structure, e.decision.rule) in fired
    )
    return Managed(kept, second.held)


def _flatten(position: Position, flat: Mapping[str, str]) -> Close | None:
    why = flat.get(position.strategy, flat.get(EVERYTHING))
    return None if why is None else Close("flatten", why, urgent=True)


def _decide(position: Position, market: Market) -> Hold | Close:
    strategy = STRATEGIES[position.strategy]
    params = strategy.presets.get(position.facts.get("preset", ""), strategy.params)
    return strategy.manage(position, market, params)


def _closing(book: Book, position: Position) -> bool:
    return any(o.structure == position.structure and not o.opening for o in book.open_orders)


def _exit(position: Position, decision: Close, market: Market) -> Exit:
    package = package_quote(market, position.structure, Effect.CLOSE)
    limit = package.touch if package is not None else Price(position.entry * 0)
    proposal = Proposal(
        structure=position.structure,
        effect=Effect.CLOSE,
        limit=limit,
        reason=decision.rule,
        facts={**position.facts, "exit_rule": decision.rule, "exit_detail": decision.detail},
        quantity=min(decision.quantity or position.quantity, position.quantity),
        urgent=decision.urgent,
    )
    return Exit(position, decision, proposal)

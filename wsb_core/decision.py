"""What a run decides, as a pure function of what it decided on: the flow asks it, and so does a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from wsb_core.domain.ids import AccountId, StrategyName, Underlying
from wsb_core.domain.orders import ApprovedOrder, Effect, IntentKey, Proposal, Refusal
from wsb_core.domain.positions import Book
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import AnyStrategy, Panel, StrategyParams
from wsb_core.execution.ticket import ticket
from wsb_core.risk import RiskLimits, review

Line = Mapping[str, str]
"""One step of a decision in plain text: what, of which underlying, and its numbers."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when a run decides, and under which limits."""

    account: AccountId
    session: date
    slot: str
    reviewed_at: datetime
    limits: Mapping[str, Decimal]
    sectors: Mapping[Underlying, str]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a strategy's run decides on. ``markets`` are those of the names that were selected."""

    setting: Setting
    strategy: StrategyName
    params: StrategyParams
    panel: Panel
    markets: tuple[Market, ...]
    book: Book


def propose(
    strategy: AnyStrategy, params: StrategyParams, markets: Iterable[Market], book: Book
) -> tuple[tuple[Proposal, ...], tuple[Refusal, ...]]:
    """The strategy's wishes, each priced at the worst price its order may be walked to."""
    proposals: list[Proposal] = []
    refusals: list[Refusal] = []
    for market in markets:
        for wish in strategy.propose(market, book, params):
            priced = ticket(wish, market) if isinstance(wish, Proposal) else wish
            if isinstance(priced, Proposal):
                proposals.append(priced)
            else:
                refusals.append(priced)
    return tuple(proposals), tuple(refusals)


def intent_key(
    account: AccountId, session: date, slot: str, strategy: StrategyName, proposal: Proposal
) -> IntentKey:
    """The key of the decision that ``proposal`` is part of; nothing of the run is in it."""
    closing = proposal.effect is Effect.CLOSE
    return IntentKey(
        account=account,
        strategy=strategy,
        session=session,
        slot=slot,
        underlying=proposal.underlying,
        action=f"close {proposal.structure.symbol}" if closing else "open",
    )


def decide(inputs: Inputs, strategy: AnyStrategy) -> tuple[Line, ...]:
    """Screen, propose and review once more; every step as a line."""
    setting, params = inputs.setting, inputs.params
    screen = strategy.screen(inputs.panel, params)
    proposals, unwished = propose(strategy, params, inputs.markets, inputs.book)
    orders, refused = review(
        proposals,
        inputs.book,
        strategy=strategy,
        limits=RiskLimits.model_validate(dict(setting.limits)),
        key_for=lambda wish: intent_key(setting.account, setting.session, setting.slot, strategy.name, wish),
        sectors=setting.sectors,
        session=setting.session,
        at=setting.reviewed_at,
    )
    selected = screen.selected(setting.session)
    return lines(selected, (*screen.refusals(setting.session), *unwished, *refused), proposals, orders)


def lines(
    selected: Sequence[Underlying],
    refusals: Iterable[Refusal],
    proposals: Iterable[Proposal],
    orders: Iterable[ApprovedOrder],
) -> tuple[Line, ...]:
    """A decision, step by step, in plain text."""
    return (
        *({"what": "selected", "underlying": name, "rank": str(n)} for n, name in enumerate(selected, 1)),
        *(_refused(refusal) for refusal in refusals),
        *(_proposed(proposal) for proposal in proposals),
        *(_approved(order) for order in orders),
    )


def _refused(refusal: Refusal) -> Line:
    return {
        "what": f"refused at {refusal.stage}",
        "underlying": refusal.underlying,
        "rule": refusal.rule,
        "value": refusal.value,
        "bound": refusal.bound,
        "detail": refusal.detail,
    }


def _proposed(proposal: Proposal) -> Line:
    return {
        "what": "proposed",
        "underlying": proposal.underlying,
        "structure": proposal.structure.symbol,
        "effect": proposal.effect.value,
        "limit": str(proposal.limit),
        "reason": proposal.reason,
        **{f"facts.{name}": str(value) for name, value in sorted(proposal.facts.items())},
    }


def _approved(approved: ApprovedOrder) -> Line:
    order = approved.order
    return {
        "what": "approved",
        "underlying": order.structure.underlying,
        "structure": order.structure.symbol,
        "quantity": str(order.quantity),
        "limit": str(order.limit),
        "max_loss": str(approved.review.max_loss),
        "client_order_id": order.client_order_id,
    }

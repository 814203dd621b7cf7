"""One run as one self-contained page: what it did, why, and whether the books close.

The page needs no script and no network. Everything it prints comes in through ``Report``; nothing is read
from a clock, a ledger or the environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wsb_core.domain.orders import OrderState
from wsb_core.domain.quotes import FeedClass

from . import format as fmt
from .figures import key_figures, ruined_on
from .pictures import charts, trade_cards
from .report import DecisionRow, Identity, OrderRow, Reconciliation, Report, Source

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 500
"""Rows a table shows; the page says how many there are in all."""


def render(report: Report) -> str:
    """The page as HTML text. Text from outside is escaped; no value is printed as NaN or None."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        figures=key_figures(report),
        warnings=warnings_of(report),
        verdicts=verdicts(report),
        classes=data_classes(report.sources),
        caveat=caveat(report.sources),
        charts=charts(report),
        trades=trade_cards(report),
        refusals=_refusals(report.decisions),
        most=MOST_ROWS,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the verdict: ``state`` is ``good``, ``bad`` or ``unknown``."""

    state: str
    text: str


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """Whether ledger and broker agree, whether the sum closes, and whether an order is in doubt."""
    return (_reconciled(report.reconciliation), _closes(report.identity), _orders_known(report.orders))


def _reconciled(seen: Reconciliation) -> Verdict:
    if seen.clean is None:
        return Verdict("unknown", "Not reconciled: ledger and broker were not compared.")
    if seen.clean and not seen.breaks:
        return Verdict("good", f"Reconciled {fmt.et_stamp(seen.at)}: ledger and broker agree.")
    count = len(seen.breaks)
    return Verdict(
        "bad", f"{count} reconciliation break{'' if count == 1 else 's'}: {'; '.join(seen.breaks)}"
    )


def _closes(identity: Identity | None) -> Verdict:
    if identity is None:
        return Verdict("unknown", "The profit identity could not be computed: a position has no mark.")
    text = str(identity)
    return Verdict("good" if identity.difference == 0 else "bad", f"{text[0].upper()}{text[1:]}.")


def _orders_known(orders: Sequence[OrderRow]) -> Verdict:
    doubtful = [order for order in orders if order.state is OrderState.UNKNOWN]
    if doubtful:
        names = ", ".join(str(order.client_order_id) for order in doubtful)
        return Verdict("bad", f"{len(doubtful)} of {len(orders)} orders in doubt at the broker: {names}.")
    return Verdict("good", f"No order in doubt: every one of {len(orders)} has the broker's answer.")


def data_classes(sources: Sequence[Source]) -> tuple[tuple[str, str], ...]:
    """Each kind of data with its class, in the order given, once."""
    return tuple(dict.fromkeys((source.feed.value, source.what) for source in sources))


def caveat(sources: Sequence[Source]) -> str:
    """What figures made of these sources can and cannot show; empty when all was quoted in real time."""
    feeds = {source.feed for source in sources}
    if not sources:
        return "Where the data came from is not known: no figure below can be trusted."
    if FeedClass.MODELLED in feeds:
        return (
            "Some prices were modelled, not quoted. This page shows that the code does what it says; "
            "it does not show what the strategy earns."
        )
    if FeedClass.REPLAYED in feeds:
        return "Prices are a replay of the past. Fills are simulated: real ones can be worse."
    if feeds - {FeedClass.REALTIME}:
        return "Some prices were delayed or indicative: figures that rest on them are approximate."
    return ""


def warnings_of(report: Report) -> tuple[str, ...]:
    """What a reader must know before any figure, the caller's own first."""
    found = list(report.warnings)
    unmarked = sum(trade.profit is None for trade in report.trades)
    if unmarked:
        found.append(f"{unmarked} of {len(report.trades)} trades have no mark: sums leave them out.")
    stopped = sum(row.effect == "run stopped" for row in report.checks)
    if stopped:
        found.append(f"{stopped} data check{'' if stopped == 1 else 's'} stopped a run; see Data checks.")
    ruin = ruined_on(report)
    if ruin is not None:
        found.append(f"Equity was gone on {ruin}: rates are measured up to that session.")
    if not report.equity:
        found.append("No session was completed: there is no equity to show.")
    return tuple(found)


def _refusals(decisions: Sequence[DecisionRow]) -> tuple[tuple[str, str, int], ...]:
    """How often each rule was the first to refuse, most often first."""
    counted = Counter((row.stage, row.rule) for row in decisions if row.outcome == "refused")
    return tuple((stage, rule, count) for (stage, rule), count in counted.most_common())


@lru_cache(maxsize=1)
def _environment() -> Environment:
    # Imported late: the command line prints most of its pages without a template.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("wsb_core.analytics"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_never_nothing,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = (
        fmt.words, fmt.money, fmt.price, fmt.percent, fmt.number, fmt.quantity, fmt.et_time, fmt.et_stamp,
        fmt.instrument_name, fmt.structure_name,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in formats})
    environment.filters["chart"] = Markup  # made by svg.py, which escapes every text it is given
    return environment


def _never_nothing(value: Any) -> Any:
    return fmt.DASH if value is None else value

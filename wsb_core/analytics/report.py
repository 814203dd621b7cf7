"""One run as one self-contained page: what it did, why, and whether the books close.

The page needs no script and no network. Everything it prints comes in through ``Report``; nothing is read
from a clock, a ledger or the environment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.checks import CheckReport, Severity
from wsb_core.domain.ids import Cash, ClientOrderId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, Fill, OrderState
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.structures import Structure

from . import format as fmt
from .figures import key_figures, ruined_on
from .pictures import charts, trade_cards
from .svg import Candle

if TYPE_CHECKING:
    from jinja2 import Environment

NOTHING = Cash(Decimal(0))
MOST_ROWS = 500
"""Rows a table shows; the page says how many there are in all."""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Equity at the end of ``session``; ``transfer`` is what was paid in (+) or out (-) during it."""

    session: date
    equity: Cash
    transfer: Cash = NOTHING


@dataclass(frozen=True, slots=True)
class Exit:
    """Units closed together, at a signed net price per share (credit +), by the exit rule that fired."""

    at: datetime
    quantity: int
    price: Price
    rule: str
    detail: str = ""

    @property
    def session(self) -> date:
        return self.at.astimezone(NEW_YORK).date()


@dataclass(frozen=True, slots=True)
class Trade:
    """One structure from opening to its last exit. ``entry`` is signed per share (debit -).

    ``profit`` is dollars after the fees that are known: realised, and for units still open their mark; None
    when they cannot be marked. ``fees`` is positive dollars, None when they are not attributed to trades.
    """

    strategy: StrategyName
    structure: Structure
    quantity: int
    entry: Price
    opened_at: datetime
    reason: str
    profit: Cash | None
    fees: Cash | None = None
    exits: tuple[Exit, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def underlying(self) -> Underlying:
        return self.structure.underlying

    @property
    def opened_session(self) -> date:
        return self.opened_at.astimezone(NEW_YORK).date()

    @property
    def open_quantity(self) -> int:
        return self.quantity - sum(leaving.quantity for leaving in self.exits)

    @property
    def closed(self) -> bool:
        return self.open_quantity == 0


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What became of one ticker in one session: for a refusal the first rule that said no."""

    session: date
    strategy: StrategyName
    underlying: Underlying
    outcome: str
    stage: str = ""
    rule: str = ""
    value: str = ""
    bound: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """An expectation that did not hold, and what it stopped: the run, a ticker, or nothing (a warning)."""

    session: date
    suite: str
    expectation: str
    effect: str
    observed: str
    rows: int | None = None
    examples: tuple[str, ...] = ()


def check_rows(session: date, report: CheckReport) -> tuple[CheckRow, ...]:
    """The failed expectations and quarantined tickers of one suite; empty when all of it held."""
    failed = [
        CheckRow(
            session,
            report.suite,
            finding.expectation,
            "run stopped" if finding.severity is Severity.CRITICAL else "warning",
            finding.observed,
            finding.bad_rows,
            tuple(", ".join(f"{k} {fmt.words(str(v))}" for k, v in row.items()) for row in finding.examples),
        )
        for finding in report.findings
        if not finding.passed
    ]
    taken_out = [
        CheckRow(session, report.suite, gone.expectation, f"{gone.ticker} quarantined", gone.detail)
        for gone in report.quarantined
    ]
    return (*failed, *taken_out)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the ledger ended up with it. Prices are signed per share (credit +, debit -)."""

    client_order_id: ClientOrderId
    strategy: StrategyName
    structure: Structure
    effect: Effect
    quantity: int
    limit: Price
    state: OrderState
    filled: int
    average: Price | None
    recorded_at: datetime
    broker_text: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one kind of data came from, such as ``shares`` or ``chains``, and how far it may be trusted."""

    what: str
    name: str
    feed: FeedClass
    first: date
    last: date
    rows: int | None = None
    digest: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The last comparison of ledger and broker; ``clean`` is None when there was none."""

    clean: bool | None
    at: datetime | None = None
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """The sum every page has to close: where the change of equity came from, in dollars.

    ``open_change`` is unrealised profit at the end less at the start; ``fees`` is positive; ``other`` is
    what was booked besides (dividends, interest, deposits +, withdrawals -).
    """

    equity_change: Cash
    realised: Cash
    open_change: Cash
    fees: Cash
    other: Cash = NOTHING

    @property
    def difference(self) -> Cash:
        return Cash(self.equity_change - (self.realised + self.open_change - self.fees + self.other))

    def __str__(self) -> str:
        other = f" + other {fmt.money(self.other, signed=True)}" if self.other else ""
        return (
            f"equity change {fmt.money(self.equity_change, signed=True)} = "
            f"realised {fmt.money(self.realised, signed=True)} "
            f"+ open {fmt.money(self.open_change, signed=True)} "
            f"{fmt.MINUS} fees {fmt.money(self.fees)}{other}, difference {fmt.money(self.difference)}"
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A place to look closer, such as the run in Prefect's own pages.

    Raises: ValueError unless ``url`` is http or https.
    """

    text: str
    url: str

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"link {self.text!r}: url must start with http:// or https://, not {self.url!r}")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows. ``mode`` is ``practice``, ``paper``, ``live`` or ``backtest``.

    ``initial`` is the equity before the first session; ``start`` its day. ``identity`` is None when it could
    not be computed. ``benchmark`` is a total-return level at ``start`` and at each session, or empty.
    """

    title: str
    mode: str
    made_at: datetime
    start: date
    initial: Cash
    equity: tuple[EquityPoint, ...]
    reconciliation: Reconciliation
    identity: Identity | None
    sources: tuple[Source, ...]
    trades: tuple[Trade, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    funnel: tuple[tuple[str, int], ...] = ()
    checks: tuple[CheckRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    fills: tuple[Fill, ...] = ()
    candles: Mapping[Underlying, tuple[Candle, ...]] = field(default_factory=dict)
    benchmark: tuple[float, ...] = ()
    benchmark_name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if self.initial <= 0:
            raise ValueError(
                f"initial must be the positive equity before the first session, not {self.initial}"
            )
        if self.benchmark and len(self.benchmark) != len(self.equity) + 1:
            raise ValueError(
                f"benchmark has {len(self.benchmark)} levels for {len(self.equity)} sessions: "
                "pass one for the start and one for each session"
            )

    @property
    def end(self) -> date:
        return self.equity[-1].session if self.equity else self.start


MODES = ("practice", "paper", "live", "backtest")


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

"""What one run did, why, and whether the books close: the data of the page and of the terminal's tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import urlsplit

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.checks import CheckReport, Severity
from wsb_core.domain.ids import Cash, ClientOrderId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, Fill, OrderState
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.structures import Structure

from . import format as fmt
from .svg import Candle

NOTHING = Cash(Decimal(0))


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

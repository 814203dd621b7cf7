"""Tables for a terminal, readable at 100 columns, with the same strings as the report.

Each function returns something rich can print. Text from outside is printed as it is: it cannot carry markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wsb_core.domain.ids import Cash, Price
from wsb_core.domain.orders import OrderState
from wsb_core.domain.positions import Position
from wsb_core.domain.quotes import FeedClass

from . import format as fmt
from .figures import key_figures
from .page import caveat, data_classes, verdicts, warnings_of
from .report import DecisionRow, OrderRow, Report

_STATE_STYLE = {"good": "green", "bad": "bold red", "unknown": "yellow"}
_STATE_SIGN = {"good": "✓", "bad": "✗", "unknown": "?"}
_TO_THE_MINUTE = len("2021-07-06 15:40")
_MODE_STYLE = {
    "practice": "bold white on blue",
    "paper": "bold white on magenta",
    "live": "bold white on red",
    "backtest": "bold white on grey37",
}


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A held structure with its mark; what is not known is None, with ``why``."""

    position: Position
    mark: Price | None
    profit: Cash | None
    feed: FeedClass | None
    quote_age: timedelta | None
    nearest_exit: str = ""
    why: str = "no two-sided quote"


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One probe: ``state`` is ``good``, ``bad`` or ``unknown``; ``remedy`` is what to do unless good."""

    name: str
    state: str
    detail: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.state not in _STATE_SIGN:
            raise ValueError(f"state of {self.name} must be good, bad or unknown, not {self.state!r}")


def summary(report: Report) -> RenderableType:
    """A run on one screen: mode and data classes, what they mean, warnings, verdict, figures."""
    head = Text()
    head.append(f" {report.mode.upper()} ", _MODE_STYLE[report.mode])
    for feed, what in data_classes(report.sources):
        head.append("  ").append(f"{feed.upper()} {what}", "" if feed == FeedClass.REALTIME else "yellow")
    lines: list[RenderableType] = [head, Text(report.title, "bold"), Text()]
    if text := caveat(report.sources):
        lines.append(Text(text, "yellow"))
    lines += [Text(f"! {warning}", "yellow") for warning in warnings_of(report)]
    lines += [_signed(verdict.state, verdict.text) for verdict in verdicts(report)]
    figures = _table(("", "dim"), ("", "right"))
    figures.add_column("", style="dim", overflow="fold", ratio=1)
    for figure in key_figures(report):
        style = {"gain": "green", "loss": "red"}.get(figure.tone, "")
        # A reason is prose: beside figures set to the right it would push their column wide.
        known = not figure.value.startswith(fmt.DASH)
        value = figure.value if known else fmt.DASH
        basis = figure.basis if known else figure.value.lstrip(f"{fmt.DASH} ")
        figures.add_row(Text(figure.label), Text(value, style), Text(basis))
    return Group(*lines, Text(), figures)


def tally(rows: Sequence[tuple[str, int]]) -> RenderableType:
    """How many candidates ended at each rule, in the order given."""
    table = _table(("Candidates", "right"), ("Ended at", ""))
    for rule, count in rows:
        table.add_row(str(count), rule)
    return table


def decisions(rows: Sequence[DecisionRow]) -> RenderableType:
    """Why each candidate was or was not traded: the first rule that refused it, value against bound."""
    if not rows:
        return Text("No candidate was recorded.")
    table = _table(
        ("Session", ""), ("Ticker", "bold"), ("Outcome", ""), ("Rule", ""), ("Value", "right"), ("Bound", "")
    )
    table.add_column("Detail", overflow="fold", ratio=1)
    for row in rows:
        rule = f"{row.stage}: {row.rule}" if row.rule else ""
        value, bound = (fmt.words(row.value), fmt.words(row.bound)) if row.rule else ("", "")
        cells = (row.session.isoformat(), row.underlying, row.outcome, rule, value, bound, row.detail)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def orders(rows: Sequence[OrderRow]) -> RenderableType:
    """Orders, those in doubt first. Prices per share, signed: + received, − paid."""
    if not rows:
        return Text("No order was recorded.")
    table = _table(("Recorded", ""))
    table.add_column("Structure", overflow="fold", ratio=1)
    for heading, side in (("Effect", ""), ("Filled", "right"), ("Limit", "right"), ("Average", "right")):
        _column(table, heading, side)
    _column(table, "State", "")
    for row in sorted(rows, key=lambda row: row.state is not OrderState.UNKNOWN):
        style = {OrderState.UNKNOWN: "bold yellow", OrderState.REJECTED: "red"}.get(row.state, "")
        name = Text.assemble(fmt.structure_name(row.structure), "\n", (row.client_order_id, "dim"))
        if row.broker_text:
            name.append(f"\n{row.broker_text}", style)
        table.add_row(
            Text(fmt.et_stamp(row.recorded_at)[:_TO_THE_MINUTE]),
            name,
            Text(row.effect),
            Text(f"{row.filled} of {row.quantity}"),
            Text(fmt.price(row.limit, signed=True)),
            Text(fmt.price(row.average, signed=True) if row.average is not None else fmt.DASH),
            Text(row.state.replace("_", " "), style),
        )
    table.caption = f"Times in ET. {fmt.DASH} in Average: nothing filled."
    return table


def positions(rows: Sequence[PositionRow]) -> RenderableType:
    """Held structures with mark, profit and how far the quote may be trusted."""
    if not rows:
        return Text("Nothing is held.")
    table = _table()
    table.add_column("Structure", overflow="fold", ratio=1)
    for name, style in (("Qty", "right"), ("Entry", "right"), ("Mark", "right"), ("Open profit", "right")):
        _column(table, name, style)
    table.add_column("Quote", overflow="fold")
    table.add_column("Next exit", overflow="fold", ratio=1)
    for row in rows:
        held = row.position
        tone = "" if row.profit is None else "green" if row.profit > 0 else "red" if row.profit < 0 else ""
        table.add_row(
            Text.assemble(fmt.structure_name(held.structure), "\n", (held.strategy, "dim")),
            Text(fmt.quantity(held.quantity)),
            Text(fmt.price(held.entry, signed=True)),
            Text(fmt.DASH if row.mark is None else fmt.price(row.mark, signed=True)),
            Text(fmt.DASH if row.profit is None else fmt.money(row.profit, signed=True), tone),
            _quote(row),
            Text(row.nearest_exit),
        )
    unmarked = sum(row.profit is None for row in rows)
    if unmarked:
        table.caption = f"{unmarked} of {len(rows)} without a mark: no total is printed."
    else:
        total = sum((row.profit for row in rows if row.profit is not None), Cash(Decimal(0)))
        table.caption = f"Open profit {fmt.money(total, signed=True)}"
    return table


def doctor(lines: Sequence[DoctorLine]) -> RenderableType:
    """Probes, the worst first, each with what to do about it."""
    order = {"bad": 0, "unknown": 1, "good": 2}
    table = _table(("", ""), ("", "bold"))
    table.add_column("", overflow="fold", ratio=1)
    for line in sorted(lines, key=lambda line: order[line.state]):
        text = Text(line.detail)
        if line.remedy and line.state != "good":
            text.append(f"\n→ {line.remedy}", "cyan")
        table.add_row(Text(_STATE_SIGN[line.state], _STATE_STYLE[line.state]), Text(line.name), text)
    return table


def _quote(row: PositionRow) -> Text:
    if row.mark is None or row.feed is None:
        return Text(row.why, "yellow")
    old = fmt.age(row.quote_age, why="age not known")
    if row.feed is FeedClass.REALTIME:
        return Text(f"{row.feed}, {old}")
    return Text(f"{row.feed.upper()}, {old}", "yellow")


def _signed(state: str, text: str) -> Text:
    return Text.assemble((f"{_STATE_SIGN[state]} ", _STATE_STYLE[state]), text)


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", caption_justify="left")
    table.show_header = any(name for name, _ in columns) or not columns
    for name, style in columns:
        _column(table, name, style)
    return table


def _column(table: Table, name: str, style: str) -> None:
    """A column that is never cut or wrapped: a figure that is cut is another figure."""
    right = style == "right"
    table.add_column(name, no_wrap=True, justify="right" if right else "left", style=None if right else style)

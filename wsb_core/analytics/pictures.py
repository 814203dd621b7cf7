"""The charts of a report: its equity, its profits, its funnel, and each trade on its underlying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsb_core.domain.quotes import FeedClass

from . import format as fmt
from . import svg
from .figures import returns_of
from .metrics import underwater

if TYPE_CHECKING:
    from .report import Report, Trade

MOST_CHARTS = 60
MOST_COLUMNS = 40
"""More closed trades than this are shown as a histogram."""
SESSIONS_BEFORE, SESSIONS_AFTER = 30, 10
"""Candles drawn before the entry and after the last exit."""


def charts(report: Report) -> dict[str, str]:
    """Every chart about the run as a whole, by name; empty text where there is nothing to draw."""
    sessions = [report.start, *(point.session for point in report.equity)]
    equity = [float(report.initial), *(float(point.equity) for point in report.equity)]
    drawdown = [0.0, *underwater(returns_of(report))]
    drawdown += drawdown[-1:] * (len(equity) - len(drawdown))  # lost for good where equity was gone
    common: dict[str, Any] = {
        "entries": [trade.opened_session for trade in report.trades],
        "exits": [leaving.session for trade in report.trades for leaving in trade.exits],
        "benchmark": [level * equity[0] / report.benchmark[0] for level in report.benchmark],
        "hatched": any(source.feed is FeedClass.MODELLED for source in report.sources),
    }
    profits = [float(t.profit) for t in report.trades if t.closed and t.profit is not None]
    spread = svg.histogram(profits) if len(profits) > MOST_COLUMNS else ()
    return {
        "wide": svg.equity_chart("equity", sessions, equity, drawdown, **common),
        "narrow": svg.equity_chart("equity-phone", sessions, equity, drawdown, width=400, **common),
        "profits": svg.bar_chart("profits", "Profit of each closed trade", _profit_bars(report.trades)),
        "spread": svg.bar_chart("spread", "How profits are spread", spread),
        "funnel": svg.funnel("funnel", "From universe to fill", report.funnel),
    }


def _profit_bars(trades: Sequence[Trade]) -> tuple[svg.Bar, ...]:
    closed = [trade for trade in trades if trade.closed and trade.profit is not None]
    if len(closed) > MOST_COLUMNS:
        return ()
    return tuple(
        svg.Bar(str(trade.underlying), float(trade.profit), fmt.money(trade.profit, signed=True))
        for trade in closed
        if trade.profit is not None
    )


@dataclass(frozen=True, slots=True)
class Card:
    """A trade with its name and its chart, which is empty text without prices."""

    trade: Trade
    name: str
    chart: str


def trade_cards(report: Report) -> tuple[Card, ...]:
    """The newest trades last, each with the candles around it."""
    shown = sorted(report.trades, key=lambda trade: trade.opened_at)[-MOST_CHARTS:]
    return tuple(
        Card(
            trade,
            fmt.structure_name(trade.structure),
            _trade_chart(f"trade-{i}", trade, report.candles.get(trade.underlying, ())),
        )
        for i, trade in enumerate(shown)
    )


def _trade_chart(ident: str, trade: Trade, candles: Sequence[svg.Candle]) -> str:
    name = fmt.structure_name(trade.structure)
    last = max((leaving.session for leaving in trade.exits), default=None) if trade.closed else None
    before = [candle for candle in candles if candle.session <= trade.opened_session][-SESSIONS_BEFORE:]
    during = [c for c in candles if c.session > trade.opened_session and (last is None or c.session <= last)]
    after = [c for c in candles if last is not None and c.session > last][:SESSIONS_AFTER]
    gain = None if trade.profit is None else trade.profit > 0
    marks = [svg.Mark(trade.opened_session, True, f"entry {trade.quantity} at {fmt.price(abs(trade.entry))}")]
    marks += [
        svg.Mark(out.session, False, f"{out.rule}: {out.quantity} at {fmt.price(abs(out.price))}", gain)
        for out in trade.exits
    ]
    strikes = sorted({contract.strike for contract in trade.structure.contracts})
    levels = [svg.Level(float(strike), f"strike {fmt.quantity(strike)}") for strike in strikes]
    return svg.price_chart(
        ident, f"{trade.underlying} around {name}", [*before, *during, *after], marks, levels
    )

"""Charts as SVG text: no script, no request, readable by a screen reader and on paper.

Colours come from CSS variables of the page (``--gain``, ``--loss``, ``--line``...), so that one chart serves
light, dark and print. Gain and loss never rest on colour alone: rising candles are hollow, signs are printed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from . import format as fmt

MOST_POINTS = 2000
_Label = Callable[[float], str]
_CHARACTER = 6.5
"""Width of an average character at the chart's font size, to keep labels inside."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One session of the underlying, dollars per share."""

    session: date
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something done on ``session``: entries point up from below, exits down from above."""

    session: date
    entry: bool
    label: str
    gain: bool | None = None
    """True for a profit, False for a loss, None where neither is known."""


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line, such as a strike."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One column; ``text`` is printed at its end, so that the height is never the only source."""

    label: str
    value: float
    text: str
    gain: bool | None = None
    """Whether it stands for profits or for losses; its sign says so when None."""


@dataclass(frozen=True, slots=True)
class _Plot:
    """A rectangle in pixels over ``count`` equal steps across and ``low`` to ``high`` upwards."""

    left: float
    top: float
    width: float
    height: float
    count: int
    low: float
    high: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, index: float) -> float:
        return self.left + self.width * index / max(1, self.count - 1)

    def y(self, value: float) -> float:
        return self.bottom - self.height * (value - self.low) / (self.high - self.low)


def decimate(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most ``most`` points: first, last, and the lowest and highest of each bucket, so no spike is lost.

    Raises: ValueError for ``most`` below 4.
    """
    if most < 4:
        raise ValueError(f"most must be at least 4, not {most}")
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    buckets = (most - 2) // 2
    kept = [points[0]]
    for number in range(buckets):
        bucket = inner[len(inner) * number // buckets : len(inner) * (number + 1) // buckets]
        extremes = {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
        kept += sorted(extremes)
    return [*kept, points[-1]]


def equity_chart(
    ident: str,
    sessions: Sequence[date],
    equity: Sequence[float],
    drawdown: Sequence[float],
    *,
    entries: Sequence[date] = (),
    exits: Sequence[date] = (),
    benchmark: Sequence[float] = (),
    hatched: bool = False,
    width: int = 960,
) -> str:
    """Equity in dollars with fills as ticks, and the drawdown (zero or negative) below it.

    The first entry of all three is the initial capital. ``hatched`` says that the values rest on modelled
    quotes. An empty string for fewer than two points.
    """
    count = len(equity)
    if count < 2:
        return ""
    low, high = _span([*equity, *benchmark])
    left = 14 + _CHARACTER * max(len(_dollars(low)), len(_dollars(high)))
    across = width - left - 10
    upper = _Plot(left, 12, across, 230, count, low, high)
    lower = _Plot(left, 292, across, 78, count, _bounds([*drawdown, -0.001])[0] * 1.08, 0.0)
    places = 2 if lower.low > -0.02 else 0
    line = _line(upper, equity)
    area = f"{line}L{upper.right:.1f} {upper.bottom:.1f}L{upper.left:.1f} {upper.bottom:.1f}Z"
    sunk = _line(lower, drawdown)
    parts = [
        _hatching(ident) if hatched else "",
        _grid(upper, _dollars),
        f'<path class="area" d="{area}"/>',
        f'<path style="fill:url(#{ident}-hatch)" d="{area}"/>' if hatched else "",
        f'<path class="benchmark" d="{_line(upper, benchmark)}"/>' if len(benchmark) == count else "",
        _reference(upper, equity[0]),
        f'<path class="line" d="{line}"/>',
        _ticks(upper, sessions, entries, "entry", up=True),
        _ticks(upper, sessions, exits, "exit", up=False),
        _grid(lower, lambda v: fmt.percent(v, places=places), most=3),
        f'<path class="sunk" d="{sunk}L{lower.right:.1f} {lower.top}L{lower.left:.1f} {lower.top}Z"/>',
        f'<path class="sunk-line" d="{sunk}"/>',
        _text(lower.left, lower.top - 7, "drawdown", css="caption"),
        _dates(lower, sessions),
    ]
    title = f"Equity from {sessions[0]} to {sessions[-1]}"
    story = (
        f"From {fmt.money(equity[0])} to {fmt.money(equity[-1])}, lowest {fmt.money(min(equity))}, "
        f"highest {fmt.money(max(equity))}, deepest drawdown {fmt.percent(min(drawdown), places=2)}; "
        f"{len(entries)} entries and {len(exits)} exits."
    )
    return _figure(ident, title, story, width, 396, parts)


def price_chart(
    ident: str,
    title: str,
    candles: Sequence[Candle],
    marks: Sequence[Mark] = (),
    levels: Sequence[Level] = (),
    width: int = 480,
) -> str:
    """Daily candles of an underlying with where it was entered and left, and its strikes as dashed lines.

    Rising candles are hollow. Marks on sessions that are not drawn are left out of the picture and named in
    its description. An empty string for no candle.
    """
    if not candles:
        return ""
    place = {candle.session: index for index, candle in enumerate(candles)}
    above = [mark for mark in marks if mark.session in place and not mark.entry]
    below = [mark for mark in marks if mark.session in place and mark.entry]
    values = [v for candle in candles for v in (candle.low, candle.high)]
    low, high = _span([*values, *_near(levels, values)])
    left = 16 + _CHARACTER * len(_per_share(high))
    top, height = 10 + 15 * len(above), 150
    plot = _Plot(left + 6, top, width - left - 20, height, len(candles), low, high)
    drawn = [
        _grid(plot, _per_share),
        *(_level(plot, level) for level in levels if low <= level.value <= high),
        _candles(plot, candles),
        *(_mark(plot, mark, place, candles, 11 + 15 * row) for row, mark in enumerate(above)),
        *(_mark(plot, mark, place, candles, plot.bottom + 16 + 15 * row) for row, mark in enumerate(below)),
    ]
    foot = plot.bottom + 15 * len(below)
    drawn.append(_dates(plot, [candle.session for candle in candles], foot))
    acts = [f"{'entry' if mark.entry else 'exit'} {mark.session}: {mark.label}" for mark in marks]
    story = (
        f"Close {fmt.price(candles[0].close)} on {candles[0].session}, {fmt.price(candles[-1].close)} on "
        f"{candles[-1].session}. {'; '.join([*acts, *(level.label for level in levels)])}"
    )
    return _figure(ident, title, story, width, foot + 26, drawn)


def bar_chart(ident: str, title: str, bars: Sequence[Bar], width: int = 480) -> str:
    """Columns above and below zero, each with its text. An empty string for no bar."""
    if not bars:
        return ""
    low, high = _bounds([0.0, *(bar.value for bar in bars)])
    reach = (high - low) or 1.0
    slot = (width - 16) / len(bars)
    plot = _Plot(8, 20, width - 16, 140, len(bars) + 1, low - (reach * 0.12 if low < 0 else 0), high or 0.001)
    shows = slot >= _CHARACTER * max(len(bar.text) for bar in bars)
    every = max(1, math.ceil(_CHARACTER * (2 + max(len(bar.label) for bar in bars)) / slot))
    zero, parts = plot.y(0), []
    for index, bar in enumerate(bars):
        x, y = plot.left + slot * index, plot.y(bar.value)
        css = "gain" if (bar.value > 0 if bar.gain is None else bar.gain) else "loss"
        wide = min(slot * 0.76, 56)
        parts.append(
            f'<rect class="bar {css}" x="{x + (slot - wide) / 2:.1f}" y="{min(y, zero):.1f}" '
            f'width="{wide:.1f}" height="{max(1.0, abs(zero - y)):.1f}">'
            f"<title>{escape(bar.label)}: {escape(bar.text)}</title></rect>"
        )
        if shows:
            parts.append(_text(x + slot / 2, y - 5 if bar.value >= 0 else y + 13, bar.text, "middle", "ink"))
        if index % every == 0:
            half = _CHARACTER * len(bar.label) / 2
            at = min(max(x + slot / 2, half), width - half)
            parts.append(_text(at, plot.bottom + 18, bar.label, "middle"))
    parts.append(f'<path class="axis" d="M{plot.left} {zero:.1f}H{plot.right}"/>')
    story = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    return _figure(ident, title, story, width, plot.bottom + 28, parts)


def histogram(values: Sequence[float], bins: int = 9) -> tuple[Bar, ...]:
    """Counts of dollar amounts in equal bins, one of whose edges is zero; labelled by the lower edge."""
    if not values:
        return ()
    step = _step(max(values) - min(values), bins)
    first, last = math.floor(min(values) / step), math.floor(max(values) / step)
    counts = dict.fromkeys(range(first, last + 1), 0)
    for value in values:
        counts[math.floor(value / step)] += 1
    return tuple(
        Bar(f"{_dollars(number * step)} to {_dollars((number + 1) * step)}", count, str(count), number >= 0)
        for number, count in counts.items()
    )


def funnel(ident: str, title: str, stages: Sequence[tuple[str, int]], width: int = 480) -> str:
    """How many were left after each stage, widest first. An empty string for no stage."""
    if not stages:
        return ""
    left = 14 + _CHARACTER * max(len(name) for name, _ in stages)
    most = max(1, *(count for _, count in stages))
    room = width - left - 100
    parts = []
    for row, (name, count) in enumerate(stages):
        y = 8 + 26 * row
        wide = max(2.0, room * count / most)
        lost = stages[row - 1][1] - count if row else 0
        parts.append(_text(left - 8, y + 14, name, "end", "ink"))
        parts.append(f'<rect class="stage" x="{left:.1f}" y="{y}" width="{wide:.1f}" height="19" rx="2"/>')
        after = f"{count:,}" + (f"  ({fmt.MINUS}{lost:,})" if lost > 0 else "")
        parts.append(_text(left + wide + 7, y + 14, after, css="ink"))
    story = ", ".join(f"{name} {count}" for name, count in stages)
    return _figure(ident, title, story, width, 14 + 26 * len(stages), parts)


def _figure(ident: str, title: str, story: str, width: float, height: float, parts: Iterable[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'aria-labelledby="{ident}-title {ident}-desc" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{ident}-title">{escape(title)}</title><desc id="{ident}-desc">{escape(story)}</desc>'
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", css: str = "") -> str:
    name = f' class="{css}"' if css else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{name}{side} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _line(plot: _Plot, values: Sequence[float]) -> str:
    points = decimate([(float(index), value) for index, value in enumerate(values)])
    return "M" + "L".join(f"{plot.x(index):.1f} {plot.y(value):.1f}" for index, value in points)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = _bounds(values)
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    return low - margin, high + margin


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    if not all(map(math.isfinite, values)):
        raise ValueError("a chart needs finite values: leave out what is not known")
    return min(values), max(values)


def _step(reach: float, most: int) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that cuts ``reach`` into ``most`` at most."""
    rough = (reach or 1.0) / most
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next((power * m for m in (1, 2, 2.5, 5) if power * m >= rough), power * 10)


def _grid(plot: _Plot, label: _Label, most: int = 5) -> str:
    step = _step(plot.high - plot.low, most)
    values = [step * n for n in range(math.ceil(plot.low / step), math.floor(plot.high / step) + 1)]
    lines = "".join(f"M{plot.left:.1f} {plot.y(v):.1f}H{plot.right:.1f}" for v in values)
    texts = "".join(_text(plot.left - 8, plot.y(v) + 4, label(v), "end") for v in values)
    return f'<path class="grid" d="{lines}"/>{texts}'


def _dates(plot: _Plot, sessions: Sequence[date], bottom: float | None = None) -> str:
    """First and last session always, and as many between as fit."""
    y = (plot.bottom if bottom is None else bottom) + 19
    last = len(sessions) - 1
    if last < 1:
        return _text(plot.left, y, _day(sessions[0]))
    pieces = max(1, min(last, int(plot.width // 135)))
    places = sorted({round(last * n / pieces) for n in range(pieces + 1)})
    texts = []
    for place in places:
        anchor = "start" if place == 0 else "end" if place == last else "middle"
        texts.append(_text(plot.x(place), y, _day(sessions[place]), anchor))
    return "".join(texts)


def _day(session: date) -> str:
    return f"{session.day} {session:%b %Y}"


def _reference(plot: _Plot, value: float) -> str:
    return f'<path class="reference" d="M{plot.left:.1f} {plot.y(value):.1f}H{plot.right:.1f}"/>'


def _ticks(plot: _Plot, sessions: Sequence[date], days: Sequence[date], css: str, *, up: bool) -> str:
    """Fills in a strip under the plot: entries in its upper row, exits in its lower."""
    place = {session: index for index, session in enumerate(sessions)}
    y = plot.bottom + (7 if up else 17)
    thick = min(2.0, plot.width / plot.count * 0.6)
    lines = "".join(f"M{plot.x(place[day]):.1f} {y:.1f}v7" for day in days if day in place)
    return f'<path class="tick {css}" stroke-width="{thick:.2f}" d="{lines}"/>' if lines else ""


def _hatching(ident: str) -> str:
    return (
        f'<defs><pattern id="{ident}-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0V7"/></pattern></defs>'
    )


def _near(levels: Sequence[Level], values: Sequence[float]) -> list[float]:
    """The levels close enough to the prices to be worth the room."""
    low, high = min(values), max(values)
    reach = (high - low) or high * 0.02
    return [level.value for level in levels if low - reach / 2 <= level.value <= high + reach / 2]


def _level(plot: _Plot, level: Level) -> str:
    y = plot.y(level.value)
    line = f'<path class="level" d="M{plot.left:.1f} {y:.1f}H{plot.right:.1f}"/>'
    return line + _text(plot.left + 4, y - 4, level.label, css="caption")


def _candles(plot: _Plot, candles: Sequence[Candle]) -> str:
    half = max(0.6, min(5.0, plot.width / max(1, len(candles)) * 0.32))
    shapes: dict[str, list[str]] = {"gain": [], "loss": []}
    for index, candle in enumerate(candles):
        x = plot.x(index)
        top, foot = plot.y(max(candle.open, candle.close)), plot.y(min(candle.open, candle.close))
        foot = max(foot, top + 0.8)
        shapes["gain" if candle.close >= candle.open else "loss"].append(
            f"M{x:.1f} {plot.y(candle.high):.1f}V{top:.1f}M{x:.1f} {foot:.1f}V{plot.y(candle.low):.1f}"
            f"M{x - half:.1f} {top:.1f}h{2 * half:.1f}V{foot:.1f}h{-2 * half:.1f}z"
        )
    return "".join(f'<path class="candle {css}" d="{"".join(d)}"/>' for css, d in shapes.items() if d)


def _mark(plot: _Plot, mark: Mark, place: dict[date, int], candles: Sequence[Candle], label_y: float) -> str:
    index = place[mark.session]
    x = plot.x(index)
    edge = plot.y(candles[index].low) + 4 if mark.entry else plot.y(candles[index].high) - 4
    reach = 8 if mark.entry else -8
    css = "entry" if mark.entry else {True: "gain", False: "loss", None: "flat"}[mark.gain]
    stem = f'<path class="stem" d="M{x:.1f} {edge + reach:.1f}V{label_y + (-11 if mark.entry else 3):.1f}"/>'
    head = f'<path class="mark {css}" d="M{x:.1f} {edge:.1f}l-5 {reach}h10z"/>'
    half = _CHARACTER * len(mark.label) / 2
    at = min(max(x, plot.left + half), plot.right - half)
    return stem + head + _text(at, label_y, mark.label, "middle", f"ink {css}")


def _dollars(value: float) -> str:
    if abs(value) >= 1_000_000:
        return fmt.money(value / 1_000_000) + "M"
    return fmt.money(value).removesuffix(".00") if abs(value) >= 100 or value == 0 else fmt.money(value)


def _per_share(value: float) -> str:
    return fmt.number(value, places=0 if abs(value) >= 1000 else 2)

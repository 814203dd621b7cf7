from __future__ import annotations

import re
from datetime import date
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.reports import SESSIONS, some_candles, weekdays
from wsb_core.analytics import svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script>"&'


def parse(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def texts(chart: str) -> list[str]:
    return [node.text or "" for node in parse(chart).iter(f"{SVG}text")]


def inside(chart: str) -> bool:
    """Whether every label and every absolute position of a path lies on the canvas."""
    root = parse(chart)
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    places = [(float(n.attrib["x"]), float(n.attrib["y"])) for n in root.iter(f"{SVG}text")]
    for node in root.iter(f"{SVG}path"):
        if node.attrib.get("class") != "hatch":
            pairs = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", node.attrib["d"])
            places += [(float(x), float(y)) for x, y in pairs]
    return all(-1 <= x <= width + 1 and -1 <= y <= height + 1 for x, y in places)


def an_equity_chart(**changes):
    equity = [100_000.0 + 10 * n * (-1) ** n for n in range(len(SESSIONS))]
    drawdown = [min(0.0, value / 100_200 - 1) for value in equity]
    return svg.equity_chart("e", SESSIONS, equity, drawdown, **changes)


def test_a_short_line_is_kept_whole():
    points = [(0.0, 1.0), (1.0, 2.0)]

    assert svg.decimate(points) == points


def test_no_spike_is_lost_in_a_long_line():
    values = [0.0] * 50_000
    values[12_345], values[40_001] = 9.0, -9.0

    kept = svg.decimate([(float(x), y) for x, y in enumerate(values)])

    assert len(kept) <= 2000
    assert (12_345.0, 9.0) in kept
    assert (40_001.0, -9.0) in kept
    assert (kept[0][0], kept[-1][0]) == (0.0, 49_999.0)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_decimation_keeps_extremes_order_and_size(values, most):
    points = [(float(x), y) for x, y in enumerate(values)]

    kept = svg.decimate(points, most)

    assert len(kept) <= max(most, 1)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert {min(y for _, y in points), max(y for _, y in points)} <= {y for _, y in kept}


def test_every_chart_has_a_title_and_a_description_it_is_labelled_by():
    charts = [
        an_equity_chart(),
        svg.price_chart("p", "AAPL", some_candles("AAPL", 235.0)),
        svg.bar_chart("b", "profits", svg.histogram([1.0, 2.0, -5.0])),
        svg.funnel("f", "funnel", [("universe", 400), ("filled", 1)]),
    ]

    for chart in charts:
        root = parse(chart)
        named = {node.attrib["id"]: node.text for node in root if node.tag in (f"{SVG}title", f"{SVG}desc")}
        assert root.attrib["aria-labelledby"].split() == list(named)
        assert all(named.values())


def test_the_first_and_last_session_are_on_the_axis():
    labels = texts(an_equity_chart())

    assert "4 May 2010" in labels
    assert "31 May 2010" in labels


def test_fills_are_ticks_and_those_outside_the_window_are_left_out():
    chart = an_equity_chart(entries=(SESSIONS[2], date(1999, 1, 4)), exits=(SESSIONS[5],))

    ticks = {
        node.attrib["class"]: node.attrib["d"]
        for node in parse(chart).iter(f"{SVG}path")
        if "tick" in node.attrib.get("class", "")
    }
    assert {name: d.count("M") for name, d in ticks.items()} == {"tick entry": 1, "tick exit": 1}


def test_modelled_values_are_hatched():
    assert "e-hatch" in an_equity_chart(hatched=True)
    assert "e-hatch" not in an_equity_chart()


def test_marks_say_what_was_done_and_strikes_are_lines():
    candles = some_candles("AAPL", 235.0)
    marks = [
        svg.Mark(candles[40].session, True, "entry 2 at 6.45"),
        svg.Mark(candles[42].session, False, "profit_target: 2 at 9.02", True),
    ]

    chart = svg.price_chart("p", "AAPL", candles, marks, [svg.Level(candles[0].close, "strike 235")])

    assert {"entry 2 at 6.45", "profit_target: 2 at 9.02", "strike 235"} <= set(texts(chart))
    assert inside(chart)


def test_a_strike_far_away_does_not_squash_the_prices():
    chart = svg.price_chart(
        "p", "AAPL", some_candles("AAPL", 235.0), levels=[svg.Level(9_000.0, "strike 9000")]
    )

    assert "strike 9000" not in texts(chart)
    assert "strike 9000" in parse(chart).find(f"{SVG}desc").text


def test_rising_and_falling_candles_differ_in_shape_not_only_in_colour():
    up = svg.Candle(SESSIONS[0], 10.0, 12.0, 9.0, 11.0)
    down = svg.Candle(SESSIONS[1], 10.0, 12.0, 9.0, 9.5)

    classes = [
        node.attrib.get("class") for node in parse(svg.price_chart("p", "x", [up, down])).iter(f"{SVG}path")
    ]

    assert "candle gain" in classes
    assert "candle loss" in classes


def test_text_from_outside_cannot_become_markup():
    candles = some_candles("AAPL", 235.0)
    charts = [
        svg.price_chart(
            "p", HOSTILE, candles, [svg.Mark(candles[9].session, True, HOSTILE)], [svg.Level(235, HOSTILE)]
        ),
        svg.bar_chart("b", HOSTILE, [svg.Bar(HOSTILE, 1.0, HOSTILE)]),
        svg.funnel("f", HOSTILE, [(HOSTILE, 3)]),
    ]

    assert not any(node.tag.endswith("script") for chart in charts for node in parse(chart).iter())
    assert all(HOSTILE in "".join(parse(chart).itertext()) for chart in charts)


def test_a_value_that_is_not_known_cannot_be_drawn():
    unknown = float("nan")
    attempts = (
        lambda: svg.equity_chart("e", SESSIONS[:3], [1.0, unknown, 2.0], [0.0, 0.0, 0.0]),
        lambda: svg.equity_chart("e", SESSIONS[:3], [1.0, 1.0, 2.0], [0.0, unknown, 0.0]),
        lambda: svg.price_chart("p", "x", [svg.Candle(SESSIONS[0], 1.0, unknown, 1.0, 1.0)]),
        lambda: svg.bar_chart("b", "x", [svg.Bar("a", 1.0, ""), svg.Bar("b", unknown, "")]),
    )

    for attempt in attempts:
        with pytest.raises(ValueError, match="finite"):
            attempt()


def test_nothing_to_draw_is_empty_text():
    assert svg.equity_chart("e", SESSIONS[:1], [1.0], [0.0]) == ""
    assert svg.price_chart("p", "x", []) == ""
    assert svg.bar_chart("b", "x", []) == ""
    assert svg.funnel("f", "x", []) == ""


def test_a_histogram_counts_every_value_once_and_splits_at_zero():
    bars = svg.histogram([-120.0, -1.0, 0.0, 3.0, 250.0], bins=5)

    assert sum(bar.value for bar in bars) == 5
    assert [bar.label for bar in bars if bar.label.startswith("$0")] != []


def test_a_funnel_prints_how_many_were_left_and_lost():
    assert {"412", "23 (−389)"} <= {
        text.replace("  ", " ")
        for text in texts(svg.funnel("f", "funnel", [("universe", 412), ("screened", 23)]))
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(1.0, 1e7), min_size=2, max_size=60), st.sampled_from([400, 960]))
def test_an_equity_chart_stays_on_its_canvas(equity, width):
    peak = max(equity)
    chart = svg.equity_chart(
        "e", weekdays(SESSIONS[0], len(equity)), equity, [v / peak - 1 for v in equity], width=width
    )

    assert inside(chart)
    assert "nan" not in chart


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.5, 5000.0), min_size=1, max_size=60), st.integers(0, 59))
def test_a_price_chart_stays_on_its_canvas(closes, at):
    days = weekdays(SESSIONS[0], len(closes))
    candles = [
        svg.Candle(day, close, close * 1.01, close * 0.99, close)
        for day, close in zip(days, closes, strict=True)
    ]
    marks = [svg.Mark(days[at % len(days)], entry, "x" * 12) for entry in (True, False, False)]

    assert inside(svg.price_chart("p", "x", candles, marks))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_bars_stay_on_their_canvas(values):
    assert inside(svg.bar_chart("b", "x", [svg.Bar("AAPL", value, "$1.00") for value in values]))

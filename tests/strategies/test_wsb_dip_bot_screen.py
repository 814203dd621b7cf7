from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.builders import SESSION, a_dip, a_panel
from wsb_core.domain.ids import Underlying
from wsb_core.strategies.wsb_dip_bot import ORIGINAL, Params, screen

AAPL = Underlying("AAPL")
DRAWDOWN = Params(variant="drawdown")
LENGTH = len(a_dip())


def busy(last: float = 2.0) -> np.ndarray:
    """Volumes of which the last is ``last`` times the usual."""
    return np.array([50e6] * (LENGTH - 1) + [50e6 * last])


def rising(growth: float = 1.0004, last: float = 1.0) -> np.ndarray:
    """An index that grows by the day, and on the last one moves to ``last`` of where it stood."""
    level = 400 * growth ** np.arange(LENGTH)
    level[-1] = level[-2] * last
    return level


def value(found, rule: str) -> float:
    return float(next(r for r in found.rules if r.name == rule).value["AAPL"].iloc[-1])


def test_classic_measures_the_run_to_yesterday_and_the_fall_today():
    found = screen(a_panel({"AAPL": a_dip(run=0.25, fall=0.06)}), Params())

    assert value(found, "run") == pytest.approx(0.25)
    assert value(found, "dip") == pytest.approx(-0.06)
    assert found.selected(SESSION) == (AAPL,)
    assert found.refusals(SESSION) == ()


def test_classic_asks_more_of_a_volatile_name():
    calm = a_dip(fall=0.04)
    wild = [close * (1.04 if i % 2 else 1.0) for i, close in enumerate(calm[:-11])] + calm[-11:]

    found = screen(a_panel({"CALM": calm, "WILD": wild}), Params())

    assert found.selected(SESSION) == (Underlying("CALM"),)


def test_drawdown_measures_from_the_intraday_low_to_the_high_that_follows():
    closes = a_dip(run=0.25, fall=0.06)
    high, low = max(closes[-11:-1]) * 1.005, min(closes[-16:-11]) * 0.995

    found = screen(a_panel({"AAPL": closes}, volume=busy()), DRAWDOWN)

    assert value(found, "run") == pytest.approx(high / low - 1)
    assert value(found, "dip") == pytest.approx(1 - closes[-1] / high)
    assert found.selected(SESSION) == (AAPL,)


def test_scored_needs_four_points_and_gets_them_from_a_deep_dip_on_volume():
    deep, shallow = a_dip(fall=0.08), a_dip(fall=0.06)

    found = screen(a_panel({"DEEP": deep, "FLAT": shallow}, volume=busy()), ORIGINAL)

    assert found.selected(SESSION) == (Underlying("DEEP"),)
    assert [(r.underlying, r.rule, r.value) for r in found.refusals(SESSION)] == [("FLAT", "score", "2")]


@pytest.mark.parametrize("params", [DRAWDOWN, ORIGINAL], ids=["drawdown", "scored"])
def test_the_high_a_dip_is_measured_from_is_of_completed_sessions(params):
    panel = a_panel({"AAPL": a_dip(fall=0.08)}, volume=busy())
    spiked = panel.high.copy()
    spiked.iloc[-1] *= 1.2

    plain, after = (screen(p, params) for p in (panel, replace(panel, high=spiked)))

    assert value(after, "run") == value(plain, "run")
    assert value(after, "dip") == value(plain, "dip")


@pytest.mark.parametrize(
    ("params", "closes"),
    [
        (Params(), a_dip(run=0.08)),
        (Params(), a_dip(fall=0.02)),
        (DRAWDOWN, a_dip(run=0.15)),
        (DRAWDOWN, a_dip(fall=0.02)),
        (DRAWDOWN, a_dip(fall=0.20)),
        (ORIGINAL, a_dip(run=0.15)),
        (ORIGINAL, a_dip(fall=0.02)),
    ],
    ids=[
        "classic run",
        "classic dip",
        "drawdown run",
        "drawdown shallow",
        "drawdown deep",
        "scored run",
        "scored dip",
    ],
)
def test_without_run_and_dip_there_is_no_candidate(params, closes):
    found = screen(a_panel({"AAPL": closes}, volume=busy()), params)

    assert not found.candidates.iloc[-1].any()
    assert found.selected(SESSION) == ()


@pytest.mark.parametrize(
    ("rule", "params", "world"),
    [
        ("relative_volume", DRAWDOWN, {"volume": busy(1.4)}),
        ("score", ORIGINAL, {"volume": busy(1.4)}),
        ("dollar_volume", Params(), {"volume": 1e6}),
        ("trend", Params(), {"closes": {"AAPL": a_dip(fall=0.25)}}),
        ("benchmark_trend", Params(), {"benchmark": rising(growth=0.9996)}),
        ("benchmark_trend", Params(), {"benchmark": None}),
        ("market_fall", Params(), {"benchmark": rising(growth=1.004, last=0.92)}),
        ("market_fall", Params(benchmark_sessions=None), {"benchmark": None}),
    ],
)
def test_each_rule_refuses_alone(rule, params, world):
    found = screen(a_panel(**world), params)

    failing = [r.name for r in found.rules if not r.holds["AAPL"].iloc[-1]]

    assert bool(found.candidates["AAPL"].iloc[-1])
    assert [refusal.rule for refusal in found.refusals(SESSION)] == [rule]
    assert failing[0] == rule
    assert failing == [rule] or world.get("benchmark", 0) is None


@pytest.mark.parametrize(
    ("params", "world"),
    [
        (Params(trend_sessions=None), {"closes": {"AAPL": a_dip(fall=0.25)}}),
        (Params(benchmark_sessions=None), {"benchmark": rising(growth=0.9996)}),
    ],
    ids=["trend", "benchmark"],
)
def test_a_trend_rule_can_be_switched_off(params, world):
    assert screen(a_panel(**world), params).selected(SESSION) == (AAPL,)


def test_the_first_rule_that_refuses_is_the_one_on_record():
    found = screen(a_panel({"AAPL": a_dip(fall=0.25)}, volume=1e6, benchmark=None), Params())

    assert [refusal.rule for refusal in found.refusals(SESSION)] == ["dollar_volume"]


def test_too_little_history_never_fires():
    found = screen(a_panel({"AAPL": a_dip()[-40:]}), Params())

    assert not found.candidates.any().any()


def test_deeper_falls_rank_first():
    found = screen(a_panel({"B": a_dip(fall=0.05), "A": a_dip(fall=0.05), "Z": a_dip(fall=0.07)}), Params())

    assert found.selected(SESSION) == ("Z", "A", "B")

"""What every strategy promises, run over the registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wsb_core.strategies
from tests.builders import AAPL, DIP_BOT, SESSION, a_book, a_chain, a_market, a_panel, a_quote, sessions_up_to
from wsb_core.domain.orders import Proposal
from wsb_core.domain.strategy import AnyStrategy, Panel, StrategyParams
from wsb_core.strategies import STRATEGIES

CASES = [
    pytest.param(strategy, params, id=f"{name}-{preset}")
    for name, strategy in STRATEGIES.items()
    for preset, params in strategy.presets.items()
]
# A variant that no preset uses.
_DIP_BOT = STRATEGIES[DIP_BOT]
CASES.append(
    pytest.param(_DIP_BOT, _DIP_BOT.params.model_copy(update={"variant": "drawdown"}), id="drawdown")
)
LENGTH = 320


def a_random_panel(seed: int) -> Panel:
    """Three volatile names and an index on ordinary sessions."""
    rng = np.random.default_rng(seed)
    days = pd.DatetimeIndex([pd.Timestamp(day) for day in sessions_up_to(SESSION, LENGTH)])
    names = ["AAPL", "MSFT", "NVDA"]

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=days, columns=names)

    close = 100 * np.exp(np.cumsum(rng.normal(0.003, 0.035, (LENGTH, 3)), axis=0))
    opened = close * np.exp(rng.normal(0, 0.01, close.shape))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    volume = rng.lognormal(18, 0.5, close.shape)
    index = pd.Series(400 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, LENGTH))), index=days)
    return Panel(frame(opened), frame(high), frame(low), frame(close), frame(volume), index)


def mapped(panel: Panel, change) -> Panel:
    wide = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    return Panel(*map(change, wide), benchmark=change(panel.benchmark))


def scrambled_after(panel: Panel, row: int) -> Panel:
    """The same past up to ``row``, and another future."""

    def change(data):
        new = data.copy()
        new.iloc[row + 1 :] = data.iloc[row + 1 :].to_numpy()[::-1] * 1.7
        return new

    return mapped(panel, change)


def decisions(strategy: AnyStrategy, params: StrategyParams, panel: Panel, row: int) -> pd.DataFrame:
    """Everything the screen says of one session, as one table."""
    screen = strategy.screen(panel, params)
    parts = {"score": screen.score, "candidate": screen.candidates.astype(float)}
    for rule in screen.rules:
        parts |= {f"{rule.name} value": rule.value, f"{rule.name} holds": rule.holds.astype(float)}
    return pd.DataFrame({name: frame.iloc[row] for name, frame in parts.items()})


def test_every_file_of_the_folder_is_listed():
    folder = Path(wsb_core.strategies.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert files == set(STRATEGIES)


@pytest.mark.parametrize(("strategy", "params"), CASES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), row=st.integers(0, LENGTH - 2))
def test_no_screen_looks_ahead(strategy, params, seed, row):
    panel = a_random_panel(seed)
    known = panel.upto(panel.close.index[row].date())

    expected = decisions(strategy, params, known, -1)

    pd.testing.assert_frame_equal(decisions(strategy, params, panel, row), expected)
    pd.testing.assert_frame_equal(decisions(strategy, params, scrambled_after(panel, row), row), expected)


@pytest.mark.parametrize(("strategy", "params"), CASES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_bars_a_strategy_asks_for_are_enough(strategy, params, seed):
    panel = a_random_panel(seed)
    needs = strategy.needs(params)
    # Completed sessions, and the one in progress; the index has a history of its own.
    short = mapped(panel, lambda data: data.iloc[-(needs.bars + 1) :])
    short = replace(short, benchmark=panel.benchmark.iloc[-(needs.benchmark_bars + 1) :])

    whole = decisions(strategy, params, panel, -1)

    assert whole.notna().to_numpy().mean() > 0.5
    pd.testing.assert_frame_equal(decisions(strategy, params, short, -1), whole, rtol=1e-5)


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_every_strategy_is_silent_on_an_empty_chain(strategy, params):
    market = a_market()

    wishes = strategy.propose(market, a_book(), params)

    assert market.chain == a_chain()
    assert not [wish for wish in wishes if isinstance(wish, Proposal)]
    assert [wish.underlying for wish in wishes] == [AAPL]


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_every_strategy_says_the_same_twice(strategy, params):
    market, book, panel = a_market(a_quote()), a_book(), a_panel()

    wishes = [strategy.propose(market, book, params) for _ in range(2)]
    screens = [decisions(strategy, params, panel, -1) for _ in range(2)]

    assert wishes[0] == wishes[1]
    pd.testing.assert_frame_equal(*screens)


@pytest.mark.parametrize(("strategy", "params"), CASES)
def test_every_strategy_has_notes_on_what_to_expect(strategy, params):
    assert len(strategy.notes(params)) > 100


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda s: s.name)
def test_presets_are_named_and_the_default_is_one_of_them(strategy):
    assert {name: params.preset for name, params in strategy.presets.items()} == {
        name: name for name in strategy.presets
    }
    assert strategy.presets["default"] == strategy.params
    assert "original" in strategy.presets


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda s: s.name)
def test_a_strategys_own_risk_is_inside_the_limits_of_the_house(strategy):
    assert 0 < strategy.max_risk_per_trade <= 0.01
    assert strategy.max_risk_per_trade <= strategy.max_total_risk <= 0.20

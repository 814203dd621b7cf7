from __future__ import annotations

import pytest

from wsb_core.domain.errors import ConfigError
from wsb_core.strategies import STRATEGIES
from wsb_core.universes import load_universe, sectors


def test_every_name_of_every_strategys_universe_has_a_sector():
    names = {ticker for strategy in STRATEGIES.values() for ticker in strategy.universe}

    assert names
    assert names <= set(sectors())


def test_a_universe_says_when_it_was_drawn_up():
    universe = load_universe("wsb_dip_bot")

    assert len(universe.tickers) == 16
    assert universe.drawn_up.year == 2026


def test_a_missing_universe_names_the_file_to_add():
    with pytest.raises(ConfigError, match=r"no_such_list\.yaml in its folder; add the file"):
        load_universe("no_such_list")


def test_a_file_that_is_no_universe_is_refused():
    with pytest.raises(ConfigError, match="needs drawn_up"):
        load_universe("sectors")

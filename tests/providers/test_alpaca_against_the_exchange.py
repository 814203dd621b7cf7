"""The data adapter against the practice exchange's server: real HTTP, real client library, no script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pandas as pd
import pytest

from tests.exchange.server.market import AAPL, MSFT, SmallMarket, ny
from wsb_core.domain.errors import BadResponse
from wsb_core.domain.ports import MarketData
from wsb_core.domain.quotes import FeedClass, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread
from wsb_core.providers.alpaca import AlpacaData

KEY, SECRET = next(iter(PRACTICE_KEYS.items()))
DAY, WINDOW = date(2026, 3, 2), ChainWindow(5, 30)
CHAIN = "/v1beta1/options/snapshots/AAPL"


@pytest.fixture
def url() -> Iterator[str]:
    with ServerThread(
        Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    ) as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


@pytest.fixture
def market(url: str) -> MarketData:
    access = {"base_url": url, "trading_url": url, "key": KEY, "secret": SECRET, "practice": True}
    return AlpacaData(**access, stock_feed="iex", option_feed="indicative", deadline_seconds=20)


def test_completed_bars_and_the_session_so_far_do_not_overlap(market: MarketData) -> None:
    bars, today = market.bars([AAPL, MSFT], date(2026, 2, 20), DAY), market.today([AAPL, MSFT])

    assert bars.frame["session"].max() == pd.Timestamp("2026-02-27")
    assert bars.frame.groupby("symbol").size().to_dict() == {"AAPL": 6, "MSFT": 6}
    assert today.frame["session"].unique().tolist() == [pd.Timestamp(DAY)]
    assert bars.frame.dtypes.to_dict() == today.frame.dtypes.to_dict()
    assert (bars.missing, today.missing) == ((), ())
    assert bars.provenance.feed is FeedClass.REPLAYED


def test_todays_bar_is_complete_once_the_session_is(market: MarketData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-02 16:05"))

    bars = market.bars([AAPL], DAY, DAY)

    assert bars.frame["close"].tolist() == [103.9]


def test_quotes_are_two_sided_in_session_and_have_no_side_out_of_it(
    market: MarketData, control: PracticeControl
) -> None:
    during = market.quotes([AAPL])[AAPL]
    control.advance_to(ny("2026-03-02 18:00"))
    after = market.quotes([AAPL])[AAPL]

    assert isinstance(during, Quote)
    assert during.two_sided
    assert isinstance(after, Quote)
    assert (after.bid, after.ask) == (None, None)


def test_a_chain_is_whole_graded_and_inside_its_window(market: MarketData) -> None:
    chain = market.chain(AAPL, WINDOW, DAY)

    assert {expiry.isoformat() for expiry in chain.expiries()} == {"2026-03-13", "2026-03-20", "2026-03-27"}
    assert len(chain) == 3 * 9 * 2
    assert {quote.open_interest for quote in chain} == {1000}
    assert {quote.quote.provenance.feed for quote in chain} == {FeedClass.MODELLED}
    assert all(quote.quote.two_sided and quote.delta is not None for quote in chain)


def test_absent_greeks_stay_absent(market: MarketData, control: PracticeControl) -> None:
    control.fault("greeks_absent", path=CHAIN, times=10)

    chain = market.chain(AAPL, WINDOW, DAY)

    assert {(quote.delta, quote.iv) for quote in chain} == {(None, None)}


def test_fm_50_quotes_at_zero_leave_the_chain_without_prices(
    market: MarketData, control: PracticeControl
) -> None:
    control.fault("quotes_zero", path=CHAIN)

    chain = market.chain(AAPL, WINDOW, DAY)

    assert {(quote.bid, quote.ask) for quote in chain} == {(None, None)}


@pytest.mark.parametrize("path", [CHAIN, "/v2/options/contracts"])
def test_fm_41_a_chain_of_which_a_part_is_cut_off_is_not_read(
    path: str, market: MarketData, control: PracticeControl
) -> None:
    control.fault("truncate", path=path)

    with pytest.raises(BadResponse):
        market.chain(AAPL, WINDOW, DAY)

"""The Polygon source against the practice exchange's server: real HTTP, real client library, no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from tests.exchange.server.market import AAPL, DIVIDEND_DAY, MSFT, SPLIT_DAY, SPY, SmallMarket, ny
from tests.exchange.server.test_replayed_market import ACME, INDEX, a_history
from wsb_core.domain.errors import BadResponse, ProviderRefused, ProviderUnavailable
from wsb_core.domain.events import CashDividend, EarningsDate, ReportTime, Split, Yields
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import FeedClass, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.exchange.client import PracticeControl
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.feed import DailyBarFeed
from wsb_core.exchange.model import Settings
from wsb_core.exchange.server import PRACTICE_KEYS, ServerThread
from wsb_core.exchange.server.almanac import Almanac
from wsb_core.providers.alpaca import AlpacaData
from wsb_core.providers.polygon import PolygonData

KEY = next(iter(PRACTICE_KEYS))
DAY, WINDOW = date(2026, 3, 2), ChainWindow(5, 30)
NOPE = Underlying("NOPE")
CHAIN, CONTRACTS = "/v3/snapshot/options/AAPL", "/v3/reference/options/contracts"
SNAPSHOTS = "/v2/snapshot/locale/us/markets/stocks/tickers"
TOLD = Provenance("made by hand", FeedClass.REPLAYED, datetime(2026, 2, 27, tzinfo=UTC))
REPORTS = {
    AAPL: (EarningsDate(AAPL, date(2026, 3, 5), ReportTime.AFTER_CLOSE, True, TOLD),),
    MSFT: (EarningsDate(MSFT, date(2026, 4, 20), ReportTime.UNKNOWN, False, TOLD),),
}
YIELDS = tuple(Yields(date(2026, 2, day), {0.25: 3.6, 10.0: 4.1}, TOLD) for day in (25, 26, 27))


@pytest.fixture
def url() -> Iterator[str]:
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange, almanac=Almanac(earnings=REPORTS, yields=YIELDS)) as base:
        yield base


@pytest.fixture
def control(url: str) -> PracticeControl:
    return PracticeControl(url, deadline_seconds=20)


def source(url: str, deadline_seconds: float = 20.0) -> PolygonData:
    return PolygonData(
        url,
        KEY,
        stock_feed="realtime",
        option_feed="realtime",
        practice=True,
        deadline_seconds=deadline_seconds,
    )


@pytest.fixture
def data(url: str) -> Iterator[PolygonData]:
    made = source(url)
    yield made
    # An open connection would hold up the server's end.
    made._http._client.client.clear()


READS: dict[DataKind, Callable[[PolygonData], Any]] = {
    DataKind.BARS: lambda data: data.bars([AAPL], date(2026, 2, 20), DAY),
    DataKind.RAW_BARS: lambda data: data.raw_bars([AAPL], date(2026, 2, 20), DAY),
    DataKind.TODAY: lambda data: data.today([AAPL]),
    DataKind.QUOTES: lambda data: data.quotes([AAPL]),
    DataKind.CHAIN: lambda data: data.chain(AAPL, WINDOW, DAY),
    DataKind.EARNINGS: lambda data: data.earnings([AAPL], DAY, date(2026, 3, 20)),
    DataKind.ACTIONS: lambda data: data.corporate_actions([MSFT], DAY, date(2026, 3, 20)),
    DataKind.YIELDS: lambda data: data.yields(date(2026, 2, 25), DAY),
}
PATHS = {
    DataKind.BARS: "/v2/aggs/",
    DataKind.RAW_BARS: "/v2/aggs/",
    DataKind.TODAY: SNAPSHOTS,
    DataKind.QUOTES: SNAPSHOTS,
    DataKind.CHAIN: CHAIN,
    DataKind.EARNINGS: "/benzinga/v1/earnings",
    DataKind.ACTIONS: "/v3/reference/dividends",
    DataKind.YIELDS: "/fed/v1/treasury-yields",
}


def test_it_serves_exactly_the_kinds_it_lists(data: PolygonData) -> None:
    assert data.services.keys() == READS.keys()
    assert {kind for kind in DataKind if hasattr(data, kind.value)} == READS.keys()


@pytest.fixture(scope="module")
def standing_url() -> Iterator[str]:
    """A server for many tests, none of which moves its clock."""
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange, almanac=Almanac(earnings=REPORTS, yields=YIELDS)) as base:
        yield base


@pytest.fixture
def standing(standing_url: str) -> Iterator[PracticeControl]:
    control = PracticeControl(standing_url, deadline_seconds=20)
    yield control
    control.clear_faults()


def asked(control: PracticeControl, path: str) -> int:
    return sum(n for where, n in control.state()["requests"].items() if path in where)


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "truncate"}, BadResponse),
        ({"kind": "empty"}, BadResponse),
        ({"kind": "drop"}, ProviderUnavailable),
        ({"kind": "ratelimit"}, ProviderUnavailable),
        ({"kind": "html502"}, ProviderUnavailable),
        ({"kind": "status", "status": 503}, ProviderUnavailable),
        ({"kind": "status", "status": 404, "body": {"message": "no such route"}}, ProviderRefused),
    ],
    ids=lambda value: f"{value['kind']}-{value.get('status', '')}" if isinstance(value, dict) else "",
)
def test_fm_41_every_kind_raises_under_every_fault_and_asks_once(
    kind: DataKind,
    fault: dict[str, Any],
    error: type[Exception],
    standing_url: str,
    standing: PracticeControl,
) -> None:
    before = asked(standing, PATHS[kind])
    standing.fault(**fault, path=PATHS[kind])

    with pytest.raises(error):
        READS[kind](source(standing_url))
    assert asked(standing, PATHS[kind]) == before + 1


@pytest.mark.parametrize("kind", READS)
def test_fm_63_every_kind_gives_up_at_its_deadline(
    kind: DataKind, standing_url: str, standing: PracticeControl
) -> None:
    standing.fault("stall", path=PATHS[kind], seconds=1)

    with pytest.raises(ProviderUnavailable, match="no answer"):
        READS[kind](source(standing_url, deadline_seconds=0.3))


def test_a_dead_exchange_is_unavailable() -> None:
    with pytest.raises(ProviderUnavailable):
        source("http://127.0.0.1:1").quotes([AAPL])


def test_a_key_that_is_not_the_exchanges_is_refused_and_not_told(url: str) -> None:
    data = PolygonData(url, "another-key", stock_feed="delayed", option_feed="delayed", practice=True)

    with pytest.raises(ProviderRefused, match="POLYGON_API_KEY or MASSIVE_API_KEY") as refusal:
        data.status()
    assert "another-key" not in str(refusal.value)


def test_completed_bars_and_the_session_so_far_do_not_overlap(data: PolygonData) -> None:
    bars, today = data.bars([AAPL, NOPE], date(2026, 2, 20), DAY), data.today([AAPL, NOPE])

    assert bars.frame["session"].max() == pd.Timestamp("2026-02-27")
    assert len(bars.frame) == 6
    assert today.frame["session"].tolist() == [pd.Timestamp(DAY)]
    assert bars.frame.dtypes.to_dict() == today.frame.dtypes.to_dict()
    assert [missing.underlying for missing in bars.missing + today.missing] == [NOPE, NOPE]
    assert (bars.provenance.feed, bars.provenance.source) == (FeedClass.REPLAYED, "practice exchange")
    assert bars.provenance.as_of == ny("2026-02-27 16:00")


def test_todays_bar_is_complete_when_its_close_has_settled(
    data: PolygonData, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-02 16:19"))
    early = data.bars([AAPL], DAY, DAY)
    control.advance_to(ny("2026-03-02 16:20"))
    late = data.bars([AAPL], DAY, DAY)

    assert [missing.underlying for missing in early.missing] == [AAPL]
    assert late.frame["close"].tolist() == [103.9]


def test_bars_are_the_feeds_own_adjusted_ones(data: PolygonData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-20 10:00"))
    symbols, first, last = [AAPL, MSFT, SPY], date(2026, 3, 5), date(2026, 3, 19)

    bars = data.bars(symbols, first, last).frame

    own = SmallMarket().daily_bars(symbols, first, date(2026, 3, 20), adjusted=True)
    own = own[own["session"] <= pd.Timestamp(last)].sort_values(["symbol", "session"], ignore_index=True)
    pd.testing.assert_frame_equal(bars, own, check_dtype=False, rtol=1e-6)


def test_raw_bars_are_as_they_were_traded(data: PolygonData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-20 10:00"))

    bars = data.raw_bars([MSFT, SPY], date(2026, 3, 9), date(2026, 3, 9))

    assert bars.frame["close"].tolist() == [103.9, 103.9]
    assert not bars.adjusted


def test_bars_of_a_past_span_are_adjusted_for_what_came_after_it(
    data: PolygonData, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-20 10:00"))

    bars = data.bars([MSFT, SPY], date(2026, 3, 5), date(2026, 3, 5)).frame

    assert bars["close"].tolist() == pytest.approx([103.9 - 0.75, 103.9 / 2])


def test_quotes_are_two_sided_in_session_and_have_no_side_out_of_it(
    data: PolygonData, control: PracticeControl
) -> None:
    during = data.quotes([AAPL, NOPE])
    control.advance_to(ny("2026-03-02 18:00"))
    after = data.quotes([AAPL])[AAPL]

    quote = during[AAPL]
    assert isinstance(quote, Quote)
    assert (str(quote.bid), str(quote.ask), quote.bid_size) == ("100.29", "100.31", 1000)
    assert quote.provenance == Provenance(
        "practice exchange", FeedClass.REPLAYED, ny("2026-03-02 10:00").astimezone(UTC)
    )
    assert isinstance(during[NOPE], Missing)
    assert isinstance(after, Quote)
    assert (after.bid, after.ask, after.provenance.as_of) == (None, None, ny("2026-03-02 16:00"))


def test_before_the_open_there_is_no_session_so_far(data: PolygonData, control: PracticeControl) -> None:
    control.advance_to(ny("2026-03-03 09:00"))

    today = data.today([AAPL])

    assert today.frame.empty
    assert today.missing == (Missing(AAPL, "no bar of 2026-03-03 yet"),)


def test_on_a_weekend_fridays_bar_is_not_the_session_so_far(
    data: PolygonData, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-07 12:00"))

    today = data.today([AAPL])

    assert today.frame.empty


def test_a_chain_is_whole_graded_and_inside_its_window(data: PolygonData) -> None:
    chain = data.chain(AAPL, WINDOW, DAY)

    assert {expiry.isoformat() for expiry in chain.expiries()} == {"2026-03-13", "2026-03-20", "2026-03-27"}
    assert len(chain) == 3 * 9 * 2
    assert {quote.open_interest for quote in chain} == {1000}
    assert {quote.volume for quote in chain} == {10}
    assert {quote.quote.provenance.feed for quote in chain} == {FeedClass.MODELLED}
    assert chain.provenance.as_of == ny("2026-03-02 10:00")
    assert all(quote.quote.two_sided and quote.delta is not None and quote.iv for quote in chain)


def test_the_chain_is_the_one_the_alpaca_side_of_the_same_exchange_tells(url: str, data: PolygonData) -> None:
    access = {"base_url": url, "trading_url": url, "key": KEY, "secret": PRACTICE_KEYS[KEY], "practice": True}
    alpaca = AlpacaData(**access, stock_feed="sip", option_feed="opra", deadline_seconds=20)

    ours, theirs = (each.chain(AAPL, WINDOW, DAY) for each in (data, alpaca))

    def plain(chain: Any) -> set[Any]:
        return {(q.contract, q.bid, q.ask, q.iv, q.delta, q.open_interest, q.volume) for q in chain}

    assert plain(ours) == plain(theirs)


def test_an_index_has_a_chain_and_bars_and_no_quote() -> None:
    window, first = ChainWindow(4, 20), date(2026, 2, 2)
    with ServerThread(Exchange(DailyBarFeed(a_history()), ny("2026-03-02 10:00"))) as url:
        data = source(url)
        chain, shares = data.chain(INDEX, window, DAY), data.chain(ACME, window, DAY)
        bars = data.bars([INDEX, ACME], first, DAY)
        quotes = data.quotes([INDEX, ACME])
        actions = data.corporate_actions([INDEX, ACME], first, DAY)

    assert {(quote.contract.underlying, quote.contract.standard) for quote in chain} == {(INDEX, True)}
    assert len(chain) > 250
    assert any(quote.quote.two_sided for quote in chain)
    assert any(quote.quote.two_sided for quote in shares)
    assert bars.frame.groupby("symbol").size().to_dict() == {"ACME": 19, "SPX": 19}
    assert isinstance(quotes[INDEX], Missing)
    assert isinstance(quotes[ACME], Quote)
    assert actions == {INDEX: (), ACME: ()}


def test_fm_50_quotes_at_zero_leave_the_chain_without_prices(
    data: PolygonData, control: PracticeControl
) -> None:
    control.fault("quotes_zero", path=CHAIN)

    chain = data.chain(AAPL, WINDOW, DAY)

    assert len(chain) == 54
    assert {(quote.bid, quote.ask) for quote in chain} == {(None, None)}


def test_fm_51_crossed_quotes_are_no_two_sided_ones(data: PolygonData, control: PracticeControl) -> None:
    control.fault("quotes_crossed", path=CHAIN)

    assert not any(quote.quote.two_sided for quote in data.chain(AAPL, WINDOW, DAY))


def test_stale_quotes_are_as_old_as_they_are(data: PolygonData, control: PracticeControl) -> None:
    control.fault("quotes_stale", path=CHAIN, seconds=3600)
    control.fault("quotes_stale", path=SNAPSHOTS, seconds=60)

    chain, quote = data.chain(AAPL, WINDOW, DAY), data.quotes([AAPL])[AAPL]

    assert chain.provenance.as_of == ny("2026-03-02 09:00")
    assert isinstance(quote, Quote)
    assert quote.provenance.as_of == ny("2026-03-02 09:59")


def test_absent_greeks_stay_absent(data: PolygonData, control: PracticeControl) -> None:
    control.fault("greeks_absent", path=CHAIN)

    chain = data.chain(AAPL, WINDOW, DAY)

    assert {(quote.delta, quote.gamma, quote.theta, quote.vega, quote.iv) for quote in chain} == {
        (None, None, None, None, None)
    }


@pytest.mark.parametrize("path", [CHAIN, CONTRACTS])
def test_fm_41_a_chain_of_which_a_later_page_is_cut_off_is_not_read(
    path: str, data: PolygonData, control: PracticeControl
) -> None:
    wide = ChainWindow(0, 30)
    for _ in range(5):
        # Each halves the page that was asked for, so that there is a second one.
        control.fault("short_page", path=path, times=None)
    whole = data.chain(AAPL, wide, DAY)
    control.fault("truncate", path=path, nth=2)

    with pytest.raises(BadResponse):
        data.chain(AAPL, wide, DAY)
    assert len(whole) == 72


def test_pages_that_lead_back_to_themselves_are_no_end(data: PolygonData, control: PracticeControl) -> None:
    control.fault("repeat_page_token", path=CHAIN, times=None)
    for _ in range(5):
        control.fault("short_page", path=CHAIN, times=None)

    with pytest.raises(BadResponse):
        data.chain(AAPL, WINDOW, DAY)


def test_dividends_and_splits_are_told_as_far_as_they_are_known(
    data: PolygonData, control: PracticeControl
) -> None:
    control.advance_to(ny("2026-03-05 10:00"))

    found = data.corporate_actions([AAPL, MSFT, SPY, NOPE], DAY, date(2026, 4, 30))

    told = Provenance("practice exchange", FeedClass.REPLAYED, ny("2026-03-05 10:00").astimezone(UTC))
    assert found[AAPL] == ()
    [dividend], [split] = found[MSFT], found[SPY]  # type: ignore[misc]
    assert isinstance(dividend, CashDividend)
    assert (dividend.ex_date, str(dividend.amount), dividend.provenance) == (DIVIDEND_DAY, "0.75", told)
    assert isinstance(split, Split)
    assert (split.ex_date, split.ratio) == (SPLIT_DAY, 2)
    assert isinstance(found[NOPE], Missing)


def test_yields_are_in_percent_by_day_with_the_tenors_that_are_there(data: PolygonData) -> None:
    found = data.yields(date(2026, 2, 26), DAY)

    assert [(each.day.day, dict(each.percent)) for each in found] == [
        (26, {0.25: 3.6, 10.0: 4.1}),
        (27, {0.25: 3.6, 10.0: 4.1}),
    ]
    assert found[-1].provenance.as_of == ny("2026-02-27 15:30")
    assert data.yields(date(2026, 2, 28), DAY) == ()


def test_announcements_are_told_and_an_unknown_name_is_not_without_any(data: PolygonData) -> None:
    found = data.earnings([AAPL, MSFT, NOPE], DAY, date(2026, 3, 20))

    [report] = found[AAPL]  # type: ignore[misc]
    assert (report.day, report.time, report.confirmed) == (date(2026, 3, 5), ReportTime.AFTER_CLOSE, True)
    assert report.provenance.as_of == TOLD.as_of
    assert found[MSFT] == ()
    assert isinstance(found[NOPE], Missing)


def test_a_key_without_the_earnings_subscription_is_told_what_it_lacks() -> None:
    exchange = Exchange(SmallMarket(), ny("2026-03-02 10:00"), Settings(partial_fill_every=0))
    with ServerThread(exchange) as url:
        data = source(url)
        with pytest.raises(ProviderRefused, match=r"not entitled.*plan of this key"):
            data.earnings([AAPL], DAY, date(2026, 3, 20))
        with pytest.raises(ProviderRefused, match="404"):
            data.yields(DAY, DAY)

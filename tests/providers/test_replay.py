"""The replay answers with what the store knew at its instant, and says what it does not know."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.market.history import (
    FIRST,
    LAST,
    LATER,
    MONDAY,
    MUCH_LATER,
    TUESDAY,
    WEDNESDAY,
    a_snapshot,
    after_close,
    some_bars,
    some_rows,
)
from wsb_core.domain.contracts import Right
from wsb_core.domain.errors import ProviderRefused
from wsb_core.domain.events import CashDividend, Renamed, ReportTime, Split
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import ActionsSource, DataKind, EarningsSource, MarketData, Missing
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.strategy import ChainWindow
from wsb_core.market.history import HistoryStore, Whole, known_at_close
from wsb_core.providers.replay import ReplayStore

AAPL, MSFT = Underlying("AAPL"), Underlying("MSFT")
NOON = datetime(2024, 5, 15, 16, tzinfo=UTC)
NEAR, FAR = "AAPL  240614C00190000", "AAPL  250117P00190000"


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    return HistoryStore(tmp_path)


def replay(store: HistoryStore, at: datetime = MUCH_LATER) -> ReplayStore:
    return ReplayStore(store, lambda: at)


def whole(first: date = FIRST, last: date = LAST, *symbols: str) -> Whole:
    return Whole(symbols or ("AAPL",), first, last, "test")


def test_bars_are_those_completed_and_known_by_now_adjusted(store: HistoryStore):
    store.write("daily", known_at_close(some_bars({"AAPL": (400.0, 404.0, 102.0)})))
    store.write("splits", some_rows(("symbol", "ex_date", "ratio"), ("AAPL", WEDNESDAY, 4.0)), LATER)

    then = replay(store, after_close(TUESDAY)).bars([AAPL, MSFT], FIRST, LAST)
    now = replay(store).bars([AAPL], FIRST, LAST)
    raw = replay(store).raw_bars([AAPL], FIRST, LAST)

    assert list(then.frame["close"]) == [400.0, 404.0]
    assert list(now.frame["close"]) == [100.0, 101.0, 102.0]
    assert list(raw.frame["close"]) == [400.0, 404.0, 102.0]
    assert not raw.adjusted
    assert list(then.frame) == ["symbol", "session", "open", "high", "low", "close", "volume"]
    assert then.adjusted
    assert (then.provenance.source, then.provenance.feed) == ("test, replayed", FeedClass.REPLAYED)
    assert then.provenance.as_of == datetime(2024, 5, 14, 20, tzinfo=UTC)
    [missing] = then.missing
    assert missing == Missing(
        MSFT, "no daily bar from 2024-01-01 to 2024-12-31 was recorded by 2024-05-14T21:30:00+00:00"
    )


def test_a_symbol_that_cannot_be_adjusted_is_missing_with_the_reason_and_the_others_come(store: HistoryStore):
    store.write("daily", some_bars({"AAPL": (1.0, 2.0), "MSFT": (3.0, 4.0)}), LATER)
    store.write("dividends", some_rows(("symbol", "ex_date", "amount"), ("AAPL", TUESDAY, 5.0)), LATER)

    bars = replay(store).bars([AAPL, MSFT], FIRST, LAST)

    assert list(bars.frame["close"]) == [3.0, 4.0]
    [missing] = bars.missing
    assert missing.underlying == AAPL
    assert "pays 5 on 2024-05-14" in missing.reason


def test_no_bar_at_all_is_an_empty_frame_of_the_same_shape(store: HistoryStore):
    bars = replay(store).bars([AAPL], FIRST, LAST)

    assert bars.frame.empty
    assert str(bars.frame["session"].dtype) == "datetime64[ns]"
    assert [missing.underlying for missing in bars.missing] == [AAPL]


def test_a_session_in_progress_and_quotes_are_refused(store: HistoryStore):
    source = replay(store)

    with pytest.raises(ProviderRefused, match="completed sessions only"):
        source.today([AAPL])
    with pytest.raises(ProviderRefused, match="no quotes of shares"):
        source.quotes([AAPL])
    assert not {DataKind.TODAY, DataKind.QUOTES} & source.services.keys()


def test_it_serves_what_it_says_it_does_and_all_of_it_is_replayed(store: HistoryStore):
    data: MarketData = replay(store)
    earnings: EarningsSource = replay(store)
    actions: ActionsSource = replay(store)

    services = earnings.services

    assert actions.services == services
    assert all(callable(getattr(data, kind)) for kind in services)
    assert {service.feed for service in services.values()} == {FeedClass.REPLAYED}


def test_a_chain_is_the_newest_snapshot_of_the_session_known_by_now(store: HistoryStore):
    for minutes, bid in ((0, 5.0), (10, 5.5), (20, 6.0)):
        at = NOON + timedelta(minutes=minutes)
        store.write("chain", a_snapshot(at, (NEAR, bid, bid + 0.1)), at + timedelta(minutes=1))

    chain = replay(store, NOON + timedelta(minutes=15)).chain(AAPL, ChainWindow(0, 60), WEDNESDAY)

    [quote] = chain
    assert (quote.bid, quote.ask) == (Decimal("5.5"), Decimal("5.6"))
    assert chain.provenance.as_of == NOON + timedelta(minutes=10)
    assert chain.provenance.feed is FeedClass.REPLAYED


def test_a_chain_is_narrowed_to_the_window(store: HistoryStore):
    put = NEAR.replace("C", "P")
    rows = a_snapshot(NOON, (NEAR, 5.0, 5.1), (put, 5.0, 5.1), (FAR, 9.0, 9.1))
    store.write("chain", rows, LATER)

    def symbols(window: ChainWindow) -> list[str]:
        return [quote.contract.occ_symbol for quote in replay(store).chain(AAPL, window, WEDNESDAY)]

    assert symbols(ChainWindow(0, 365)) == [NEAR, put, FAR]
    assert symbols(ChainWindow(30, 30)) == [NEAR, put]
    assert symbols(ChainWindow(31, 365)) == [FAR]
    assert symbols(ChainWindow(0, 365, (Right.CALL,))) == [NEAR]


def test_what_was_not_quoted_and_not_given_is_none(store: HistoryStore):
    rows = a_snapshot(NOON, (NEAR, np.nan, 0.05), open_interest=7.0, delta=0.35)
    store.write("chain", rows.assign(quoted_at=NOON - timedelta(minutes=3)), LATER)

    [option] = replay(store).chain(AAPL, ChainWindow(0, 60), WEDNESDAY)

    assert (option.bid, option.ask, option.mid) == (None, Decimal("0.05"), None)
    assert (option.open_interest, option.volume, option.delta, option.iv) == (7, None, 0.35, None)
    assert option.quote.provenance.as_of == NOON - timedelta(minutes=3)
    assert option.contract.standard


def test_a_contract_that_delivers_something_else_says_so(store: HistoryStore):
    rows = a_snapshot(NOON, ("AAPL7 240614C00190000", 5.0, 5.1), (NEAR, 5.0, 5.1), standard=[True, False])
    store.write("chain", rows.assign(multiplier=[700, 100]), LATER)

    chain = replay(store).chain(AAPL, ChainWindow(0, 60), WEDNESDAY)

    assert [(option.contract.root, option.contract.multiplier) for option in chain] == [
        ("AAPL", 100),
        ("AAPL7", 700),
    ]
    assert not any(option.contract.standard for option in chain)


def test_a_session_without_a_snapshot_is_refused_and_not_empty(store: HistoryStore):
    store.write("chain", a_snapshot(NOON, (NEAR, 5.0, 5.1)), LATER)

    with pytest.raises(ProviderRefused, match="no chain of AAPL in session 2024-05-14 was recorded by now"):
        replay(store).chain(AAPL, ChainWindow(0, 60), TUESDAY)
    with pytest.raises(ProviderRefused, match="no chain of AAPL in session 2024-05-15"):
        replay(store, NOON).chain(AAPL, ChainWindow(0, 60), WEDNESDAY)


def test_announcements_come_by_day_from_every_source_as_known_by_now(store: HistoryStore):
    columns = ("symbol", "day", "time", "confirmed")
    first = some_rows(columns, ("AAPL", date(2024, 8, 1), "unknown", None))
    store.write("earnings", first, LATER, whole=whole())
    other = some_rows(columns, ("AAPL", date(2024, 7, 31), "after_close", True)).assign(source="other")
    store.write("earnings", other, LATER)

    [early, late] = replay(store).earnings([AAPL], FIRST, LAST)[AAPL]

    assert (early.day, early.time, early.confirmed) == (date(2024, 7, 31), ReportTime.AFTER_CLOSE, True)
    assert (late.day, late.time, late.confirmed) == (date(2024, 8, 1), ReportTime.UNKNOWN, None)
    assert (late.provenance.source, late.provenance.as_of) == ("test, replayed", LATER)


def test_nothing_announced_is_empty_where_it_was_asked_and_missing_where_it_was_not(store: HistoryStore):
    nothing = some_rows(("symbol", "day", "time"))
    store.write("earnings", nothing, LATER, whole=whole(MONDAY, LAST))

    source = replay(store)

    assert source.earnings([AAPL], MONDAY, LAST) == {AAPL: ()}
    assert source.earnings([AAPL, MSFT], FIRST, LAST) == {
        AAPL: Missing(
            AAPL, "earnings from 2024-01-01 to 2024-12-31 are not covered; 2024-05-13 to 2024-12-31 is"
        ),
        MSFT: Missing(MSFT, "earnings from 2024-01-01 to 2024-12-31 are not covered; nothing is"),
    }
    assert replay(store, LATER - timedelta(seconds=1)).earnings([AAPL], MONDAY, LAST) != {AAPL: ()}


def test_actions_are_dividends_splits_and_renamings_by_day(store: HistoryStore):
    dividend = some_rows(("symbol", "ex_date", "amount", "special"), ("AAPL", WEDNESDAY, 0.25, False))
    store.write("dividends", dividend.assign(pay_date=pd.Timestamp(2024, 5, 30)), LATER, whole=whole())
    store.write(
        "splits", some_rows(("symbol", "ex_date", "ratio"), ("AAPL", TUESDAY, 0.1)), LATER, whole=whole()
    )
    names = some_rows(
        ("instrument", "symbol", "first", "last"),
        ("apple", "APPL", date(2000, 1, 3), date(2024, 5, 10)),
        ("apple", "AAPL", MONDAY, None),
    )
    store.write("identity", names, LATER)

    [renamed, split, paid] = replay(store).corporate_actions([AAPL], FIRST, LAST)[AAPL]

    assert isinstance(split, Split)
    assert (split.ex_date, split.ratio) == (TUESDAY, Decimal("0.1"))
    assert isinstance(renamed, Renamed)
    assert (renamed.old, renamed.new, renamed.day) == ("APPL", "AAPL", MONDAY)
    assert isinstance(paid, CashDividend)
    assert (paid.amount, paid.pay_date, paid.special) == (Decimal("0.25"), date(2024, 5, 30), False)


def test_actions_are_missing_until_dividends_and_splits_are_both_covered(store: HistoryStore):
    store.write("dividends", some_rows(("symbol", "ex_date", "amount")), LATER, whole=whole())

    half = replay(store).corporate_actions([AAPL], FIRST, LAST)[AAPL]
    store.write("splits", some_rows(("symbol", "ex_date", "ratio")), LATER, whole=whole())
    both = replay(store).corporate_actions([AAPL], FIRST, LAST)[AAPL]

    assert half == Missing(AAPL, "splits from 2024-01-01 to 2024-12-31 are not covered; nothing is")
    assert both == ()


def test_a_real_chain_comes_back_as_it_was_quoted(store: HistoryStore, shared: Path):
    """One session of SPX and SPXW, every strike and expiry."""
    given = pd.read_parquet(shared / "data/options/spx_chain_2019.parquet")
    given = given[given["quote_date"] == pd.Timestamp("2019-06-03")]
    mills = (given["strike"] * 1000).round().astype(int).astype(str).str.zfill(8)
    expiry = pd.to_datetime(given["expiration"]).dt.strftime("%y%m%d")
    at = datetime(2019, 6, 3, 20, 15, tzinfo=UTC)
    rows = given[["bid", "ask", "volume", "open_interest", "delta", "iv"]].assign(
        symbol="SPX",
        session=pd.Timestamp("2019-06-03"),
        at=at,
        occ_symbol=given["root"].str.ljust(6) + expiry + given["right"] + mills,
        bid=given["bid"].where(given["bid"] > 0),
        ask=given["ask"].where(given["ask"] > 0),
        iv=given["iv"].where(given["iv"] > 0),
        source="cboe",
    )
    added = store.write("chain", rows, at)

    chain = replay(store).chain(Underlying("SPX"), ChainWindow(0, 5000), date(2019, 6, 3))

    assert added == len(chain) == len(rows) > 10_000
    quoted = {option.contract.occ_symbol: option for option in chain}
    for symbol, bid, ask in (
        rows[["occ_symbol", "bid", "ask"]].sample(300, random_state=1).itertuples(index=False)
    ):
        assert (quoted[symbol].bid or 0) == pytest.approx(Decimal(str(bid)) if bid > 0 else 0)
        assert (quoted[symbol].ask or 0) == pytest.approx(Decimal(str(ask)) if ask > 0 else 0)

"""Bars, quotes and chains: complete, dated, graded, or an error."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from tests.brokers.conftest import clock_row
from tests.brokers.scripted import Reply, Scripted, Sent
from tests.providers.conftest import KEY, SECRET, data_at
from wsb_core.domain.contracts import Right, parse_occ
from wsb_core.domain.errors import (
    BadResponse,
    ConfigError,
    NotArmed,
    ProviderRefused,
    ProviderUnavailable,
    WsbError,
)
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import DataKind, Missing
from wsb_core.domain.quotes import FeedClass, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.providers import open_source
from wsb_core.providers.alpaca import AlpacaData

AAPL, MSFT, GONE = Underlying("AAPL"), Underlying("MSFT"), Underlying("GONE")
TODAY = date(2024, 12, 10)
WINDOW = ChainWindow(5, 40)
BARS, QUOTES, SNAPSHOTS = "/v2/stocks/bars", "/v2/stocks/quotes/latest", "/v2/stocks/snapshots"
CHAIN, CONTRACTS = "/v1beta1/options/snapshots/AAPL", "/v2/options/contracts"
CALL, PUT = "AAPL241220C00200000", "AAPL241220P00200000"


def bar(day: str, close: float = 102.5, **changes: Any) -> dict[str, Any]:
    """Midnight in New York, in winter."""
    return {
        "t": f"{day}T05:00:00Z",
        "o": 101,
        "h": 103,
        "l": 100.25,
        "c": close,
        "v": 5000,
        "n": 9,
        **changes,
    }


def quote_row(**changes: Any) -> dict[str, Any]:
    return {"t": "2024-12-10T16:14:59.123456789Z", "bp": 3.1, "bs": 12, "ap": 3.2, "as": 7, **changes}


def option_row(**changes: Any) -> dict[str, Any]:
    greeks = {"delta": 0.35, "gamma": 0.02, "theta": -0.05, "vega": 0.11, "rho": 0.01}
    return {"latestQuote": quote_row(c="A"), "greeks": greeks, "impliedVolatility": 0.31, **changes}


def contract_row(symbol: str, interest: str | None = "1234", **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "open_interest": interest, "multiplier": "100", "size": "100", **changes}


def chain_of(server: Scripted, snapshots: dict[str, Any], contracts: list[dict[str, Any]]) -> None:
    server.on("GET", CHAIN, Reply({"snapshots": snapshots, "next_page_token": None}))
    server.on("GET", CONTRACTS, Reply({"option_contracts": contracts, "next_page_token": None}))


def test_bars_of_every_page_come_in_order_and_who_is_missing_is_named(
    server: Scripted, data: AlpacaData
) -> None:
    server.on(
        "GET",
        BARS,
        Reply({"bars": {"MSFT": [bar("2024-12-06", 9)]}, "next_page_token": "two"}),
        Reply(
            {"bars": {"MSFT": [bar("2024-12-09", 8)], "AAPL": [bar("2024-12-09")]}, "next_page_token": None}
        ),
    )

    bars = data.bars([AAPL, MSFT, GONE], date(2024, 12, 2), date(2024, 12, 9))

    assert bars.frame[["symbol", "close"]].to_numpy().tolist() == [["AAPL", 102.5], ["MSFT", 9], ["MSFT", 8]]
    assert bars.frame["session"].tolist()[0] == pd.Timestamp("2024-12-09")
    assert [missing.underlying for missing in bars.missing] == [GONE]
    assert bars.adjusted
    first, second = server.to("GET", BARS)
    assert (first.query["adjustment"], first.query["feed"], second.query["page_token"]) == (
        "all",
        "iex",
        "two",
    )


@pytest.mark.parametrize(
    ("clock", "last"),
    [
        (clock_row(), "2024-12-09"),
        (
            clock_row("2024-12-10T08:00:00-05:00", is_open=False, next_open="2024-12-10T09:30:00-05:00"),
            "2024-12-09",
        ),
        (clock_row("2024-12-10T16:00:01-05:00", is_open=False), "2024-12-10"),
        (clock_row("2024-12-10T23:59:00-05:00", is_open=False), "2024-12-10"),
    ],
)
def test_fm_57_todays_bar_is_completed_only_after_the_close(
    clock: dict[str, Any], last: str, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", "/v2/clock", Reply(clock))
    server.on("GET", BARS, Reply({"bars": {"AAPL": [bar("2024-12-09"), bar("2024-12-10")]}}))

    bars = data.bars([AAPL], date(2024, 12, 2), TODAY)

    assert bars.frame["session"].max() == pd.Timestamp(last)
    assert server.to("GET", BARS)[0].query["end"].startswith(last)


def test_only_unfinished_days_asked_for_asks_nothing_and_names_all(
    server: Scripted, data: AlpacaData
) -> None:
    bars = data.bars([AAPL], TODAY, TODAY)

    assert bars.frame.empty
    assert list(bars.frame.columns) == ["symbol", "session", "open", "high", "low", "close", "volume"]
    assert [missing.underlying for missing in bars.missing] == [AAPL]


FAULTY_BARS = {
    "no bars key": {"next_page_token": None},
    "null bars": {"bars": None, "next_page_token": None},
    "a null close": {"bars": {"AAPL": [bar("2024-12-09", c=None)]}},
    "no time": {"bars": {"AAPL": [bar("2024-12-09", t=None)]}},
    "a naive time": {"bars": {"AAPL": [bar("2024-12-09", t="2024-12-09T05:00:00")]}},
    "an hourly bar": {"bars": {"AAPL": [bar("2024-12-09", t="2024-12-09T15:00:00Z")]}},
    "a bar twice": {"bars": {"AAPL": [bar("2024-12-09"), bar("2024-12-09")]}},
    "a page token twice": {"bars": {"AAPL": [bar("2024-12-09")]}, "next_page_token": "again"},
    "text for rows": {"bars": {"AAPL": "none"}},
}


@pytest.mark.parametrize("fault", FAULTY_BARS)
def test_bars_that_cannot_be_read_whole_are_not_returned(
    fault: str, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", BARS, Reply(FAULTY_BARS[fault]))

    with pytest.raises(BadResponse):
        data.bars([AAPL], date(2024, 12, 2), date(2024, 12, 9))


def test_a_later_page_that_fails_takes_the_first_with_it(server: Scripted, data: AlpacaData) -> None:
    page = {"bars": {"AAPL": [bar("2024-12-09")]}, "next_page_token": "two"}
    server.on("GET", BARS, Reply(page), Reply(page, fault="truncate"))

    with pytest.raises(BadResponse):
        data.bars([AAPL], date(2024, 12, 2), date(2024, 12, 9))


def test_many_symbols_are_asked_for_in_parts(server: Scripted, data: AlpacaData) -> None:
    names = [Underlying(f"S{n:03}") for n in range(450)]
    server.on(
        "GET",
        BARS,
        lambda sent: Reply(
            {"bars": {name: [bar("2024-12-09")] for name in sent.query["symbols"].split(",")}}
        ),
    )

    bars = data.bars(names, date(2024, 12, 9), date(2024, 12, 9))

    assert len(bars.frame) == 450
    assert server.count("GET", BARS) == 3


def test_today_is_the_session_so_far_or_missing(server: Scripted, data: AlpacaData) -> None:
    body = {"AAPL": {"dailyBar": bar("2024-12-10")}, "MSFT": {"dailyBar": bar("2024-12-09")}, "GONE": None}
    server.on("GET", SNAPSHOTS, Reply(body))

    today = data.today([AAPL, MSFT, GONE])

    assert today.frame["symbol"].tolist() == ["AAPL"]
    assert today.frame["close"].tolist() == [102.5]
    assert [missing.underlying for missing in today.missing] == [MSFT, GONE]
    assert "2024-12-09" in today.missing[0].reason


def test_fm_50_a_side_at_zero_is_no_side(server: Scripted, data: AlpacaData) -> None:
    quotes = {"AAPL": quote_row(), "MSFT": quote_row(bp=0, ap=0, bs=0), "GONE": None}
    server.on("GET", QUOTES, Reply({"quotes": quotes}))

    told = data.quotes([AAPL, MSFT, GONE, Underlying("ELSE")])

    aapl, msft = told[AAPL], told[MSFT]
    assert isinstance(aapl, Quote)
    assert (aapl.bid, aapl.ask, aapl.bid_size, aapl.ask_size) == (Decimal("3.1"), Decimal("3.2"), 12, 7)
    assert aapl.provenance.as_of == datetime(2024, 12, 10, 16, 14, 59, 123456, tzinfo=UTC)
    assert isinstance(msft, Quote)
    assert (msft.bid, msft.ask, msft.mid) == (None, None, None)
    assert isinstance(told[GONE], Missing)
    assert isinstance(told[Underlying("ELSE")], Missing)


def test_fm_51_a_crossed_quote_has_no_mid(server: Scripted, data: AlpacaData) -> None:
    server.on("GET", QUOTES, Reply({"quotes": {"AAPL": quote_row(bp=3.3)}}))

    quote = data.quotes([AAPL])[AAPL]

    assert isinstance(quote, Quote)
    assert quote.mid is None


@pytest.mark.parametrize(
    "odd",
    [{"t": "2024-12-10T16:14:59"}, {"t": None}, {"bp": -1}, {"bp": None}, {"ap": "dear"}, {"bs": 1.5}],
)
def test_a_quote_that_cannot_be_read_is_an_error(
    odd: dict[str, Any], server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", QUOTES, Reply({"quotes": {"AAPL": quote_row(**odd)}}))

    with pytest.raises(BadResponse, match="AAPL"):
        data.quotes([AAPL])


def test_a_chain_joins_open_interest_and_keeps_each_quotes_time(server: Scripted, data: AlpacaData) -> None:
    older = option_row(latestQuote=quote_row(t="2024-12-10T16:00:00Z"))
    chain_of(server, {CALL: option_row(dailyBar=bar("2024-12-10")), PUT: older}, [contract_row(CALL)])

    chain = data.chain(AAPL, WINDOW, TODAY)

    call, put = chain.get(parse_occ(CALL)), chain.get(parse_occ(PUT))
    assert call is not None
    assert put is not None
    assert (call.bid, call.delta, call.iv) == (Decimal("3.1"), 0.35, 0.31)
    assert (call.open_interest, call.volume) == (1234, 5000)
    assert (put.open_interest, put.volume) == (None, None)
    assert put.quote.provenance.as_of == datetime(2024, 12, 10, 16, tzinfo=UTC)
    assert chain.provenance.as_of == call.quote.provenance.as_of
    asked = server.to("GET", CONTRACTS)[0].query
    assert (asked["expiration_date_gte"], asked["expiration_date_lte"]) == ("2024-12-15", "2025-01-19")


def test_what_the_vendor_left_out_stays_out(server: Scripted, data: AlpacaData) -> None:
    bare = {"latestQuote": quote_row(bp=0)}
    empty = option_row(greeks={}, impliedVolatility=0)
    chain_of(server, {CALL: bare, PUT: empty}, [contract_row(CALL, None), contract_row(PUT, "0")])

    chain = data.chain(AAPL, WINDOW, TODAY)

    call, put = chain.get(parse_occ(CALL)), chain.get(parse_occ(PUT))
    assert call is not None
    assert put is not None
    assert (call.bid, call.iv, call.delta, call.open_interest, call.volume) == (None,) * 5
    assert (put.iv, put.delta, put.open_interest) == (None, None, 0)


def test_the_day_before_yesterdays_volume_is_not_todays(server: Scripted, data: AlpacaData) -> None:
    chain_of(server, {CALL: option_row(dailyBar=bar("2024-12-06"))}, [])

    [quote] = data.chain(AAPL, WINDOW, TODAY)

    assert quote.volume is None


def test_a_listed_contract_without_a_quote_is_in_the_chain_without_a_price(
    server: Scripted, data: AlpacaData
) -> None:
    chain_of(server, {CALL: option_row(latestQuote=None)}, [contract_row(CALL), contract_row(PUT)])

    chain = data.chain(AAPL, WINDOW, TODAY)

    assert [(quote.bid, quote.ask) for quote in chain] == [(None, None)] * 2
    assert chain.provenance.as_of == datetime(2024, 12, 10, 16, 15, 0, 123456, tzinfo=UTC)


def test_chain_and_contracts_are_read_to_the_last_page(server: Scripted, data: AlpacaData) -> None:
    server.on(
        "GET",
        CHAIN,
        Reply({"snapshots": {CALL: option_row()}, "next_page_token": "c2"}),
        Reply({"snapshots": {PUT: option_row()}, "next_page_token": None}),
    )
    server.on(
        "GET",
        CONTRACTS,
        Reply({"option_contracts": [contract_row(CALL)], "next_page_token": "o2"}),
        Reply({"option_contracts": [contract_row(PUT, "7")], "next_page_token": None}),
    )

    chain = data.chain(AAPL, WINDOW, TODAY)

    assert [quote.open_interest for quote in chain] == [1234, 7]


def test_one_side_asked_for_is_one_side_given(server: Scripted, data: AlpacaData) -> None:
    chain_of(server, {CALL: option_row(), PUT: option_row()}, [])

    chain = data.chain(AAPL, ChainWindow(5, 40, (Right.PUT,)), TODAY)

    assert [quote.contract.right for quote in chain] == [Right.PUT]
    assert server.to("GET", CHAIN)[0].query["type"] == "put"


def test_fm_39_a_contract_that_does_not_deliver_a_hundred_is_not_standard(
    server: Scripted, data: AlpacaData
) -> None:
    odd = "AAPL1241220C00200000"
    listed = [contract_row(CALL, size="150"), contract_row(PUT), contract_row(odd)]
    chain_of(server, {CALL: option_row(), PUT: option_row(), odd: option_row()}, listed)

    chain = data.chain(AAPL, WINDOW, TODAY)

    assert {quote.contract.occ_symbol.replace(" ", ""): quote.contract.standard for quote in chain} == {
        CALL: False,
        PUT: True,
        odd: False,
    }


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT241220C00200000"])
def test_a_chain_with_something_else_in_it_is_not_returned(
    symbol: str, server: Scripted, data: AlpacaData
) -> None:
    chain_of(server, {symbol: option_row()}, [])

    with pytest.raises(BadResponse, match=symbol):
        data.chain(AAPL, WINDOW, TODAY)


REFUSALS: dict[str, tuple[Reply, type[WsbError], str]] = {
    "opra": (Reply({"message": "OPRA agreement is not signed"}, 403), ProviderRefused, "indicative"),
    "sip": (
        Reply({"message": "subscription does not permit querying recent SIP data"}, 403),
        ProviderRefused,
        "iex",
    ),
    "keys": (Reply({"message": "unauthorized."}, 401), ProviderRefused, "key and secret"),
    "429": (Reply({"message": "too many requests"}, 429), ProviderUnavailable, "429"),
    "500": (Reply(b"<html>", 500), ProviderUnavailable, "500"),
    "stall": (Reply(fault="stall"), ProviderUnavailable, "no answer"),
    "truncated": (Reply({"quotes": {"AAPL": quote_row()}}, fault="truncate"), BadResponse, "quotes"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_says_what_to_do_and_a_fault_says_it_may_pass(fault: str, server: Scripted) -> None:
    reply, error, words = REFUSALS[fault]
    server.on("GET", QUOTES, reply)

    with pytest.raises(error, match=words):
        data_at(server, 1.0 if reply.fault == "stall" else 20.0).quotes([AAPL])

    assert server.count("GET", QUOTES) == 1


@pytest.mark.parametrize(
    ("said", "graded"),
    [
        ({}, FeedClass.REPLAYED),
        ({"X-WSB-Feed": "replayed"}, FeedClass.REPLAYED),
        ({"X-WSB-Feed": "modelled"}, FeedClass.MODELLED),
        ({"X-WSB-Feed": "realtime"}, FeedClass.REPLAYED),
        ({"X-WSB-Feed": "invented"}, FeedClass.MODELLED),
    ],
)
def test_practice_prices_are_never_graded_above_what_they_are(
    said: dict[str, str], graded: FeedClass, server: Scripted, data: AlpacaData
) -> None:
    server.on("GET", QUOTES, Reply({"quotes": {"AAPL": quote_row()}}, headers=said))

    quote = data.quotes([AAPL])[AAPL]

    assert isinstance(quote, Quote)
    assert quote.provenance.feed is graded


def access(url: str, **changes: Any) -> dict[str, Any]:
    told = {"base_url": url, "trading_url": url, "key": KEY, "secret": SECRET, "practice": True}
    return {**told, "stock_feed": "sip", "option_feed": "opra", **changes}


@pytest.mark.parametrize(
    ("stock", "option", "shares", "chains"),
    [
        ("sip", "opra", FeedClass.REALTIME, FeedClass.REALTIME),
        ("iex", "opra", FeedClass.REALTIME, FeedClass.REALTIME),
        ("delayed_sip", "opra", FeedClass.DELAYED, FeedClass.REALTIME),
        ("sip", "indicative", FeedClass.REALTIME, FeedClass.INDICATIVE),
    ],
)
def test_each_service_is_as_good_as_its_feed(
    stock: str, option: str, shares: FeedClass, chains: FeedClass
) -> None:
    told = access("https://data.alpaca.markets", stock_feed=stock, option_feed=option, practice=False)

    services = open_source("alpaca", told).services

    assert (services[DataKind.QUOTES].feed, services[DataKind.CHAIN].feed) == (shares, chains)


@pytest.mark.parametrize(("field", "value"), [("stock_feed", "nyse"), ("option_feed", "sip")])
def test_a_feed_that_does_not_exist_is_named(field: str, value: str, server: Scripted) -> None:
    with pytest.raises(ConfigError, match=value):
        open_source("alpaca", access(server.url, **{field: value}))


def test_a_source_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'acme' is not one of alpaca"):
        open_source("acme", {})


def test_prices_of_this_machine_are_never_taken_for_the_markets(server: Scripted) -> None:
    with pytest.raises(NotArmed, match="practice"):
        open_source("alpaca", access(server.url, practice=False))


def test_fm_69_no_error_or_repr_shows_a_key(server: Scripted, data: AlpacaData) -> None:
    server.on("GET", QUOTES, lambda sent: Reply({"message": f"bad {sent.headers}"}, 403))

    with pytest.raises(ProviderRefused) as error:
        data.quotes([AAPL])

    told = repr(error.value) + repr(data)
    assert "***" in told
    assert KEY not in told
    assert SECRET not in told


def test_the_request_carries_the_credentials(server: Scripted, data: AlpacaData) -> None:
    def answer(sent: Sent) -> Reply:
        known = {name.lower(): value for name, value in sent.headers.items()}
        right = (known["apca-api-key-id"], known["apca-api-secret-key"]) == (KEY, SECRET)
        return Reply({"quotes": {}} if right else {"message": "no"}, 200 if right else 401)

    server.on("GET", QUOTES, answer)

    assert isinstance(data.quotes([AAPL])[AAPL], Missing)


ACTIONS, NEWS = "/v1/corporate-actions", "/v1beta1/news"
AUGUST = (date(2024, 8, 1), date(2024, 8, 31))


def dividend_row(**changes: Any) -> dict[str, Any]:
    dates = {"ex_date": "2024-08-12", "payable_date": "2024-08-15", "process_date": "2024-08-15"}
    return {"id": "1", "symbol": "AAPL", "rate": 0.25, "special": False, **dates, **changes}


def actions_of_page(server: Scripted, **kinds: list[dict[str, Any]]) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))
    server.on("GET", ACTIONS, Reply({"corporate_actions": kinds, "next_page_token": None}))


def test_actions_of_every_kind_are_read_and_every_name_is_answered_for(
    server: Scripted, data: AlpacaData
) -> None:
    split = {"symbol": "MSFT", "new_rate": 1, "old_rate": 8, "ex_date": "2024-08-05", "new_symbol": "MSFD"}
    spun = {"source_symbol": "MSFT", "new_symbol": "NEW", "ex_date": "2024-08-06"}
    unheard_of = {"symbol": "MSFT", "process_date": "2024-08-07"}
    actions_of_page(
        server,
        cash_dividends=[dividend_row()],
        reverse_splits=[split],
        spin_offs=[spun],
        levitations=[unheard_of],
    )

    found = data.corporate_actions([AAPL, MSFT, GONE], *AUGUST)

    [paid] = found[AAPL]  # type: ignore[misc]
    assert (paid.amount, paid.ex_date, paid.pay_date, paid.special) == (  # type: ignore[union-attr]
        Decimal("0.25"),
        date(2024, 8, 12),
        date(2024, 8, 15),
        False,
    )
    assert [type(each).__name__ for each in found[MSFT]] == [  # type: ignore[union-attr]
        "Split",
        "Renamed",
        "Reorganised",
        "Reorganised",
    ]
    assert found[MSFT][0].ratio == Decimal("0.125")  # type: ignore[index, union-attr]
    assert found[GONE] == ()


def test_a_dividend_paid_long_after_its_ex_date_is_found_and_one_before_the_span_is_not(
    server: Scripted, data: AlpacaData
) -> None:
    late = dividend_row(payable_date="2024-11-20", process_date="2024-11-20")
    before = dividend_row(ex_date="2024-07-30")
    actions_of_page(server, cash_dividends=[late, before])

    found = data.corporate_actions([AAPL], *AUGUST)

    assert [each.ex_date for each in found[AAPL]] == [date(2024, 8, 12)]  # type: ignore[union-attr]
    assert server.to("GET", ACTIONS)[0].query["end"] >= "2024-11-20"


@pytest.mark.parametrize(
    "kinds",
    [
        {"cash_dividends": [dividend_row(rate=-0.25)]},
        {"cash_dividends": [dividend_row(ex_date=None)]},
        {"forward_splits": [{"symbol": "AAPL", "new_rate": 0, "old_rate": 1, "ex_date": "2024-08-05"}]},
        {"spin_offs": [{"ex_date": "2024-08-06"}]},
        {"cash_dividends": {"AAPL": dividend_row()}},
    ],
    ids=["negative dividend", "no ex-date", "split by zero", "of nobody", "no list"],
)
def test_an_action_that_makes_no_sense_is_refused_with_all_of_its_answer(
    kinds: dict[str, Any], server: Scripted, data: AlpacaData
) -> None:
    actions_of_page(server, **kinds)

    with pytest.raises(BadResponse):
        data.corporate_actions([AAPL], *AUGUST)


def test_raw_bars_are_asked_for_and_told_as_traded(server: Scripted, data: AlpacaData) -> None:
    server.on("GET", "/v2/clock", Reply(clock_row()))
    server.on("GET", BARS, Reply({"bars": {"AAPL": [bar("2024-12-09")]}, "next_page_token": None}))

    bars = data.raw_bars([AAPL], date(2024, 12, 2), date(2024, 12, 9))

    assert not bars.adjusted
    assert server.to("GET", BARS)[0].query["adjustment"] == "raw"


def news_row(number: int, at: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "headline": f"item {number}",
        "created_at": at,
        "updated_at": at,
        "symbols": ["AAPL"],
        "url": None,
        **changes,
    }


def test_news_come_oldest_first_from_all_pages_and_a_changed_item_once(
    server: Scripted, data: AlpacaData
) -> None:
    server.on(
        "GET",
        NEWS,
        Reply({"news": [news_row(2, "2024-12-10T10:00:00Z")], "next_page_token": "two"}),
        Reply(
            {
                "news": [news_row(1, "2024-12-10T09:00:00Z"), news_row(2, "2024-12-10T11:00:00Z")],
                "next_page_token": None,
            }
        ),
    )

    items = data.news([AAPL], datetime(2024, 12, 10, tzinfo=UTC))

    assert [(item.id, item.at.hour) for item in items] == [("1", 9), ("2", 11)]
    assert items[0].provenance.as_of == items[0].at
    assert items[0].symbols == (AAPL,)

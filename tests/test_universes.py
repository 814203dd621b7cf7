"""Lists of what may be traded: who belongs on which day, and what is said of a wrong file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsb_core.domain.errors import ConfigError
from wsb_core.strategies import STRATEGIES
from wsb_core.universes import lists, load_universe, sectors, universe

HEADING = "universe,symbol,from,to,drawn_up\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


def test_every_name_of_every_list_and_strategy_has_a_sector():
    listed = {member.symbol for members in lists().values() for member in members}
    traded = {ticker for strategy in STRATEGIES.values() for ticker in strategy.universe}

    assert traded
    assert listed | traded <= set(sectors())


def test_a_universe_says_when_it_was_drawn_up():
    found = load_universe("wsb_dip_bot")

    assert found.tickers == (
        *("AAPL", "MSFT", "GOOGL", "META", "NVDA", "AMD", "AVGO", "TSLA"),
        *("AMZN", "NFLX", "CRM", "COST", "ADBE", "V", "MA", "LIN"),
    )
    assert found.drawn_up == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("wheel", 18),
        ("debit_call_spreads", 30),
        ("momentum_weeklies", 30),
        ("swing_trading", 30),
        ("spx_credit_spreads", 3),
        ("index_baseline", 5),
        ("lotto_earnings", 20),
        ("lotto_0dte", 4),
    ],
)
def test_the_default_lists_are_there(name: str, count: int):
    found = load_universe(name)

    assert len(found.tickers) == len(set(found.tickers)) == count


def test_each_theme_of_the_leaps_tracker_is_a_list():
    themes = {name for name in lists() if name.startswith("leaps_")}

    assert themes == {
        "leaps_ai",
        "leaps_cloud",
        "leaps_electric_mobility",
        "leaps_cybersecurity",
        "leaps_fintech",
        "leaps_genomics",
    }


@pytest.mark.parametrize(
    ("day", "there", "gone"),
    [
        (date(2022, 6, 8), "FB", "META"),
        (date(2022, 6, 9), "META", "FB"),
        (date(2014, 4, 2), "GOOG", "GOOGL"),
        (date(2014, 4, 3), "GOOGL", "GOOG"),
        (date(2018, 10, 30), "PX", "LIN"),
        (date(2018, 10, 31), "LIN", "PX"),
        (date(2010, 6, 28), "AAPL", "TSLA"),
        (date(2010, 6, 29), "TSLA", "META"),
    ],
)
def test_a_company_is_listed_under_the_ticker_it_had_on_the_day(day: date, there: str, gone: str):
    tickers = universe("wsb_dip_bot", day).tickers

    assert there in tickers
    assert gone not in tickers


def test_a_ticker_may_leave_and_come_back():
    days = (date(2004, 11, 30), date(2008, 1, 2), date(2012, 1, 3))

    assert ["QQQ" in universe("index_baseline", day).tickers for day in days] == [True, False, True]
    assert "QQQQ" in universe("index_baseline", days[1]).tickers


def test_a_file_of_ones_own_has_the_same_format(file: Path):
    file.write_text(
        HEADING + "mine,BRK.B,2020-01-02,2021-06-30,2020-01-01\n\nmine,KO,2021-01-04,,2021-01-01\n"
    )

    early, both, late = (
        universe("mine", day, file) for day in (date(2020, 6, 1), date(2021, 6, 30), date(2021, 7, 1))
    )

    assert [found.tickers for found in (early, both, late)] == [("BRK.B",), ("BRK.B", "KO"), ("KO",)]
    assert [found.drawn_up for found in (early, both)] == [date(2020, 1, 1), date(2021, 1, 1)]
    assert load_universe("mine", file).tickers == ("BRK.B",)


def test_a_list_says_nothing_of_the_days_before_it_begins(file: Path):
    file.write_text(HEADING + "mine,KO,2021-01-04,,2021-01-04\n")

    with pytest.raises(
        ConfigError, match="universe mine: no member on 2021-01-03, and the first is of 2021-01-04"
    ):
        universe("mine", date(2021, 1, 3), file)


def test_an_unknown_list_is_refused_with_the_known_ones(file: Path):
    file.write_text(HEADING + "mine,KO,2021-01-04,,2021-01-04\n")

    with pytest.raises(ConfigError, match=r"'yours' is not in .*mine\.csv; there are: mine$"):
        universe("yours", date(2021, 1, 4), file)
    with pytest.raises(ConfigError, match="'no_such_list' is not in the lists that come with the program"):
        load_universe("no_such_list")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "mine,KO,2021-01-04,,2021-01-04\nmine,KO,2021-01-04,,2021-01-05",
            r"mine\.csv: line 3: symbol is 'KO'; it is listed twice for the same days; remove this line",
        ),
        (
            "mine,KO,2021-01-04,2021-12-31,2021-01-04\nmine,KO,2021-12-31,,2021-01-04",
            r"line 3: from is '2021-12-31'; its days overlap those of KO from 2021-01-04 to 2021-12-31; part",
        ),
        (
            "mine,KO,2021-01-04,,2021-01-04\nmine,KO,2022-12-31,2023-01-31,2021-01-04",
            r"line 3: from is '2022-12-31'; its days overlap those of KO from 2021-01-04 to open",
        ),
        ("mine,KO,04/01/2021,,2021-01-04", r"line 2: from is '04/01/2021'; write a date as 2026-01-31"),
        ("mine,KO,20210104,,2021-01-04", r"line 2: from is '20210104'; write a date as 2026-01-31"),
        ("mine,KO,2021-02-29,,2021-01-04", r"line 2: from is '2021-02-29'; write a date"),
        ("mine,KO,,,2021-01-04", r"line 2: from is ''; write a date"),
        ("mine,KO,2021-01-04,,", r"line 2: drawn_up is ''; write a date"),
        ("mine,KO,2021-01-04,2021-01-03,2021-01-04", r"line 2: to is '2021-01-03'; it is the last day"),
        ("mine,ko,2021-01-04,,2021-01-04", r"line 2: symbol is 'ko'; write capitals"),
        ("mine,,2021-01-04,,2021-01-04", r"line 2: symbol is ''; fill it in"),
        (",KO,2021-01-04,,2021-01-04", r"line 2: universe is ''; fill it in"),
        ("mine,KO,2021-01-04,,2021-01-04,x", r"line 2: has 6 values for 5 columns"),
        ("mine,KO", r"line 2: has 2 values for 5 columns"),
    ],
)
def test_a_wrong_line_is_named_with_its_value_and_the_remedy(file: Path, lines: str, told: str):
    file.write_text(HEADING + lines + "\n")

    with pytest.raises(ConfigError, match=told):
        lists(file)


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        (
            "universe,symbol,from,to,drawn_up,weight",
            "line 1: unknown column 'weight'; the columns are universe, symbol",
        ),
        ("universe,symbol,from,to", "line 1: has no column 'drawn_up'"),
        ("universe,symbol,from,to,drawn_up,to", "line 1: column 'to' is there twice"),
        ("", "line 1: has no column 'universe'"),
    ],
)
def test_a_wrong_heading_is_named(file: Path, heading: str, told: str):
    file.write_text(heading + "\n")

    with pytest.raises(ConfigError, match=told):
        lists(file)


def test_a_missing_file_is_named(file: Path):
    with pytest.raises(
        ConfigError, match=r"mine\.csv: there is no such file; create it with the columns universe"
    ):
        lists(file)


def test_a_file_that_is_no_text_is_refused(file: Path):
    file.write_bytes(b"\xff\xfe\x00u\x00n")

    with pytest.raises(ConfigError, match=r"mine\.csv: not UTF-8 text"):
        lists(file)


def test_a_ticker_that_yaml_takes_for_a_word_is_refused_in_the_sectors(tmp_path: Path):
    path = tmp_path / "sectors.yaml"
    path.write_text("information technology: [AAPL, ON]\n")

    with pytest.raises(
        ConfigError, match="True in information technology is not text; quote tickers such as 'ON'"
    ):
        sectors(path)


def test_a_ticker_has_one_sector(tmp_path: Path):
    path = tmp_path / "sectors.yaml"
    path.write_text("energy: [XOM]\nmaterials: [XOM]\n")

    with pytest.raises(ConfigError, match="XOM is in energy and in materials; keep one"):
        sectors(path)


@given(st.dates(date(2004, 1, 2), date(2026, 11, 21)))
@settings(max_examples=60, deadline=None)
def test_on_no_day_is_a_ticker_or_a_company_listed_twice(day: date):
    renamed = [("FB", "META"), ("GOOG", "GOOGL"), ("PX", "LIN"), ("SBC", "T"), ("SQ", "XYZ"), ("QQQ", "QQQQ")]

    found = [members for members in lists().values() if any(member.on(day) for member in members)]

    assert found
    for members in found:
        tickers = [member.symbol for member in members if member.on(day)]
        assert len(set(tickers)) == len(tickers)
        assert not any(old in tickers and new in tickers for old, new in renamed)

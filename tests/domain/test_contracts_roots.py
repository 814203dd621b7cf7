"""Which underlying a root is of, how it settles, and which contracts are not standard."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_position
from wsb_core.domain.contracts import (
    ExerciseStyle,
    OptionContract,
    Right,
    Settlement,
    parse_instrument,
    parse_occ,
    root_of,
)
from wsb_core.domain.ids import Underlying
from wsb_core.risk.checks import CHECKS, CLOSE_CHECKS, standard_contracts

EXPIRY = date(2026, 12, 18)


def named(root: str, strike: str = "00100000") -> OptionContract:
    return parse_occ(f"{root:<6}261218C{strike}")


@pytest.mark.parametrize(
    ("root", "underlying", "settlement"),
    [
        ("SPX", "SPX", Settlement.AM),
        ("SPXW", "SPX", Settlement.PM),
        ("XSP", "XSP", Settlement.PM),
        ("NDX", "NDX", Settlement.AM),
        ("NDXP", "NDX", Settlement.PM),
        ("RUT", "RUT", Settlement.AM),
        ("RUTW", "RUT", Settlement.PM),
        ("VIX", "VIX", Settlement.AM),
        ("VIXW", "VIX", Settlement.AM),
        ("XEO", "OEX", Settlement.PM),
    ],
)
def test_an_index_root_is_of_its_index_european_and_settles_at_its_time(
    root: str, underlying: str, settlement: Settlement
) -> None:
    """Source: Cboe's and Nasdaq's contract specifications of SPX, XSP, NDX, RUT and VIX options."""
    contract = named(root)

    assert (contract.underlying, contract.settlement) == (underlying, settlement)
    assert contract.style is ExerciseStyle.EUROPEAN
    assert contract.standard


def test_an_index_fund_is_american_and_settles_at_the_close() -> None:
    assert {(named(root).style, named(root).settlement) for root in ("SPY", "QQQ", "IWM")} == {
        (ExerciseStyle.AMERICAN, Settlement.PM)
    }


@pytest.mark.parametrize(
    ("root", "underlying"),
    [("XOM2", "XOM"), ("SDS1", "SDS"), ("AAPL7", "AAPL"), ("BRKB1", "BRK.B"), ("XOM12", "XOM"), ("T3", "T")],
)
def test_a_root_that_ends_in_a_digit_is_adjusted_and_of_the_company_before_it(
    root: str, underlying: str
) -> None:
    contract = named(root)

    assert (contract.root, contract.underlying, contract.standard) == (root, underlying, False)


@pytest.mark.parametrize(("root", "underlying"), [("1AAPL", "AAPL"), ("2SPX", "SPX"), ("4BRKB", "BRK.B")])
def test_a_flexible_contract_is_not_standard(root: str, underlying: str) -> None:
    """OCC puts a digit before the root of FLEX options; their terms are the parties' own."""
    contract = named(root)

    assert (contract.underlying, contract.standard) == (underlying, False)


def test_an_adjusted_contract_is_never_taken_for_the_standard_one_of_its_terms() -> None:
    standard, adjusted = named("XOM"), replace(named("XOM2"), multiplier=150)

    assert standard != adjusted
    assert standard.occ_symbol != adjusted.occ_symbol
    assert adjusted.occ_symbol == "XOM2  261218C00100000"
    assert len({standard, adjusted, named("XOM")}) == 2


def test_an_adjusted_contract_is_refused_for_entry_held_and_let_out() -> None:
    held = a_position(named("XOM2"), quantity=3)

    assert held.quantity == 3
    assert held.structure.contracts == (named("XOM2"),)
    assert standard_contracts in CHECKS
    assert standard_contracts not in CLOSE_CHECKS


@pytest.mark.parametrize(
    ("mills", "strike"),
    [
        ("00000001", "0.001"),
        ("00000500", "0.5"),
        ("00002500", "2.5"),
        ("00052500", "52.5"),
        ("00033330", "33.33"),
        ("00114286", "114.286"),
        ("06000000", "6000"),
        ("99999999", "99999.999"),
    ],
)
def test_a_strike_is_exact_to_a_tenth_of_a_cent(mills: str, strike: str) -> None:
    """Strikes such as 114.286 remain after splits of seven for one."""
    contract = named("AAPL", mills)

    assert contract.strike == Decimal(strike)
    assert contract.occ_symbol.endswith(mills)


@pytest.mark.parametrize(
    "text",
    [
        "AAPL  261218C0010000",
        "AAPL  261218C001000000",
        "AAPL  261218C00000000",
        "AAPL  260230P00100000",
        "aapl  261218C00100000",
        "BRK.B 261218C00100000",
        "      261218C00100000",
        "AA PL 261218C00100000",
    ],
    ids=["short", "long", "no strike", "30 February", "small", "dot", "no root", "blank inside"],
)
def test_what_only_looks_like_a_symbol_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an OCC option symbol|strike must be"):
        parse_occ(text)


def test_an_unpadded_root_that_ends_in_digits_is_read_from_the_right() -> None:
    assert parse_occ("XOM2261218C00100000") == named("XOM2")
    assert parse_occ("T3261218P00017500").root == "T3"


@given(
    root=st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from(Right),
    mills=st.integers(1, 10**8 - 1),
)
@settings(max_examples=200, deadline=None)
def test_a_symbol_names_one_contract_and_a_contract_one_symbol(
    root: str, expiry: date, right: Right, mills: int
) -> None:
    symbol = f"{root:<6}{expiry:%y%m%d}{right}{mills:08d}"

    contract = parse_occ(symbol)

    assert contract.occ_symbol == contract.symbol == symbol
    assert parse_instrument(symbol) == parse_occ(symbol.replace(" ", "")) == contract
    assert (contract.root, contract.expiry, contract.right) == (root, expiry, right)
    assert contract.standard == (not root[-1].isdigit())


@pytest.mark.parametrize("underlying", ["BRK.A", "BRK.B", "BF.A", "BF.B", "AAPL", "T"])
def test_the_root_of_a_share_leads_back_to_it(underlying: str) -> None:
    assert named(root_of(Underlying(underlying))).underlying == underlying

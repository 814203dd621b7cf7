from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsb_core.domain.contracts import OptionContract, Right, Settlement, Share, parse_instrument, parse_occ
from wsb_core.domain.ids import Underlying


def a_contract(
    strike: Decimal, right: Right = Right.CALL, expiry: date = date(2026, 12, 18)
) -> OptionContract:
    return OptionContract("AAPL", expiry, right, strike, Underlying("AAPL"))


def test_every_nickel_strike_up_to_two_thousand_round_trips_exactly():
    strikes = [Decimal(n) * 5 / 100 for n in range(1, 40_001)]

    back = [parse_occ(a_contract(strike).occ_symbol).strike for strike in strikes]

    assert back == strikes


@given(
    root=st.from_regex(r"[A-Z]{1,5}", fullmatch=True),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from(Right),
    mills=st.integers(1, 10**8 - 1),
)
def test_an_occ_symbol_round_trips_padded_and_unpadded(root, expiry, right, mills):
    contract = parse_occ(f"{root}{expiry:%y%m%d}{right}{mills:08d}")

    assert parse_occ(contract.occ_symbol) == contract
    assert parse_occ(contract.occ_symbol.replace(" ", "")) == contract
    assert len(contract.occ_symbol) == 21
    assert contract.strike == Decimal(mills) / 1000


def test_the_occ_symbol_of_a_known_contract_is_the_published_one():
    contract = OptionContract("LAMR", date(2015, 1, 17), Right.CALL, Decimal("52.50"), Underlying("LAMR"))

    assert contract.occ_symbol == "LAMR  150117C00052500"


@pytest.mark.parametrize(("root", "underlying"), [("BRKB", "BRK.B"), ("BFB", "BF.B"), ("BRKB1", "BRK.B")])
def test_a_class_share_has_its_dot_again(root, underlying):
    assert parse_occ(f"{root}240621C00400000").underlying == underlying


def test_an_adjusted_root_is_tracked_and_marked_not_standard():
    contract = parse_occ("XOM2  261218C00100000")

    assert (contract.root, contract.underlying, contract.standard) == ("XOM2", "XOM", False)


def test_spx_and_spxw_of_one_date_and_strike_are_two_contracts_that_settle_apart():
    morning, evening = parse_occ("SPX   261218C05000000"), parse_occ("SPXW  261218C05000000")

    assert morning != evening
    assert (morning.settlement, evening.settlement) == (Settlement.AM, Settlement.PM)
    assert morning.underlying == evening.underlying == "SPX"


@pytest.mark.parametrize(
    "text", ["", "AAPL", "AAPL  261318C00100000", "AAPL  261218X00100000", "TOOLONG261218C00100000"]
)
def test_what_is_not_an_occ_symbol_is_refused_by_name(text):
    with pytest.raises(ValueError, match="not an OCC option symbol"):
        parse_occ(text)


@pytest.mark.parametrize("strike", ["0", "-5", "0.0005", "100000"])
def test_a_strike_that_no_symbol_can_carry_is_refused(strike):
    with pytest.raises(ValueError, match="strike"):
        a_contract(Decimal(strike))


def test_a_plain_ticker_is_a_share():
    assert parse_instrument("BRK.B") == Share(Underlying("BRK.B"))

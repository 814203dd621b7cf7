from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from data_checks import HELD_CONTRACTS, ChainBounds, CheckFailed, check_chain, check_chains
from data_checks.gate import Checked, check, digest
from data_checks.measures import trades
from data_checks.option_chain import COLUMNS, RULES, chain_frame, chain_suite
from wsb_core.domain.checks import Finding
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.quotes import Chain, FeedClass, Provenance

from .frames import AT, FRESH, chain, share_quote

XYZ, ABC = Underlying("XYZ"), Underlying("ABC")
LIMITS = {"at": AT, "max_age_seconds": 30.0, "required_feed": FeedClass.REALTIME}


def judged(frame: pd.DataFrame, **changes: object) -> Checked:
    suite = chain_suite(**{**LIMITS, "bounds": ChainBounds(), **changes})
    return check(frame, suite, at=AT, key="underlying", max_quarantined=0.5)


def finding(verdict: Checked, name: str) -> Finding:
    [found] = [entry for entry in verdict.report.findings if entry.expectation == name]
    return found


def clean() -> pd.DataFrame:
    """Two chains: a quarantine of one does not fail the run."""
    return chain_frame(
        {XYZ: chain("XYZ"), ABC: chain("ABC")}, {XYZ: share_quote(), ABC: share_quote(name="ABC")}
    )


def test_a_clean_chain_passes_whole() -> None:
    given = chain()

    checked = check_chain(given, spot=share_quote(), **LIMITS)

    assert [f.expectation for f in checked.report.findings if not f.passed] == []
    assert checked.chain == given
    assert checked.proof.suite == "option_chain"
    assert checked.proof.digest == digest(chain_frame({XYZ: given}, {XYZ: share_quote()}))


def _one(column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def spoil(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(object) if isinstance(value, str) else frame[column]
        frame.loc[10, column] = value

    return spoil


def _whole(column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def spoil(frame: pd.DataFrame) -> None:
        frame.loc[frame["underlying"] == "XYZ", column] = value

    return spoil


def _repeat(frame: pd.DataFrame) -> None:
    frame.loc[11] = frame.loc[10]


def _dear_far_call(frame: pd.DataFrame) -> None:
    """The call at 106 bid above the ask of the call at 102: its put moves along, so parity holds."""
    for right in "CP":
        row = _find(frame, right, 106.0)
        frame.loc[row, ["bid", "ask"]] += 4.0


def _find(frame: pd.DataFrame, right: str, strike: float) -> int:
    chosen = frame[(frame["right"] == right) & (frame["strike"] == strike)]
    return int(chosen.index[0])


def _put_out_of_line(frame: pd.DataFrame) -> None:
    frame.loc[_find(frame, "P", 102.0), ["bid", "ask"]] -= 0.9


def _fewer_quotes(frame: pd.DataFrame) -> None:
    rows = frame.index[frame["underlying"] == "XYZ"][3:]
    frame.loc[rows, "bid"] = np.nan


SPOILED_CONTRACTS = [
    ("symbol_well_formed", _one("occ_symbol", "XYZ 240719C00102000X")),
    ("unique", _repeat),
    ("right_known", _one("right", "X")),
    ("strike_positive", _one("strike", 0.0)),
    ("expiry_trades", _one("expiry", pd.Timestamp("2024-07-20"))),
    ("not_expired", _one("expiry", pd.Timestamp("2024-06-28"))),
    ("bid_positive", _one("bid", -0.01)),
    ("ask_positive", _one("ask", 0.0)),
    ("not_crossed", _one("bid", 90.0)),
    ("open_interest_not_negative", _one("open_interest", -1.0)),
    ("delta_has_the_right_sign", _one("delta", -0.4)),
    ("delta_has_the_right_sign", _one("delta", 1.2)),
    ("no_vertical_arbitrage", _dear_far_call),
    ("parity_in_band", _put_out_of_line),
    ("standard_contract", _one("multiplier", 150.0)),
    ("standard_contract", _one("standard", False)),
    ("quote_fresh", _one("quoted_at", AT - timedelta(hours=1))),
    ("quote_fresh", _one("quoted_at", AT + timedelta(hours=1))),
    ("iv_plausible", _one("iv", 5.5)),
    ("iv_plausible", _one("iv", 0.001)),
]
SPOILED_CHAINS = [
    ("feed_good_enough", _whole("feed", "delayed")),
    ("feed_good_enough", _whole("spot_feed", "no such feed")),
    ("taken_in_a_session", _whole("snapshot_at", AT - timedelta(days=1))),
    ("snapshot_fresh", _whole("snapshot_at", AT - timedelta(seconds=31))),
    ("snapshot_fresh", _whole("snapshot_at", AT + timedelta(seconds=31))),
    ("taken_in_a_session", _whole("snapshot_at", pd.NaT)),
    ("spot_two_sided", _whole("spot_bid", np.nan)),
    ("spot_two_sided", _whole("spot_bid", 100.5)),
    ("spot_fresh", _whole("spot_at", AT - timedelta(seconds=31))),
    ("spot_inside_strikes", _whole("strike", 150.0)),
    ("enough_two_sided", _fewer_quotes),
]


FAULTS = (*SPOILED_CONTRACTS, *SPOILED_CHAINS)


@pytest.fixture(scope="module")
def spoiled() -> Checked:
    """One verdict on a clean chain and, for each fault, a chain that has this one fault."""
    frames = [
        chain_frame({Underlying("CLEAN"): chain("CLEAN")}, {Underlying("CLEAN"): share_quote(name="CLEAN")})
    ]
    for number, (_, spoil) in enumerate(FAULTS):
        frame = chain_frame({XYZ: chain("XYZ")}, {XYZ: share_quote()})
        spoil(frame)
        frames.append(frame.assign(underlying=f"S{number}"))
    suite = chain_suite(**LIMITS, bounds=ChainBounds(contract_faults=0.2))
    return check(pd.concat(frames, ignore_index=True), suite, at=AT, key="underlying", max_quarantined=0.5)


@pytest.mark.parametrize("number", range(len(SPOILED_CONTRACTS)), ids=[name for name, _ in SPOILED_CONTRACTS])
def test_a_single_fault_is_named_and_removes_contracts_and_not_the_chain(
    spoiled: Checked, number: int
) -> None:
    name, ticker = FAULTS[number][0], f"S{number}"

    assert not finding(spoiled, name).passed
    assert ticker in {example["underlying"] for example in finding(spoiled, name).examples}
    assert len(chain()) - 6 <= int((spoiled.frame["underlying"] == ticker).sum()) < len(chain())


@pytest.mark.parametrize("number", range(len(SPOILED_CONTRACTS), len(FAULTS)))
def test_a_fault_of_the_whole_chain_quarantines_it_by_name(spoiled: Checked, number: int) -> None:
    assert not finding(spoiled, FAULTS[number][0]).passed
    assert FAULTS[number][0] == {q.ticker: q.expectation for q in spoiled.report.quarantined}[f"S{number}"]
    assert f"S{number}" not in set(spoiled.frame["underlying"])


def test_faults_of_others_leave_a_clean_chain_whole(spoiled: Checked) -> None:
    assert int((spoiled.frame["underlying"] == "CLEAN").sum()) == len(chain())
    assert spoiled.report.passed


def test_every_rule_is_seen_to_fail() -> None:
    seen = {name for name, _ in FAULTS}

    assert {rule.name for rule in RULES} == seen | {"not_locked", "bid_given"}


def test_a_contract_that_nobody_bids_for_is_a_warning_and_stays() -> None:
    frame = clean()
    frame.loc[10, "bid"] = np.nan

    verdict = judged(frame)

    assert finding(verdict, "bid_given").bad_rows == 1
    assert len(verdict.frame) == len(frame)


def test_hundreds_of_percent_of_volatility_are_believed_in_the_last_days_alone() -> None:
    frame = clean()
    frame.loc[10, "iv"] = 12.0
    last = frame.assign(expiry=frame["expiry"].mask(frame.index == 10, pd.Timestamp("2024-07-02")))

    assert not finding(judged(frame), "iv_plausible").passed
    assert finding(judged(last), "iv_plausible").passed


def test_a_locked_quote_is_a_warning_and_stays() -> None:
    frame = clean()
    frame.loc[10, "bid"] = frame.at[10, "ask"]

    verdict = judged(frame)

    assert not finding(verdict, "not_locked").passed
    assert len(verdict.frame) == len(frame)


def test_too_many_faulty_contracts_quarantine_the_chain() -> None:
    frame = clean()
    frame.loc[[4, 9, 14], "bid"] = 90.0

    verdict = judged(frame)

    assert [(q.ticker, q.expectation) for q in verdict.report.quarantined] == [("XYZ", "not_crossed")]


def test_contracts_that_are_only_unusable_do_not_weigh_against_the_chain() -> None:
    frame = clean()
    frame.loc[[4, 9, 14, 15, 16], "standard"] = False

    verdict = judged(frame)

    assert verdict.report.quarantined == ()
    assert len(verdict.frame) == len(frame) - 5


def test_a_chain_of_which_nothing_is_left_is_named() -> None:
    frame = clean()
    frame.loc[frame["underlying"] == "XYZ", "standard"] = False

    verdict = judged(frame)

    assert [(q.ticker, q.expectation) for q in verdict.report.quarantined] == [("XYZ", "standard_contract")]


def test_held_contracts_alone_are_enough_to_leave_by() -> None:
    whole = chain()
    crossed = replace(whole.quotes[1], quote=replace(whole.quotes[1].quote, bid=Price(Decimal("90"))))
    held = whole.only((whole.quotes[0], crossed))

    checked = check_chain(held, spot=share_quote("150"), bounds=HELD_CONTRACTS, **LIMITS)

    assert checked.chain.quotes == (whole.quotes[0],)
    assert checked.report.quarantined == ()


def test_held_contracts_still_need_a_fresh_quote() -> None:
    stale = Provenance("test", FeedClass.REALTIME, AT - timedelta(hours=1))
    held = chain(provenance=stale).only(chain(provenance=stale).quotes[:1])

    with pytest.raises(CheckFailed, match="XYZ snapshot_fresh"):
        check_chain(held, spot=share_quote("150"), bounds=HELD_CONTRACTS, **LIMITS)


def test_contracts_without_a_quote_are_no_fault() -> None:
    frame = clean()
    frame.loc[[4, 9], ["bid", "ask"]] = np.nan
    frame.loc[[4, 9], "quoted_at"] = pd.NaT
    frame.loc[[4, 9], ["iv", "delta", "open_interest"]] = np.nan

    assert len(judged(frame).frame) == len(frame)


def test_an_expiry_beyond_the_published_calendar_counts_by_its_weekday() -> None:
    assert trades(date(2150, 1, 2))
    assert not trades(date(2150, 1, 3))


def test_a_bad_chain_among_two_is_left_out_and_named() -> None:
    stale = Provenance("test", FeedClass.REALTIME, AT - timedelta(minutes=5))

    checked = check_chains(
        {XYZ: chain(provenance=stale), ABC: chain("ABC")},
        {XYZ: share_quote(), ABC: share_quote(name="ABC")},
        **LIMITS,
    )

    assert set(checked.chains) == {ABC}
    assert [(q.ticker, q.expectation) for q in checked.report.quarantined] == [("XYZ", "snapshot_fresh")]


def test_a_chain_alone_fails_the_run_when_it_is_bad() -> None:
    delayed = Provenance("test", FeedClass.DELAYED, FRESH.as_of)

    with pytest.raises(CheckFailed, match="feed_good_enough"):
        check_chain(chain(provenance=delayed), spot=share_quote(), **LIMITS)


def test_any_feed_will_do_when_none_is_required() -> None:
    modelled = Provenance("test", FeedClass.MODELLED, FRESH.as_of)

    checked = check_chain(
        chain(provenance=modelled), spot=share_quote(), at=AT, max_age_seconds=30, required_feed=None
    )

    assert checked.report.passed


def test_an_empty_chain_and_one_that_did_not_come_are_quarantined_with_the_reason() -> None:
    chains: dict[Underlying, Chain | Missing] = {
        XYZ: Chain(XYZ, (), FRESH),
        ABC: Missing(ABC, "answered 404"),
        Underlying("OK"): chain("OK"),
    }
    spots = {name: share_quote(name=name) for name in chains}

    with pytest.raises(CheckFailed) as caught:
        check_chains(chains, spots, **LIMITS)

    assert [(q.ticker, q.detail) for q in caught.value.report.quarantined] == [
        ("ABC", "answered 404"),
        ("XYZ", "the chain has no contract"),
    ]


def test_a_chain_without_a_spot_is_quarantined() -> None:
    spots = {XYZ: Missing(XYZ, "no quote"), ABC: share_quote(name="ABC")}

    checked = check_chains({XYZ: chain(), ABC: chain("ABC")}, spots, **LIMITS)

    assert [q.ticker for q in checked.report.quarantined] == ["XYZ"]


def test_a_crossed_contract_is_gone_from_the_chain_that_goes_on() -> None:
    given = chain()
    first = given.quotes[0]
    crossed = replace(first, quote=replace(first.quote, bid=Price(Decimal("90"))))
    spoiled = given.only((crossed, *given.quotes[1:]))

    checked = check_chain(spoiled, spot=share_quote(), **LIMITS)

    assert crossed not in checked.chain.quotes
    assert checked.chain.quotes == given.quotes[1:]
    assert checked.proof.rows == len(given) - 1


def test_no_chains_at_all_fail() -> None:
    with pytest.raises(CheckFailed, match="rows_present"):
        check_chains({}, {}, **LIMITS)


def test_a_chain_of_nothing_but_gaps_fails() -> None:
    frame = clean()
    frame[["strike", "bid", "ask", "iv", "delta", "spot_bid", "spot_ask"]] = np.nan
    frame[["expiry", "quoted_at", "snapshot_at", "spot_at"]] = pd.NaT

    verdict = judged(frame)

    assert not verdict.report.passed
    assert verdict.report.rows == 0


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    verdict = judged(clean().drop(columns=column))

    assert finding(verdict, "columns_present").observed == f"missing {column}"
    assert not verdict.report.passed

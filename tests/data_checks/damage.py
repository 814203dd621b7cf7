"""What goes wrong with data, kind by kind, and the expectation that names it.

``python -m tests.data_checks.damage`` prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_checks.gate import Checked

from .benches import BENCHES, clean

Frame = pd.DataFrame
PRICES = ["open", "high", "low", "close"]


@dataclass(frozen=True, slots=True)
class Damage:
    """A kind of damage: ``spoil`` changes a copy of the suite's clean table, ``caught_by`` must fail."""

    suite: str
    kind: str
    caught_by: str
    spoil: Callable[[Frame], Frame]


DAMAGES: list[Damage] = []


def damage(suite: str, caught_by: str) -> Callable[[Callable[[Frame], Frame]], Callable[[Frame], Frame]]:
    """Lists a function under its own name, in words."""

    def listed(spoil: Callable[[Frame], Frame]) -> Callable[[Frame], Frame]:
        kind = spoil.__name__.removeprefix(f"{suite}_").replace("_", " ")
        DAMAGES.append(Damage(suite, kind, caught_by, spoil))
        return spoil

    return listed


def judged(entry: Damage) -> Checked:
    """The verdict on the damaged table."""
    return BENCHES[entry.suite].judge(entry.spoil(clean(entry.suite).copy(deep=True)))


def failed(verdict: Checked) -> set[str]:
    """The names of the expectations that did not hold."""
    return {finding.expectation for finding in verdict.report.findings if not finding.passed}


def put(frame: Frame, row: int, column: str, value: object) -> Frame:
    """One cell changed, whatever the type of its column."""
    frame[column] = frame[column].astype(object)
    frame.at[frame.index[row], column] = value
    return frame


def swapped(frame: Frame, one: str, other: str) -> Frame:
    return frame.assign(**{one: frame[other], other: frame[one]})


def repeated(frame: Frame, row: int) -> Frame:
    return pd.concat([frame.iloc[: row + 1], frame.iloc[row:]], ignore_index=True)


# Bars: T3 is the name that is damaged, among ten.
def _t3(frame: Frame) -> pd.Series:
    return frame["symbol"] == "T3"


def _t3_from(frame: Frame, offset: int) -> pd.Index:
    return frame.index[_t3(frame)][offset:]


@damage("bars", "prices_positive")
def bars_one_price_zeroed(frame: Frame) -> Frame:
    return put(frame, 100, "low", 0.0)


@damage("bars", "prices_positive")
def bars_prices_sign_flipped(frame: Frame) -> Frame:
    frame.loc[_t3(frame), PRICES] *= -1
    return frame


@damage("bars", "volume_not_negative")
def bars_volume_sign_flipped(frame: Frame) -> Frame:
    frame.loc[_t3(frame), "volume"] *= -1
    return frame


@damage("bars", "close_given")
def bars_close_nan(frame: Frame) -> Frame:
    return put(frame, 100, "close", np.nan)


@damage("bars", "high_given")
def bars_high_infinite(frame: Frame) -> Frame:
    return put(frame, 100, "high", np.inf)


@damage("bars", "open_given")
def bars_price_is_text(frame: Frame) -> Frame:
    return put(frame, 100, "open", "n/a")


@damage("bars", "volume_given")
def bars_volume_abbreviated(frame: Frame) -> Frame:
    return put(frame, 100, "volume", "1.2M")


@damage("bars", "sources_agree")
def bars_in_cents(frame: Frame) -> Frame:
    frame.loc[_t3(frame), PRICES] *= 100
    return frame


@damage("bars", "jumps_explained")
def bars_in_cents_from_some_day(frame: Frame) -> Frame:
    frame.loc[_t3_from(frame, 50), PRICES] *= 100
    return frame


@damage("bars", "jumps_explained")
def bars_split_not_adjusted(frame: Frame) -> Frame:
    rows = _t3_from(frame, 50)
    frame.loc[rows, PRICES] /= 4
    frame.loc[rows, "volume"] *= 4
    return frame


@damage("bars", "jumps_explained")
def bars_split_adjusted_twice(frame: Frame) -> Frame:
    rows = frame.index[_t3(frame)][:50]
    frame.loc[rows, PRICES] /= 2
    return frame


@damage("bars", "jumps_explained")
def bars_reverse_split_not_adjusted(frame: Frame) -> Frame:
    frame.loc[_t3_from(frame, 50), PRICES] *= 10
    return frame


@damage("bars", "sources_agree")
def bars_whole_history_adjusted_twice(frame: Frame) -> Frame:
    frame.loc[_t3(frame), PRICES] /= 2
    return frame


@damage("bars", "sources_agree")
def bars_dividends_adjusted_twice(frame: Frame) -> Frame:
    frame.loc[frame.index[_t3(frame)][:60], PRICES] *= 0.985
    return frame


@damage("bars", "sources_agree")
def bars_two_tickers_swapped(frame: Frame) -> Frame:
    return frame.assign(symbol=frame["symbol"].replace({"T3": "T4", "T4": "T3"})).sort_values(
        ["symbol", "session"], ignore_index=True
    )


@damage("bars", "jumps_explained")
def bars_two_companies_under_one_ticker(frame: Frame) -> Frame:
    rows = _t3_from(frame, 0)[::2]
    frame.loc[rows, PRICES] *= 3.2
    return frame


@damage("bars", "prices_consistent")
def bars_high_and_low_swapped(frame: Frame) -> Frame:
    return swapped(frame, "high", "low")


@damage("bars", "sources_agree")
def bars_open_and_close_swapped(frame: Frame) -> Frame:
    moved = swapped(frame, "open", "close")
    return moved.assign(close=moved["close"] * 1.01, high=moved["high"] * 1.01)


@damage("bars", "prices_consistent")
def bars_volume_and_close_swapped(frame: Frame) -> Frame:
    return swapped(frame, "volume", "close")


@damage("bars", "sources_agree")
def bars_closes_shifted_by_a_session(frame: Frame) -> Frame:
    for column in PRICES:
        frame.loc[_t3(frame), column] = frame.loc[_t3(frame), column].shift(1).bfill()
    return frame


@damage("bars", "no_future")
def bars_sessions_shifted_into_the_future(frame: Frame) -> Frame:
    rows = _t3(frame)
    following = frame.loc[rows, "session"].shift(-1).fillna(pd.Timestamp("2024-07-01"))
    frame.loc[rows, "session"] = following
    return frame


@damage("bars", "session_given")
def bars_sessions_in_another_zone(frame: Frame) -> Frame:
    return frame.assign(session=frame["session"].dt.tz_localize("America/New_York").dt.tz_convert("UTC"))


@damage("bars", "session_given")
def bars_sessions_with_a_time_of_day(frame: Frame) -> Frame:
    return frame.assign(session=frame["session"] - pd.Timedelta(hours=5))


@damage("bars", "session_given")
def bars_sessions_as_numbers(frame: Frame) -> Frame:
    return frame.assign(session=frame["session"].dt.strftime("%Y%m%d").astype(int))


@damage("bars", "session_trades")
def bars_sessions_a_calendar_day_late(frame: Frame) -> Frame:
    frame.loc[_t3(frame), "session"] += pd.Timedelta(days=1)
    return frame


@damage("bars", "session_trades")
def bars_holiday_row(frame: Frame) -> Frame:
    extra = frame[_t3(frame)].iloc[[50]].assign(session=pd.Timestamp("2024-06-19"))
    return pd.concat([frame, extra]).sort_values(["symbol", "session"], ignore_index=True)


@damage("bars", "session_trades")
def bars_weekend_row(frame: Frame) -> Frame:
    extra = frame[_t3(frame)].iloc[[50]].assign(session=pd.Timestamp("2024-06-22"))
    return pd.concat([frame, extra]).sort_values(["symbol", "session"], ignore_index=True)


@damage("bars", "complete")
def bars_session_missing(frame: Frame) -> Frame:
    return frame.drop(index=_t3_from(frame, 50)[0])


@damage("bars", "complete")
def bars_month_missing(frame: Frame) -> Frame:
    return frame.drop(index=frame.index[_t3(frame) & (frame["session"].dt.month == 5)])


@damage("bars", "fresh")
def bars_truncated(frame: Frame) -> Frame:
    return frame.drop(index=_t3_from(frame, -3))


@damage("bars", "fresh")
def bars_stale(frame: Frame) -> Frame:
    return frame[frame["session"] < "2024-06-20"]


@damage("bars", "unique")
def bars_row_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 100)


@damage("bars", "unique")
def bars_table_duplicated(frame: Frame) -> Frame:
    return pd.concat([frame, frame])


@damage("bars", "in_order")
def bars_newest_first(frame: Frame) -> Frame:
    return frame.iloc[::-1]


@damage("bars", "not_frozen")
def bars_frozen(frame: Frame) -> Frame:
    rows = _t3_from(frame, -8)
    for column in PRICES:
        frame.loc[rows, column] = frame.at[rows[0], column]
    return frame


@damage("bars", "liquid_volume")
def bars_filled_forward_without_volume(frame: Frame) -> Frame:
    rows = _t3_from(frame, 50)[:1]
    frame.loc[rows, PRICES] = frame.at[rows[0] - 1, "close"]
    frame.loc[rows, "volume"] = 0
    return frame


@damage("bars", "volume_units_agree")
def bars_volume_in_hundreds(frame: Frame) -> Frame:
    frame.loc[_t3(frame), "volume"] /= 100
    return frame


@damage("bars", "symbol_present")
def bars_symbol_missing(frame: Frame) -> Frame:
    return put(frame, 100, "symbol", None)


@damage("bars", "columns_present")
def bars_column_missing(frame: Frame) -> Frame:
    return frame.drop(columns="volume")


@damage("bars", "rows_present")
def bars_empty(frame: Frame) -> Frame:
    return frame.iloc[:0]


# Quotes of shares.
@damage("quotes", "not_crossed")
def quotes_crossed(frame: Frame) -> Frame:
    return swapped(frame, "bid", "ask")


@damage("quotes", "bid_given")
def quotes_bid_missing(frame: Frame) -> Frame:
    return put(frame, 3, "bid", np.nan)


@damage("quotes", "ask_given")
def quotes_ask_infinite(frame: Frame) -> Frame:
    return put(frame, 3, "ask", np.inf)


@damage("quotes", "prices_positive")
def quotes_zeroed(frame: Frame) -> Frame:
    return put(put(frame, 3, "bid", 0.0), 3, "ask", 0.0)


@damage("quotes", "prices_positive")
def quotes_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(bid=-frame["ask"], ask=-frame["bid"])


@damage("quotes", "near_last_close")
def quotes_in_cents_without_a_second_source(frame: Frame) -> Frame:
    return frame.assign(bid=frame["bid"] * 100, ask=frame["ask"] * 100, second_bid=np.nan, second_ask=np.nan)


@damage("quotes", "near_last_close")
def quotes_close_of_before_a_split(frame: Frame) -> Frame:
    alone = frame.assign(second_bid=np.nan, second_ask=np.nan)
    return put(alone, 3, "close_before", frame["close_before"].iat[3] * 4)


@damage("quotes", "sources_agree")
def quotes_of_two_symbols_swapped(frame: Frame) -> Frame:
    frame.loc[[3, 4], ["bid", "ask"]] = frame.loc[[4, 3], ["bid", "ask"]].to_numpy()
    return frame


@damage("quotes", "sources_agree")
def quotes_stuck_while_the_market_moves(frame: Frame) -> Frame:
    return frame.assign(second_bid=frame["second_bid"] * 1.03, second_ask=frame["second_ask"] * 1.03)


@damage("quotes", "fresh")
def quotes_stale(frame: Frame) -> Frame:
    return frame.assign(quoted_at=frame["quoted_at"] - pd.Timedelta(minutes=15))


@damage("quotes", "fresh")
def quotes_from_the_future(frame: Frame) -> Frame:
    return frame.assign(quoted_at=frame["quoted_at"] + pd.Timedelta(minutes=1))


@damage("quotes", "fresh")
def quotes_new_york_time_read_as_utc(frame: Frame) -> Frame:
    shifted = frame["quoted_at"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    return frame.assign(quoted_at=shifted.dt.tz_localize("UTC"))


@damage("quotes", "feed_good_enough")
def quotes_of_a_delayed_feed(frame: Frame) -> Frame:
    return put(frame, 3, "feed", "delayed")


@damage("quotes", "feed_good_enough")
def quotes_of_an_unknown_feed(frame: Frame) -> Frame:
    return put(frame, 3, "feed", "sip")


@damage("quotes", "spread_plausible")
def quotes_of_a_stub(frame: Frame) -> Frame:
    return put(put(frame, 3, "bid", 0.01), 3, "ask", 199999.0)


@damage("quotes", "sizes_given")
def quotes_with_nobody_behind(frame: Frame) -> Frame:
    return put(frame, 3, "bid_size", 0)


@damage("quotes", "unique")
def quotes_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 3)


# Option chains: prices.
def _xyz(frame: Frame) -> pd.Series:
    return frame["underlying"] == "XYZ"


@damage("option_chain", "not_crossed")
def option_chain_crossed(frame: Frame) -> Frame:
    return swapped(frame, "bid", "ask")


@damage("option_chain", "ask_positive")
def option_chain_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(bid=-frame["ask"], ask=-frame["bid"])


@damage("option_chain", "bid_positive")
def option_chain_zero_for_no_bid(frame: Frame) -> Frame:
    return put(frame, 10, "bid", 0.0)


@damage("option_chain", "parity_in_band")
def option_chain_calls_and_puts_swapped(frame: Frame) -> Frame:
    return frame.assign(right=frame["right"].map({"C": "P", "P": "C"}))


@damage("option_chain", "parity_in_band")
def option_chain_spot_of_another_name(frame: Frame) -> Frame:
    frame.loc[_xyz(frame), ["spot_bid", "spot_ask"]] *= 1.1
    return frame


@damage("option_chain", "spot_inside_strikes")
def option_chain_strikes_in_thousandths(frame: Frame) -> Frame:
    frame.loc[_xyz(frame), "strike"] *= 1000
    return frame


@damage("option_chain", "spot_inside_strikes")
def option_chain_strikes_of_before_a_split(frame: Frame) -> Frame:
    frame.loc[_xyz(frame), "strike"] *= 7
    return frame


@damage("option_chain", "no_vertical_arbitrage")
def option_chain_prices_shifted_by_a_strike(frame: Frame) -> Frame:
    rows = frame.index[_xyz(frame) & (frame["right"] == "C") & (frame["expiry"] == frame["expiry"].min())]
    frame.loc[rows, ["bid", "ask"]] = frame.loc[rows[::-1], ["bid", "ask"]].to_numpy()
    return frame


@damage("option_chain", "parity_in_band")
def option_chain_in_cents(frame: Frame) -> Frame:
    frame.loc[_xyz(frame), ["bid", "ask"]] *= 100
    return frame


@damage("option_chain", "enough_two_sided")
def option_chain_one_sided(frame: Frame) -> Frame:
    frame.loc[_xyz(frame), "bid"] = np.nan
    return frame


@damage("option_chain", "snapshot_fresh")
def option_chain_stale(frame: Frame) -> Frame:
    return frame.assign(snapshot_at=frame["snapshot_at"] - pd.Timedelta(hours=1))


@damage("option_chain", "taken_in_a_session")
def option_chain_taken_on_a_weekend(frame: Frame) -> Frame:
    return frame.assign(snapshot_at=frame["snapshot_at"] - pd.Timedelta(days=1))


@damage("option_chain", "quote_fresh")
def option_chain_quotes_without_a_time(frame: Frame) -> Frame:
    return frame.assign(quoted_at=pd.NaT)


@damage("option_chain", "not_expired")
def option_chain_expired(frame: Frame) -> Frame:
    return put(frame, 10, "expiry", pd.Timestamp("2024-06-21"))


@damage("option_chain", "expiry_trades")
def option_chain_expiry_on_a_saturday(frame: Frame) -> Frame:
    return frame.assign(expiry=frame["expiry"] + pd.Timedelta(days=1))


@damage("option_chain", "symbol_well_formed")
def option_chain_symbol_of_a_vendor(frame: Frame) -> Frame:
    return frame.assign(occ_symbol="O:" + frame["occ_symbol"].str.replace(" ", ""))


@damage("option_chain", "unique")
def option_chain_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 10)


@damage("option_chain", "standard_contract")
def option_chain_adjusted_deliverable(frame: Frame) -> Frame:
    return put(frame, 10, "multiplier", 150)


@damage("option_chain", "delta_has_the_right_sign")
def option_chain_deltas_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(delta=-frame["delta"])


@damage("option_chain", "delta_has_the_right_sign")
def option_chain_deltas_in_percent(frame: Frame) -> Frame:
    return frame.assign(delta=frame["delta"] * 100)


@damage("option_chain", "open_interest_not_negative")
def option_chain_open_interest_negative(frame: Frame) -> Frame:
    return put(frame, 10, "open_interest", -1)


# Volatilities and smiles.
def _spx(frame: Frame) -> pd.Series:
    return frame["underlying"] == "SPX"


def _one_option(frame: Frame, strike: float = 97.5, right: str = "P", expiry: str = "2024-08-16") -> int:
    chosen = frame[_spx(frame) & (frame["strike"] == strike) & (frame["right"] == right)]
    return int(chosen.index[chosen["expiry"] == expiry][0])


@damage("iv_and_smile", "iv_plausible")
def iv_and_smile_iv_in_percent(frame: Frame) -> Frame:
    return frame.assign(iv=frame["iv"] * 100)


@damage("iv_and_smile", "iv_plausible")
def iv_and_smile_percent_taken_for_percent_twice(frame: Frame) -> Frame:
    return frame.assign(iv=frame["iv"] / 100)


@damage("iv_and_smile", "iv_positive")
def iv_and_smile_zero_for_not_computed(frame: Frame) -> Frame:
    return put(frame, _one_option(frame), "iv", 0.0)


@damage("iv_and_smile", "iv_in_scale")
def iv_and_smile_floor_for_not_computed(frame: Frame) -> Frame:
    return put(frame, _one_option(frame), "iv", 0.02)


@damage("iv_and_smile", "iv_positive")
def iv_and_smile_iv_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(iv=-frame["iv"])


@damage("iv_and_smile", "iv_given")
def iv_and_smile_iv_missing_near_the_money(frame: Frame) -> Frame:
    return put(frame, _one_option(frame), "iv", np.nan)


@damage("iv_and_smile", "smile_smooth")
def iv_and_smile_one_iv_jumps(frame: Frame) -> Frame:
    return put(frame, _one_option(frame), "iv", 0.35)


@damage("iv_and_smile", "call_and_put_iv_agree")
def iv_and_smile_calls_and_puts_apart(frame: Frame) -> Frame:
    return frame.assign(iv=frame["iv"].where(frame["right"] == "C", frame["iv"] + 0.15))


@damage("iv_and_smile", "iv_gives_its_price")
def iv_and_smile_ivs_of_another_expiry(frame: Frame) -> Frame:
    near = frame["expiry"] == frame["expiry"].min()
    return frame.assign(iv=frame["iv"].mask(near, frame["iv"] * 1.5))


@damage("iv_and_smile", "iv_gives_its_price")
def iv_and_smile_ivs_of_before_a_shock(frame: Frame) -> Frame:
    return frame.assign(iv=frame["iv"] * 0.6)


@damage("iv_and_smile", "delta_matches_iv")
def iv_and_smile_deltas_of_the_other_right(frame: Frame) -> Frame:
    return frame.assign(delta=frame["delta"] + np.where(frame["right"] == "C", -1.0, 1.0))


@damage("iv_and_smile", "no_butterfly_arbitrage")
def iv_and_smile_middle_strike_too_dear(frame: Frame) -> Frame:
    for right in "CP":
        frame.loc[_one_option(frame, 100.0, right), ["bid", "ask"]] += 1.0
    return frame


@damage("iv_and_smile", "no_calendar_arbitrage")
def iv_and_smile_two_expiries_swapped(frame: Frame) -> Frame:
    first, second = sorted(frame["expiry"].unique())[:2]
    return frame.assign(expiry=frame["expiry"].replace({first: second, second: first}))


@damage("iv_and_smile", "parity_residual")
def iv_and_smile_one_put_stale(frame: Frame) -> Frame:
    frame.loc[_one_option(frame, 102.5), ["bid", "ask"]] += 0.6
    return frame


@damage("iv_and_smile", "forward_near_spot")
def iv_and_smile_spot_of_before_a_split(frame: Frame) -> Frame:
    frame.loc[_spx(frame), ["spot_bid", "spot_ask"]] *= 2
    return frame


@damage("iv_and_smile", "not_settled")
def iv_and_smile_settled_this_morning(frame: Frame) -> Frame:
    late = frame["expiry"] == frame["expiry"].min()
    frame["am_settled"] |= late
    return frame.assign(expiry=frame["expiry"].mask(late, pd.Timestamp("2024-07-01")))


# Earnings dates: AD is the company that is damaged, rows 24 to 31.
@damage("earnings", "confirmed_on_a_session")
def earnings_confirmed_on_a_holiday(frame: Frame) -> Frame:
    return put(frame, 29, "day", pd.Timestamp("2024-05-27"))


@damage("earnings", "confirmed_on_a_session")
def earnings_confirmed_on_a_weekend(frame: Frame) -> Frame:
    frame.loc[frame["underlying"] == "AD", "day"] += pd.Timedelta(days=2)
    return frame


@damage("earnings", "day_given")
def earnings_day_missing(frame: Frame) -> Frame:
    return put(frame, 29, "day", pd.NaT)


@damage("earnings", "day_given")
def earnings_day_with_a_time_and_zone(frame: Frame) -> Frame:
    return frame.assign(day=frame["day"].dt.tz_localize("UTC"))


@damage("earnings", "day_plausible")
def earnings_day_and_year_swapped(frame: Frame) -> Frame:
    return put(frame, 31, "day", pd.Timestamp("2042-10-22"))


@damage("earnings", "day_plausible")
def earnings_epoch_for_unknown(frame: Frame) -> Frame:
    return put(frame, 24, "day", pd.Timestamp("1970-01-01"))


@damage("earnings", "time_readable")
def earnings_midnight_for_unknown(frame: Frame) -> Frame:
    return put(frame, 29, "time", "00:00")


@damage("earnings", "time_readable")
def earnings_time_missing(frame: Frame) -> Frame:
    return put(frame, 29, "time", None)


@damage("earnings", "time_known")
def earnings_time_unknown(frame: Frame) -> Frame:
    return put(frame, 29, "time", "unknown")


@damage("earnings", "sources_agree")
def earnings_a_day_off_the_other_source(frame: Frame) -> Frame:
    frame.loc[frame["underlying"] == "AD", "day"] += pd.Timedelta(days=1)
    return frame


@damage("earnings", "no_gap")
def earnings_two_reports_missing(frame: Frame) -> Frame:
    return frame.drop(index=[27, 28])


@damage("earnings", "unique")
def earnings_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 29)


@damage("earnings", "not_too_soon")
def earnings_listed_again_weeks_later(frame: Frame) -> Frame:
    extra = frame.iloc[[29]].assign(day=frame["day"].iat[29] + pd.Timedelta(days=21))
    return pd.concat([frame, extra], ignore_index=True)


@damage("earnings", "confirmed_readable")
def earnings_confirmed_as_text(frame: Frame) -> Frame:
    return put(frame, 29, "confirmed", "yes")


@damage("earnings", "fresh")
def earnings_stale(frame: Frame) -> Frame:
    return frame.assign(read_at=frame["read_at"] - pd.Timedelta(days=30))


# Corporate actions: of each company a dividend, another, a split and a renaming.
def _splits(frame: Frame) -> pd.Series:
    return frame["kind"] == "split"


@damage("corporate_actions", "seen_in_prices")
def corporate_actions_ratio_turned_over(frame: Frame) -> Frame:
    return frame.assign(ratio=1 / frame["ratio"])


@damage("corporate_actions", "seen_in_prices")
def corporate_actions_prices_already_adjusted(frame: Frame) -> Frame:
    return frame.assign(close_before=frame["close_before"].mask(_splits(frame), 100.0))


@damage("corporate_actions", "ratio_given")
def corporate_actions_ratio_missing(frame: Frame) -> Frame:
    return put(frame, 2, "ratio", np.nan)


@damage("corporate_actions", "ratio_given")
def corporate_actions_ratio_of_one(frame: Frame) -> Frame:
    return put(frame, 2, "ratio", 1.0)


@damage("corporate_actions", "ratio_given")
def corporate_actions_ratio_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(ratio=-frame["ratio"])


@damage("corporate_actions", "ratio_plausible")
def corporate_actions_ratio_in_percent(frame: Frame) -> Frame:
    return frame.assign(ratio=frame["ratio"] * 100, close_before=np.nan)


@damage("corporate_actions", "ratio_plausible")
def corporate_actions_ratio_that_no_split_has(frame: Frame) -> Frame:
    return frame.assign(ratio=3.14159, close_before=np.nan)


@damage("corporate_actions", "dividend_plausible")
def corporate_actions_dividend_in_cents(frame: Frame) -> Frame:
    return frame.assign(amount=frame["amount"] * 100)


@damage("corporate_actions", "amount_given")
def corporate_actions_dividend_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(amount=-frame["amount"])


@damage("corporate_actions", "amount_given")
def corporate_actions_amount_and_ratio_swapped(frame: Frame) -> Frame:
    return swapped(frame, "amount", "ratio")


@damage("corporate_actions", "unique")
def corporate_actions_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 2)


@damage("corporate_actions", "splits_apart")
def corporate_actions_split_again_on_its_pay_date(frame: Frame) -> Frame:
    extra = frame.iloc[[2]].assign(ex_date=pd.Timestamp("2024-05-22"))
    return pd.concat([frame, extra], ignore_index=True)


@damage("corporate_actions", "ex_date_trades")
def corporate_actions_ex_date_on_a_holiday(frame: Frame) -> Frame:
    return put(frame, 1, "ex_date", pd.Timestamp("2024-06-19"))


@damage("corporate_actions", "paid_after_ex_date")
def corporate_actions_ex_and_pay_date_swapped(frame: Frame) -> Frame:
    return swapped(frame, "ex_date", "pay_date")


@damage("corporate_actions", "not_too_far")
def corporate_actions_of_a_far_year(frame: Frame) -> Frame:
    return put(frame, 1, "ex_date", pd.Timestamp("2042-06-13"))


@damage("corporate_actions", "renamed_to_another")
def corporate_actions_renamed_to_itself(frame: Frame) -> Frame:
    return frame.assign(becomes=frame["underlying"].where(frame["kind"] == "renamed"))


# Yields.
@damage("rates", "in_percent")
def rates_as_fractions(frame: Frame) -> Frame:
    return frame.assign(percent=frame["percent"] / 100)


@damage("rates", "percent_plausible")
def rates_in_basis_points(frame: Frame) -> Frame:
    return frame.assign(percent=frame["percent"] * 100)


@damage("rates", "no_jump")
def rates_one_day_as_fractions(frame: Frame) -> Frame:
    return frame.assign(percent=frame["percent"].mask(frame["day"] == "2024-06-14", frame["percent"] / 100))


@damage("rates", "percent_given")
def rates_nan_on_one_day(frame: Frame) -> Frame:
    return put(frame, 50, "percent", np.nan)


@damage("rates", "percent_given")
def rates_as_text(frame: Frame) -> Frame:
    return put(frame, 50, "percent", "N/A")


@damage("rates", "tenors_present")
def rates_tenor_missing(frame: Frame) -> Frame:
    return frame[frame["years"] != 0.5]


@damage("rates", "tenor_known")
def rates_tenors_in_months(frame: Frame) -> Frame:
    return frame.assign(years=frame["years"] * 12)


@damage("rates", "no_jump")
def rates_columns_swapped_on_one_day(frame: Frame) -> Frame:
    day = frame.index[frame["day"] == "2024-06-14"]
    frame.loc[[day[0], day[8]], "percent"] = frame.loc[[day[8], day[0]], "percent"].to_numpy()
    return frame


@damage("rates", "smooth")
def rates_one_tenor_off(frame: Frame) -> Frame:
    return frame.assign(percent=frame["percent"].mask(frame["years"] == 2.0, 2.0))


@damage("rates", "fresh")
def rates_stale(frame: Frame) -> Frame:
    return frame[frame["day"] < "2024-06-20"]


@damage("rates", "complete")
def rates_week_missing(frame: Frame) -> Frame:
    return frame[~frame["day"].between("2024-06-03", "2024-06-07")]


@damage("rates", "no_future")
def rates_of_tomorrow(frame: Frame) -> Frame:
    return frame.assign(day=frame["day"].replace({pd.Timestamp("2024-06-28"): pd.Timestamp("2024-07-02")}))


@damage("rates", "day_trades")
def rates_on_a_weekend(frame: Frame) -> Frame:
    return frame.assign(day=frame["day"].replace({pd.Timestamp("2024-06-28"): pd.Timestamp("2024-06-29")}))


@damage("rates", "not_frozen")
def rates_frozen(frame: Frame) -> Frame:
    last = frame[frame["day"] == "2024-06-14"].set_index("years")["percent"]
    after = frame["day"] > "2024-06-14"
    return frame.assign(percent=frame["percent"].mask(after, frame["years"].map(last)))


@damage("rates", "unique")
def rates_duplicated(frame: Frame) -> Frame:
    return repeated(frame, 50)


# Universes.
@damage("universe", "unique")
def universe_ticker_listed_twice(frame: Frame) -> Frame:
    return repeated(frame, 3)


@damage("universe", "known")
def universe_ticker_unknown(frame: Frame) -> Frame:
    return put(frame, 3, "ticker", "ZZZZ")


@damage("universe", "well_formed")
def universe_class_share_with_a_dash(frame: Frame) -> Frame:
    return put(frame, 3, "ticker", "BRK-B")


@damage("universe", "well_formed")
def universe_ticker_in_lower_case(frame: Frame) -> Frame:
    return frame.assign(ticker=frame["ticker"].str.lower())


@damage("universe", "well_formed")
def universe_ticker_read_as_a_truth_value(frame: Frame) -> Frame:
    return put(frame, 3, "ticker", True)


@damage("universe", "not_ended")
def universe_ticker_renamed_since(frame: Frame) -> Frame:
    return put(frame, 3, "ends", pd.Timestamp("2024-06-10"))


@damage("universe", "effective_by_now")
def universe_of_the_future(frame: Frame) -> Frame:
    return frame.assign(effective=pd.Timestamp("2024-08-01"))


@damage("universe", "effective_given")
def universe_undated(frame: Frame) -> Frame:
    return frame.assign(effective=pd.NaT)


@damage("universe", "span_in_order")
def universe_ends_before_it_begins(frame: Frame) -> Frame:
    return put(frame, 3, "ends", pd.Timestamp("2024-05-01"))


@damage("universe", "ends_readable")
def universe_end_as_text(frame: Frame) -> Frame:
    return put(frame, 3, "ends", "soon")


@damage("universe", "size_as_before")
def universe_truncated(frame: Frame) -> Frame:
    return frame.iloc[:6]


@damage("universe", "looked_at_lately")
def universe_years_old(frame: Frame) -> Frame:
    return frame.assign(effective=pd.Timestamp("2019-06-03"))


# Positions: cash, shares, a short put, a long put and a short call.
@damage("positions", "known")
def positions_of_an_unknown_instrument(frame: Frame) -> Frame:
    return put(frame, 1, "symbol", "ZZZZ")


@damage("positions", "integral")
def positions_of_half_a_contract(frame: Frame) -> Frame:
    return put(frame, 2, "quantity", -0.5)


@damage("positions", "sign_as_expected")
def positions_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(quantity=-frame["quantity"])


@damage("positions", "shares_not_short")
def positions_shares_short_after_assignment(frame: Frame) -> Frame:
    return put(put(frame, 1, "quantity", -100.0), 1, "expected", np.nan)


@damage("positions", "not_expired")
def positions_expired(frame: Frame) -> Frame:
    return put(frame, 2, "expiry", pd.Timestamp("2024-06-21"))


@damage("positions", "symbol_matches_expiry")
def positions_expiry_of_another_contract(frame: Frame) -> Frame:
    return put(frame, 2, "expiry", pd.Timestamp("2024-08-16"))


@damage("positions", "expiry_given")
def positions_expiry_missing(frame: Frame) -> Frame:
    return put(frame, 2, "expiry", pd.NaT)


@damage("positions", "unique")
def positions_listed_twice(frame: Frame) -> Frame:
    return repeated(frame, 2)


@damage("positions", "not_zero")
def positions_of_nothing(frame: Frame) -> Frame:
    return put(frame, 2, "quantity", 0.0)


@damage("positions", "quantity_given")
def positions_quantity_nan(frame: Frame) -> Frame:
    return put(frame, 2, "quantity", np.nan)


@damage("positions", "size_plausible")
def positions_in_shares_for_contracts(frame: Frame) -> Frame:
    return frame.assign(quantity=frame["quantity"] * 1_000_000)


@damage("positions", "multiplier_plausible")
def positions_multiplier_of_one(frame: Frame) -> Frame:
    return frame.assign(multiplier=1)


@damage("positions", "kind_known")
def positions_of_a_future(frame: Frame) -> Frame:
    return put(frame, 1, "kind", "future")


@damage("positions", "symbol_given")
def positions_unnamed(frame: Frame) -> Frame:
    return put(frame, 1, "symbol", None)


@damage("positions", "rows_present")
def positions_empty_answer(frame: Frame) -> Frame:
    return frame.iloc[:0]


# Stored chains: the session of 2024-06-20 of XYZ is damaged.
def _day(frame: Frame, day: str = "2024-06-20") -> pd.Series:
    return (frame["underlying"] == "XYZ") & (frame["session"] == day)


@damage("chain_history", "volume_usual")
def chain_history_captured_at_the_open(frame: Frame) -> Frame:
    return frame.assign(volume=frame["volume"].mask(_day(frame), frame["volume"] // 20))


@damage("chain_history", "not_a_copy")
def chain_history_copy_of_the_day_before(frame: Frame) -> Frame:
    frame.loc[_day(frame), "volume"] = frame.loc[_day(frame, "2024-06-18"), "volume"].to_numpy()
    return frame


@damage("chain_history", "session_trades")
def chain_history_holiday_file(frame: Frame) -> Frame:
    return pd.concat([frame, frame[_day(frame)].assign(session=pd.Timestamp("2024-06-19"))])


@damage("chain_history", "contracts_kept")
def chain_history_half_of_the_contracts(frame: Frame) -> Frame:
    return frame[~(_day(frame) & (frame["right"] == "C"))]


@damage("chain_history", "strikes_on_scale")
def chain_history_strikes_of_before_a_split(frame: Frame) -> Frame:
    return frame.assign(strike=frame["strike"].mask(_day(frame), frame["strike"] * 7))


@damage("chain_history", "underlying_price_given")
def chain_history_underlying_price_missing(frame: Frame) -> Frame:
    return frame.assign(underlying_price=frame["underlying_price"].mask(_day(frame)))


@damage("chain_history", "underlying_price_agrees")
def chain_history_prices_of_the_day_before(frame: Frame) -> Frame:
    price = frame.groupby("underlying")["underlying_price"]
    sizes = len(frame[_day(frame)])
    return frame.assign(underlying_price=price.shift(sizes).bfill())


@damage("chain_history", "underlying_price_moves")
def chain_history_underlying_price_frozen(frame: Frame) -> Frame:
    before = frame.loc[_day(frame, "2024-06-18"), "underlying_price"].iat[0]
    return frame.assign(underlying_price=frame["underlying_price"].mask(_day(frame), before))


@damage("chain_history", "quoted")
def chain_history_last_trades_for_quotes(frame: Frame) -> Frame:
    return frame.assign(bid=np.nan, ask=np.nan)


@damage("chain_history", "iv_computed")
def chain_history_ivs_not_computed(frame: Frame) -> Frame:
    return frame.assign(iv=frame["iv"].mask(_day(frame), 0.0))


@damage("chain_history", "complete")
def chain_history_session_missing(frame: Frame) -> Frame:
    return frame[~_day(frame)]


@damage("chain_history", "no_future")
def chain_history_session_of_the_future(frame: Frame) -> Frame:
    return frame.assign(
        session=frame["session"].replace({pd.Timestamp("2024-06-28"): pd.Timestamp("2024-07-02")})
    )


# The account.
@damage("account", "equity_given")
def account_equity_nan(frame: Frame) -> Frame:
    return frame.assign(equity=np.nan)


@damage("account", "buying_power_not_negative")
def account_buying_power_sign_flipped(frame: Frame) -> Frame:
    return frame.assign(buying_power=-frame["buying_power"])


@damage("account", "fresh")
def account_stale(frame: Frame) -> Frame:
    return frame.assign(as_of=frame["as_of"] - pd.Timedelta(minutes=5))


@damage("account", "account_is_ours")
def account_of_somebody_else(frame: Frame) -> Frame:
    return frame.assign(account="PA2")


def main() -> None:
    """Prints what catches each kind of damage, and exits with the number of kinds that nothing caught."""
    began, missed = time.perf_counter(), 0
    print(f"{'suite':18} {'kind of damage':42} caught by")
    for entry in DAMAGES:
        caught = failed(judged(entry))
        missed += entry.caught_by not in caught
        named = [entry.caught_by, *sorted(caught - {entry.caught_by})]
        told = ", ".join(named) if entry.caught_by in caught else f"NOT CAUGHT ({entry.caught_by} expected)"
        print(f"{entry.suite:18} {entry.kind:42} {told}")
    took = time.perf_counter() - began
    print(f"{len(DAMAGES)} kinds, {len(DAMAGES) - missed} caught, {missed} missed; {took:.0f} s")
    raise SystemExit(missed)


if __name__ == "__main__":
    main()

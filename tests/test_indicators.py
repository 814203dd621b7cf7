from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wsb_core.indicators import (
    average_true_range,
    bollinger_position,
    realised_vol,
    relative_volume,
    rise_to_high,
    wilder_rsi,
)

# The worked example of StockCharts' ChartSchool: QQQQ closes of 14 Dec 2009 to 1 Feb 2010 and its RSI(14).
QQQQ = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
    46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521,
    45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
]  # fmt: skip
QQQQ_RSI = [
    70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38,
    54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77,
]  # fmt: skip
# The same school's ATR example; the first two averages to ten places are another library's (C#, Wilder ATR).
ATR_HIGH = [
    48.70, 48.72, 48.90, 48.87, 48.82, 49.05, 49.20, 49.35, 49.92, 50.19, 50.12, 49.66, 49.88, 50.19, 50.36,
]  # fmt: skip
ATR_LOW = [
    47.79, 48.14, 48.39, 48.37, 48.24, 48.64, 48.94, 48.86, 49.50, 49.87, 49.20, 48.90, 49.43, 49.73, 49.26,
]  # fmt: skip
ATR_CLOSE = [
    48.16, 48.61, 48.75, 48.63, 48.74, 49.03, 49.07, 49.32, 49.91, 50.13, 49.53, 49.50, 49.75, 50.03, 50.31,
]  # fmt: skip


def a_frame(*columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({f"T{i}": np.asarray(c, dtype=float) for i, c in enumerate(columns)})


def test_rsi_is_wilders_to_the_published_two_places():
    rsi = wilder_rsi(a_frame(QQQQ))

    assert rsi["T0"].iloc[14:].round(2).tolist() == QQQQ_RSI


def test_rsi_is_missing_until_it_has_fourteen_changes():
    rsi = wilder_rsi(a_frame(QQQQ))

    assert rsi["T0"].iloc[:14].isna().all()


def test_rsi_starts_where_a_tickers_own_history_starts():
    late = wilder_rsi(a_frame([float("nan")] * 5 + QQQQ))

    assert late["T0"].iloc[19:].round(2).tolist() == QQQQ_RSI


@pytest.mark.parametrize(
    ("closes", "expected"),
    [(range(1, 31), 100.0), (range(60, 30, -1), 0.0), ([7.0] * 30, 50.0)],
    ids=["no losses", "no gains", "no change"],
)
def test_rsi_divides_by_zero_on_purpose(closes, expected):
    rsi = wilder_rsi(a_frame(list(closes)))

    assert rsi["T0"].iloc[-1] == expected


def test_a_session_without_a_price_has_no_rsi_and_the_next_has_no_change():
    gap = QQQQ.copy()
    gap[20] = float("nan")

    rsi = wilder_rsi(a_frame(gap))["T0"]

    assert rsi.iloc[20:22].isna().all()
    assert rsi.iloc[[19, 22]].notna().all()


def test_average_true_range_is_wilders():
    atr = average_true_range(a_frame(ATR_HIGH), a_frame(ATR_LOW), a_frame(ATR_CLOSE))

    assert atr["T0"].iloc[:13].isna().all()
    assert atr["T0"].iloc[13] == pytest.approx(0.5542857143)
    assert atr["T0"].iloc[14] == pytest.approx(0.5932653061, abs=1e-9)


def test_realised_volatility_annualises_the_sample_deviation_of_log_returns():
    closes = [100.0, 101.0, 99.0, 102.0]
    returns = np.diff(np.log(closes))

    vol = realised_vol(a_frame(closes), 3)

    assert vol["T0"].iloc[:3].isna().all()
    assert vol["T0"].iloc[-1] == pytest.approx(returns.std(ddof=1) * 252**0.5)


def test_bollinger_position_is_zero_on_the_lower_band_and_half_on_a_flat_series():
    swing = [9.0, 11.0] * 10
    # With mean 10 and population deviation 1 the bands are 8 and 12, and a close of 9 is a quarter up.
    position = bollinger_position(a_frame(swing[::-1], [5.0] * 20))

    assert position["T0"].iloc[-1] == pytest.approx(0.25)
    assert position["T1"].iloc[-1] == 0.5


def test_relative_volume_leaves_the_day_itself_out_of_the_usual():
    volume = relative_volume(a_frame([100.0] * 20 + [300.0], [0.0] * 20 + [300.0]))

    assert volume["T0"].iloc[-1] == pytest.approx(3.0)
    assert np.isnan(volume["T1"].iloc[-1])


def test_rise_to_high_takes_the_lowest_low_that_came_before_the_high():
    high = a_frame([10, 11, 15, 12, 11])
    low = a_frame([9, 8, 14, 11, 5])

    rise, top = rise_to_high(high, low, 5)

    assert top["T0"].iloc[-1] == 15
    assert rise["T0"].iloc[-1] == pytest.approx(15 / 8 - 1)


def test_of_equal_highs_the_latest_counts():
    rise, _ = rise_to_high(a_frame([10, 15, 12, 15]), a_frame([9, 14, 6, 14]), 4)

    assert rise["T0"].iloc[-1] == pytest.approx(15 / 6 - 1)


def test_rise_to_high_is_unknown_when_the_high_came_first_or_a_session_is_missing():
    high = a_frame([15, 11, 12], [10, float("nan"), 12])
    low = a_frame([9, 8, 9], [9, 8, 11])

    rise, _ = rise_to_high(high, low, 3)

    assert rise.iloc[-1].isna().all()

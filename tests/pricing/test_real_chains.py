"""Forwards, smiles and surfaces on recorded chains: what is left out of a fit is foretold by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.pricing.american import american
from wsb_core.pricing.clock import VarianceClock, years_to
from wsb_core.pricing.european import european
from wsb_core.pricing.forward import (
    ExpiryQuotes,
    Forward,
    ForwardStatus,
    implied_forward,
    implied_forward_american,
)
from wsb_core.pricing.smile import QuoteStatus, Smile, SmileStatus, fit_smile, quoted_vols
from wsb_core.pricing.surface import (
    FigureStatus,
    calendar_breaks,
    constant_maturity_vol,
    event_move,
    implied_move,
    surface,
)

LEAST_DELTA, WIDEST = 0.02, 0.25
"""A quote is liquid from this delta on, and up to this spread in parts of its mid."""


class Expiry(NamedTuple):
    """One root and expiry of a recorded chain."""

    root: str
    day: date
    years: float
    frame: pd.DataFrame

    @property
    def quotes(self) -> ExpiryQuotes:
        f = self.frame
        return ExpiryQuotes(
            f["strike"].to_numpy(float),
            f["bid"].to_numpy(),
            f["ask"].to_numpy(),
            (f["right"] == "C").to_numpy(),
        )


def _expiries(frame: pd.DataFrame, at: datetime) -> Iterator[Expiry]:
    for (root, expiry), rows in frame.groupby(["root", "expiration"]):
        yield Expiry(str(root), expiry.date(), years_to(at, str(root), expiry.date()).years, rows)


def _close(day: str, hour: int = 16) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=NEW_YORK)


@pytest.fixture(scope="module")
def options(shared: Path) -> Path:
    folder = shared / "data" / "options"
    if not folder.is_dir():
        pytest.skip("needs the recorded option chains (WSB_SHARED)")
    return folder


@pytest.fixture(scope="module")
def spx(options: Path) -> pd.DataFrame:
    return pd.read_parquet(options / "spx_chain_2019.parquet")


@pytest.fixture(scope="module")
def june_3(spx: pd.DataFrame) -> list[Expiry]:
    return list(_expiries(spx[spx["quote_date"] == "2019-06-03"], _close("2019-06-03")))


@pytest.fixture(scope="module")
def smiles(june_3: list[Expiry]) -> list[Smile]:
    return [fit_smile(e.quotes, implied_forward(e.quotes, e.years)) for e in june_3]


def _aapl(options: Path, day: str) -> list[Expiry]:
    frame = pd.read_parquet(options / "aapl_chain_2014_06.parquet")
    frame = frame[frame["date"] == day].assign(root="AAPL")
    return list(_expiries(frame.rename(columns={"bid_close": "bid", "ask_close": "ask"}), _close(day)))


def _msft(options: Path) -> list[Expiry]:
    frame = pd.read_csv(options / "msft_chain_2021_11_22.csv", parse_dates=["expiration"])
    return list(_expiries(frame.assign(root="MSFT"), _close("2021-11-22", 12)))


class LeftOut(NamedTuple):
    """One quote priced by a forward and smile that never saw its strike."""

    inside: bool
    vol_points: float


def _liquid(quotes: ExpiryQuotes, smile: Smile) -> list[int]:
    """Out-of-the-money quotes that are liquid, outliers among them."""
    forward = smile.forward
    vol = np.nan_to_num(smile.quoted.mid, nan=0.2)
    delta = european(
        forward.forward, quotes.strike, forward.years, forward.rate, forward.rate, vol, quotes.is_call
    ).delta
    spoken = np.isin(smile.quoted.status, (QuoteStatus.OK, QuoteStatus.OUTLIER))
    narrow = quotes.ask - quotes.bid <= WIDEST * (quotes.bid + quotes.ask) / 2
    return [int(i) for i in np.flatnonzero(spoken & narrow & (np.abs(delta) >= LEAST_DELTA))]


def _leave_out(
    expiry: Expiry, every: int, spot: float | None = None, rate: float | None = None
) -> list[LeftOut]:
    quotes = expiry.quotes

    def fit(some: ExpiryQuotes) -> Smile:
        if spot is None:
            return fit_smile(some, implied_forward(some, expiry.years))
        return fit_smile(some, implied_forward_american(some, spot, expiry.years, rate=rate), spot=spot)

    whole = fit(quotes)
    found = []
    for i in _liquid(quotes, whole)[every // 2 :: every] if whole.status is SmileStatus.OK else ():
        strike, is_call = quotes.strike[i], bool(quotes.is_call[i])
        smile = fit(ExpiryQuotes(*(column[quotes.strike != strike] for column in quotes)))
        vol, f = float(smile.vol(strike)), smile.forward
        if spot is None:
            price = european(f.forward, strike, f.years, f.rate, f.rate, vol, is_call).price
        else:
            price = american(spot, strike, f.years, f.rate, f.dividend_yield(spot), vol, is_call).price
        inside = quotes.bid[i] - 1e-9 <= float(price) <= quotes.ask[i] + 1e-9
        found.append(LeftOut(bool(inside), 100 * abs(vol - whole.quoted.mid[i])))
    return found


def _score(found: list[LeftOut]) -> tuple[float, float]:
    """Share inside bid and ask, and the median error in vol points."""
    return float(np.mean([x.inside for x in found])), float(np.median([x.vol_points for x in found]))


def test_the_exchanges_own_volatilities_come_out(june_3: list[Expiry], smiles: list[Smile]) -> None:
    apart = []
    for expiry, smile in zip(june_3, smiles, strict=True):
        given = expiry.frame["iv"].to_numpy()
        used = (smile.quoted.status == QuoteStatus.OK) & (given > 0) & (np.abs(expiry.frame["delta"]) > 0.02)
        apart.append(np.abs(smile.quoted.mid - given)[used])

    every = np.concatenate(apart)
    assert len(every) > 4000
    assert np.median(every) < 0.0005
    assert np.quantile(every, 0.9) < 0.0064


def test_left_out_spx_strikes_are_priced_inside_bid_and_ask(june_3: list[Expiry]) -> None:
    found = [x for expiry in june_3[::3] for x in _leave_out(expiry, 8)]

    inside, error = _score(found)
    assert len(found) > 150
    assert inside >= 0.9
    assert error <= 0.3


@pytest.mark.parametrize(("day", "spot"), [("2014-06-06", 645.57), ("2014-06-09", 93.70)])
def test_left_out_aapl_strikes_are_priced_inside_bid_and_ask(options: Path, day: str, spot: float) -> None:
    found = [x for expiry in _aapl(options, day)[1::2] for x in _leave_out(expiry, 8, spot, rate=0.001)]

    inside, error = _score(found)
    assert len(found) > 30
    assert inside >= 0.8
    assert error <= 0.3


def test_left_out_msft_strikes_are_priced_inside_bid_and_ask(options: Path) -> None:
    found = [x for expiry in _msft(options)[::2] for x in _leave_out(expiry, 8, 342.3, rate=0.001)]

    inside, error = _score(found)
    assert len(found) > 30
    assert inside >= 0.8
    assert error <= 0.3


def test_every_smile_of_a_full_chain_is_free_of_butterflies(smiles: list[Smile]) -> None:
    fitted = [smile for smile in smiles if smile.status is SmileStatus.OK]

    assert len(fitted) == 42
    assert min(s.density(np.linspace(s.low, s.high, 2001)).min() for s in fitted) >= 0.0


def test_quotes_nobody_can_use_come_back_with_their_reason(june_3: list[Expiry], smiles: list[Smile]) -> None:
    codes = np.concatenate([s.quoted.status for s in smiles if s.years > 0])
    frame = pd.concat([e.frame for e in june_3 if e.years > 0])

    counts = np.bincount(codes, minlength=len(QuoteStatus))
    assert len(codes) == len(frame)
    assert counts[QuoteStatus.ZERO_BID] == (frame["bid"] <= 0).sum() > 500
    assert counts[QuoteStatus.CROSSED] == 0
    assert counts[QuoteStatus.BELOW_INTRINSIC] > 100
    assert counts[QuoteStatus.OK] > 5000


def test_crossed_quotes_come_back_as_crossed(options: Path) -> None:
    frame = pd.read_parquet(options / "spy_20perday_2021.parquet")
    frame = frame[frame["quote_date"] == "2021-09-17"].assign(root="SPY")
    crossed = 0

    for expiry in _expiries(frame, _close("2021-09-17")):
        known = Forward(ForwardStatus.OK, expiry.years, 441.4, 1.0, 0.1, 0.0, 3, 0)
        status = quoted_vols(expiry.quotes, known).status
        crossed += int((status == QuoteStatus.CROSSED).sum())

    assert crossed == 17


def test_every_recorded_chain_gets_through_with_a_status(options: Path, spx: pd.DataFrame) -> None:
    twx = pd.read_parquet(options / "twx_chain_2014_06.parquet")
    twx = twx.assign(root="TWX").rename(columns={"bid_close": "bid", "ask_close": "ask"})
    chain = [
        *_expiries(spx[spx["quote_date"] == "2019-06-10"], _close("2019-06-10")),
        *_expiries(twx[twx["date"] == "2014-06-05"], _close("2014-06-05")),
        *_aapl(options, "2014-06-06"),
    ]

    found = [fit_smile(e.quotes, implied_forward(e.quotes, e.years)) for e in chain]

    assert all(len(s.quoted.status) == len(e.frame) for s, e in zip(found, chain, strict=True))
    assert sum(s.status is SmileStatus.OK for s in found) > 40


def test_stale_pairs_do_not_move_the_forward(spx: pd.DataFrame) -> None:
    """46 pairs of 2019-06-10 are off the line by points."""
    day = spx[spx["quote_date"] == "2019-06-10"]

    forwards = [implied_forward(e.quotes, e.years) for e in _expiries(day, _close("2019-06-10"))]

    spot = float(day["underlying_price"].iloc[0])
    near = [f for f in forwards if 0 < f.years < 0.25]
    assert all(f.status is ForwardStatus.OK for f in forwards)
    assert max(abs(f.forward / spot - 1) for f in near) < 0.003
    assert max(f.error for f in near) < 0.1


def test_am_and_pm_roots_of_one_friday_share_the_forward_and_not_the_time(
    june_3: list[Expiry], smiles: list[Smile]
) -> None:
    found = {e.root: s for e, s in zip(june_3, smiles, strict=True) if e.day == date(2019, 6, 21)}

    morning, evening = found["SPX"], found["SPXW"]
    assert (evening.years - morning.years) * 365 * 24 == pytest.approx(6.5)
    assert morning.forward.forward == pytest.approx(evening.forward.forward, abs=0.3)
    assert evening.total_variance(0.0) > morning.total_variance(0.0)


def test_a_chain_that_expires_on_a_half_day_ends_at_one_oclock(june_3: list[Expiry]) -> None:
    [expiry] = [e for e in june_3 if e.day == date(2019, 7, 3)]

    assert expiry.years * 365 == pytest.approx(29 + 21 / 24)


@pytest.mark.parametrize(("left", "status"), [(60, None), (1, None), (0, SmileStatus.EXPIRED)])
def test_the_chain_of_the_day_survives_its_last_moments(
    spx: pd.DataFrame, left: int, status: SmileStatus | None
) -> None:
    at = _close("2019-06-03") - timedelta(seconds=left)
    day = spx[(spx["quote_date"] == "2019-06-03") & (spx["expiration"] == "2019-06-03")]
    [expiry] = _expiries(day, at)

    smile = fit_smile(expiry.quotes, implied_forward(expiry.quotes, expiry.years))

    assert smile.forward.forward == pytest.approx(2740.5, abs=2.0)
    assert smile.status in ({status} if status else {SmileStatus.OK, SmileStatus.TOO_FEW_QUOTES})


def test_american_forwards_carry_the_names_dividends(options: Path) -> None:
    chain = _aapl(options, "2014-06-09")[1:]

    found = [implied_forward_american(e.quotes, 93.70, e.years, rate=0.001) for e in chain]

    carry = [f.dividend_yield(93.70) for f in found if f.years > 0.1]
    assert all(f.status is ForwardStatus.OK for f in found)
    assert max(f.error for f in found) < 0.03
    assert 0.0 < min(carry[-4:]) <= max(carry[-4:]) < 0.03


def test_the_variance_clock_foretells_a_left_out_expiry_better(
    june_3: list[Expiry], smiles: list[Smile]
) -> None:
    """Weekday expiries within a month, from their neighbours: a weekend is not 2/7 of a week's variance."""
    at, clock = _close("2019-06-03"), VarianceClock()
    some = [
        (e, s) for e, s in zip(june_3, smiles, strict=True) if e.root == "SPXW" and s.status is SmileStatus.OK
    ]
    some = some[:16]
    times = {c: [years_to(at, e.root, e.day, c) for e, _ in some] for c in (None, clock)}
    error: dict[VarianceClock | None, list[float]] = {None: [], clock: []}

    for i in range(1, len(some) - 1):
        smile = some[i][1]
        for c, on in times.items():
            rest = surface([s for _, s in some[:i] + some[i + 1 :]], on[:i] + on[i + 1 :])
            vol = float(rest.vol(0.0, smile.years, on[i].years))
            error[c].append(100 * abs(vol - float(smile.vol(smile.forward.forward))))

    assert np.mean(error[clock]) < 0.5 * np.mean(error[None])
    assert np.mean(error[clock]) < 0.3


def test_calendar_breaks_of_a_real_surface_are_few_and_small(
    june_3: list[Expiry], smiles: list[Smile]
) -> None:
    at = _close("2019-06-03")
    weekly = [(e, s) for e, s in zip(june_3, smiles, strict=True) if e.root == "SPXW" and s.years > 0]
    found = surface([s for _, s in weekly], [years_to(at, e.root, e.day) for e, _ in weekly])

    breaks = calendar_breaks(found)

    assert len(found.smiles) == 30
    assert len(breaks) <= 6
    assert max((b.vol_points for b in breaks), default=0.0) < 2.5


def test_the_straddle_agrees_with_the_smile_at_the_money(june_3: list[Expiry], smiles: list[Smile]) -> None:
    ratio = [
        implied_move(e.quotes, s.forward).move / float(np.sqrt(s.total_variance(0.0)))  # type: ignore[operator]
        for e, s in zip(june_3, smiles, strict=True)
        if s.status is SmileStatus.OK
    ]

    assert np.array(ratio) == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)


def _atm(options: Path, symbol: str, day: str) -> tuple[list[float], list[float]]:
    """Years and mean volatility of call and put at the money, by expiry, from closing volatilities."""
    frame = pd.read_parquet(options / "us_eod_2026_last_iv_oi.parquet", filters=[("symbol", "==", symbol)])
    frame = frame[(frame["date"] == day) & frame["iv_pct"].between(1, 300)]
    years, vols = [], []
    for expiry, rows in frame.groupby("expiration"):
        both = rows.pivot_table(index="strike", columns="right", values="iv_pct").dropna().mean(axis=1)
        spot = rows["underlying_price"].iloc[0]
        years.append(years_to(_close(day), symbol, expiry.date()).years)
        vols.append(float(np.interp(spot, both.index, both)) / 100 if len(both) > 3 else np.nan)
    return years, vols


@pytest.mark.parametrize(
    ("symbol", "before", "after", "hours", "least"),
    [("TSLA", "2026-07-22", "2026-07-23", 0.5, 0.05), ("JPM", "2026-07-13", "2026-07-14", 15.0, 0.02)],
)
def test_an_earnings_move_is_in_the_chain_before_and_gone_after(
    options: Path, symbol: str, before: str, after: str, hours: float, least: float
) -> None:
    event = hours / (365 * 24)

    priced = event_move(*_atm(options, symbol, before), event)
    gone = event_move(*_atm(options, symbol, after), event)

    assert priced.status is FigureStatus.OK
    assert least < (priced.expected or 0.0) < 0.09
    assert (gone.expected or 0.0) < 0.6 * (priced.expected or 0.0)


def test_thirty_day_volatility_hardly_notices_an_earnings_crush(options: Path) -> None:
    before, after = (
        constant_maturity_vol(*_atm(options, "TSLA", day)).vol or 0.0 for day in ("2026-07-22", "2026-07-23")
    )

    assert 0.4 < after < before < 0.55
    assert before - after < 0.03

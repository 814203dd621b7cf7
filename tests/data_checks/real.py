"""Published data as the suites take it, and one detector for each flaw that is known of it.

A detector returns what failed, as ``suite.expectation``, in the data that the flaw is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from data_checks.bars import BarBounds, judge_bars
from data_checks.chain_history import CONTRACT_COLUMNS, HistoryBounds, history_frame, history_suite
from data_checks.earnings import EarningsBounds, earnings_frame, earnings_suite
from data_checks.gate import Checked, check
from data_checks.iv_and_smile import SmileBounds, smile_suite
from data_checks.option_chain import ChainBounds, chain_suite
from wsb_core.domain import calendar
from wsb_core.domain.checks import Finding
from wsb_core.domain.events import EarningsDate, ReportTime
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import FeedClass, Provenance

from .frames import bars

AT = datetime(2026, 9, 1, 20, tzinfo=UTC)
PANEL = "equities/sp500_daily_2015_2019.parquet"
LEAN = "equities/lean_daily_unadjusted.parquet"
SPX = "options/spx_chain_2019.parquet"
SPY = "options/spy_20perday_2021.parquet"
EOD = "options/us_eod_2026_last_iv_oi.parquet"
VIX = "rates/vix_daily.csv"
_NOT_COMPUTED = 0.02
"""The SPX source writes 0, or this floor, for a volatility that it could not compute."""


@dataclass(frozen=True, slots=True)
class Source:
    """The folder of published data."""

    folder: Path

    def table(self, name: str) -> pd.DataFrame:
        return _table(self.folder / name)

    def bars(self, name: str, *symbols: str) -> pd.DataFrame:
        frame = self.table(name).rename(columns={"date": "session"})
        if symbols:
            frame = frame[frame["symbol"].isin(symbols)]
        frame = frame.sort_values(["symbol", "session"], ignore_index=True)
        return frame[["symbol", "session", "open", "high", "low", "close", "volume"]]

    def vix(self) -> pd.DataFrame:
        """As bars of a name without volume: an index has none."""
        frame = self.table(VIX).rename(columns={"date": "session"})
        frame = frame.assign(symbol="VIX", volume=0.0, session=pd.to_datetime(frame["session"]))
        # The exchange calendar begins in 1995.
        return frame[frame["session"] >= "1995-01-03"].reset_index(drop=True)


@lru_cache(maxsize=4)
def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def judged_bars(frame: pd.DataFrame, **options: object) -> Checked:
    """Every session from the first row to the last is wanted; prices are taken as they are."""
    last = frame["session"].max().date()
    lookback = len(calendar.sessions_between(frame["session"].min().date(), last))
    settings = {"bounds": BarBounds(require_adjusted=False), "lookback": lookback, **options}
    return judge_bars(bars(frame, adjusted=False), session=calendar.shift(last, 1), at=AT, **settings)


def spx_day(source: Source, day: str) -> pd.DataFrame:
    frame = source.table(SPX)
    return frame[frame["quote_date"] == day].reset_index(drop=True)


def taken_at(day: pd.Timestamp) -> datetime:
    """A minute before the close, before the afternoon's contracts settle."""
    local = pd.Timestamp(day).tz_localize(calendar.NEW_YORK) + pd.Timedelta(hours=15, minutes=59)
    return local.tz_convert("UTC").to_pydatetime()


def chain_table(held: pd.DataFrame) -> pd.DataFrame:
    """One day of a published chain as ``option_chain`` takes it."""
    taken = pd.Timestamp(taken_at(held["quote_date"].iloc[0]))
    given = held.assign(root=held["root"]) if "root" in held else held.assign(root=held["underlying"])
    return pd.DataFrame(
        {
            "underlying": given["underlying"],
            "occ_symbol": given["option_symbol"],
            "root": given["root"],
            "right": given["right"],
            "strike": given["strike"],
            "expiry": given["expiration"],
            "multiplier": 100.0,
            "standard": True,
            "bid": given["bid"].where(given["bid"] > 0),
            "ask": given["ask"].where(given["ask"] > 0),
            "iv": given["iv"].where(given["iv"] > 0),
            "delta": given["delta"],
            "open_interest": given["open_interest"].astype("float64"),
            "quoted_at": taken,
            "snapshot_at": taken,
            "feed": FeedClass.REPLAYED.value,
            "spot_bid": given["underlying_price"] - 0.01,
            "spot_ask": given["underlying_price"] + 0.01,
            "spot_at": taken,
            "spot_feed": FeedClass.REPLAYED.value,
        }
    ).reset_index(drop=True)


def judged_chain(held: pd.DataFrame) -> Checked:
    at = taken_at(held["quote_date"].iloc[0])
    suite = chain_suite(at=at, max_age_seconds=60.0, required_feed=None, bounds=ChainBounds())
    return check(chain_table(held), suite, at=at, key="underlying", max_quarantined=0.5)


def smile_table(held: pd.DataFrame) -> pd.DataFrame:
    """One day of a published chain as ``iv_and_smile`` takes it."""
    found = chain_table(held)
    european = found["underlying"] == "SPX"
    return found.assign(european=european, am_settled=found["root"] == "SPX")


def judged_smile(held: pd.DataFrame) -> Checked:
    at = taken_at(held["quote_date"].iloc[0])
    suite = smile_suite(at=at, bounds=SmileBounds())
    return check(smile_table(held), suite, at=at, key="underlying", max_quarantined=0.5)


def judged_history(held: pd.DataFrame, closes: Mapping[tuple[str, date], float] | None = None) -> Checked:
    """Stored contracts under whatever columns their source has."""
    named = held.rename(columns={"expiration": "expiry", "quote_date": "session"})
    if "root" not in named:
        named = named.assign(root=named["underlying"])
    found = named.reindex(columns=list(CONTRACT_COLUMNS))
    suite = history_suite(at=AT, bounds=HistoryBounds())
    return check(history_frame(found, closes or {}), suite, at=AT, key="underlying", max_quarantined=1.0)


def finding(verdict: Checked, name: str) -> Finding:
    [found] = [entry for entry in verdict.report.findings if entry.expectation == name]
    return found


def failed(verdict: Checked) -> set[str]:
    """Everything that did not hold, as ``suite.expectation``."""
    report = verdict.report
    return {f"{report.suite}.{f.expectation}" for f in report.findings if not f.passed}


def fails_on(verdict: Checked, name: str, **row: object) -> bool:
    """Whether an expectation failed on a row with these values."""
    return any(row.items() <= example.items() for example in finding(verdict, name).examples)


def without_stale_pairs(held: pd.DataFrame, cut: float = 1.5) -> pd.DataFrame:
    """The day without the pairs that are known to be stale or wide, and unknown volatilities as unknown.

    A pair is stale when its mids leave the line of its expiry by about two points within 10 % of spot.
    The line is Theil's and Sen's, which shares nothing with what is tested; as the two lines differ by up
    to half a point, what lies between 1.5 and 2 is left out, too.
    """
    near = (held["strike"] / held["underlying_price"] - 1).abs() <= 0.1
    quoted = held[near & (held["bid"] > 0) & (held["ask"] >= held["bid"])]
    mids = quoted.assign(mid=(quoted["bid"] + quoted["ask"]) / 2)
    slices = ["root", "expiration"]
    both = mids.pivot_table(index=[*slices, "strike"], columns="right", values="mid").dropna()
    apart = (both["C"] - both["P"]).rename("apart").reset_index()
    stale = set()
    for key, rows in apart.groupby(slices):
        strike, value = rows["strike"].to_numpy(), rows["apart"].to_numpy()
        one, other = np.triu_indices(len(strike), 1)
        slope = np.median((value[other] - value[one]) / (strike[other] - strike[one])) if len(one) else -1.0
        away = value - slope * strike
        stale |= {(*key, found) for found in strike[np.abs(away - np.median(away)) > cut]}
    keys = zip(held["root"], held["expiration"], held["strike"], strict=True)
    left = held[[key not in stale for key in keys]]
    return left.assign(iv=left["iv"].where(left["iv"] > _NOT_COMPUTED, 0.0)).reset_index(drop=True)


Detector = Callable[[Source], set[str]]
FLAWS: dict[tuple[str, str, str], tuple[str, Detector]] = {}


def flaw(file: str, key: str, kind: str, caught_by: str) -> Callable[[Detector], Detector]:
    """Lists the detector of one row of ``known_flaws.csv`` under what must catch it."""

    def listed(detect: Detector) -> Detector:
        FLAWS[file, key, kind] = (caught_by, detect)
        return detect

    return listed


def _panel(first: str, last: str, *names: str) -> Detector:
    """Each of the names by itself, to its own last row: what failed for all of them."""

    def detect(source: Source) -> set[str]:
        found = []
        for name in names:
            rows = source.bars(PANEL, name)
            found.append(failed(judged_bars(rows[rows["session"].between(first, last)])))
        return set.intersection(*found)

    return detect


flaw(PANEL, "BHF", "recycled ticker / pre-listing junk", "bars.jumps_explained")(
    _panel("2015-01-12", "2017-08-31", "BHF")
)
flaw(PANEL, "COL", "recycled ticker", "bars.jumps_explained")(_panel("2019-02-27", "2019-07-31", "COL"))
flaw(PANEL, "CA", "recycled ticker / stale after delisting", "bars.jumps_explained")(
    _panel("2018-06-01", "2018-11-30", "CA")
)
flaw(PANEL, "UA", "unadjusted corporate action", "bars.jumps_explained")(
    _panel("2015-11-01", "2016-12-30", "UA")
)
flaw(PANEL, "CSRA,AET,ANDV,ESRX,PX,SCG,SNI", "missing runs", "bars.complete")(
    _panel("2018-01-01", "2019-07-31", "CSRA", "AET", "ANDV", "ESRX", "PX", "SCG", "SNI")
)
flaw(PANEL, "EVHC", "missing sessions", "bars.complete")(_panel("2017-03-01", "2017-07-31", "EVHC"))
flaw(PANEL, "DXC", "OHLC inconsistent", "bars.prices_consistent")(_panel("2018-03-01", "2018-08-31", "DXC"))
flaw(PANEL, "ARNC", "zero volume run", "bars.liquid_volume")(_panel("2016-08-01", "2017-01-31", "ARNC"))


@flaw(PANEL, "SNI", "tiny history", "bars.history_long_enough")
def _two_rows(source: Source) -> set[str]:
    return failed(judged_bars(source.bars(PANEL, "SNI", "MSFT")))


@flaw(LEAN, "AAPL", "unadjusted splits (by design)", "bars.jumps_explained")
def _unadjusted(source: Source) -> set[str]:
    verdict = judged_bars(source.bars(LEAN, "AAPL"))
    days = ("2000-06-21", "2005-02-28", "2014-06-09", "2020-08-31")
    caught = all(fails_on(verdict, "jumps_explained", session=day) for day in days)
    return failed(verdict) if caught else set()


@flaw(LEAN, "WM", "recycled ticker", "bars.jumps_explained")
def _washington_mutual(source: Source) -> set[str]:
    verdict = judged_bars(source.bars(LEAN, "WM"))
    return failed(verdict) if fails_on(verdict, "jumps_explained", session="2009-08-05") else set()


@flaw(LEAN, "QQQ", "gap from ticker change", "bars.complete")
def _ticker_away(source: Source) -> set[str]:
    verdict = judged_bars(source.bars(LEAN, "QQQ"))
    return failed(verdict) if finding(verdict, "complete").examples[0]["absent"] == 1588 else set()


@flaw(LEAN, "USO,BNO,AAA,EEM,FB", "recycled ticker", "bars.complete")
def _earlier_companies(source: Source) -> set[str]:
    each = [failed(judged_bars(source.bars(LEAN, name))) for name in ("USO", "BNO", "AAA", "EEM", "FB")]
    return set.intersection(*each)


@flaw(
    "equities/stocknet_daily_2012_2017.parquet", "PTR,SNP,REX (those present)", "null row", "bars.close_given"
)
def _null_rows(source: Source) -> set[str]:
    verdict = judged_bars(source.bars("equities/stocknet_daily_2012_2017.parquet", "PTR", "SNP", "REX"))
    return failed(verdict) if finding(verdict, "close_given").bad_rows == 3 else set()


@lru_cache(maxsize=1)
def spx_history(source: Source) -> Checked:
    return judged_history(source.table(SPX))


@flaw(SPX, "all", "holiday file", "chain_history.session_trades")
def _memorial_day(source: Source) -> set[str]:
    verdict = spx_history(source)
    day = {"session": "2019-05-27"}
    caught = fails_on(verdict, "session_trades", **day) and fails_on(verdict, "not_a_copy", **day)
    taken = failed(judged_chain(spx_day(source, "2019-05-27")))
    return failed(verdict) if caught and "option_chain.taken_in_a_session" in taken else set()


@flaw(SPX, "all", "missing sessions", "chain_history.complete")
def _missing_files(source: Source) -> set[str]:
    after = [(e["session"], e["absent"]) for e in finding(spx_history(source), "complete").examples]
    known = [("2019-05-13", 1), ("2019-05-20", 1), ("2019-06-19", 3)]
    return failed(spx_history(source)) if after == known else set()


@flaw(SPX, "all", "partial-day capture", "chain_history.volume_usual")
def _captured_early(source: Source) -> set[str]:
    days = [e["session"] for e in finding(spx_history(source), "volume_usual").examples]
    return failed(spx_history(source)) if days == ["2019-04-25"] else set()


@flaw(SPX, "SPX190621*", "expired AM-settled contracts", "iv_and_smile.not_settled")
def _settled(source: Source) -> set[str]:
    held = spx_day(source, "2019-06-21")
    verdict = judged_smile(held)
    settled = (held["root"] == "SPX") & (held["expiration"] == "2019-06-21")
    return failed(verdict) if finding(verdict, "not_settled").bad_rows == settled.sum() else set()


@flaw(SPX, "SPXW190614C02960000 / P", "stale or wide quote", "iv_and_smile.parity_residual")
def _one_stale_put(source: Source) -> set[str]:
    held = spx_day(source, "2019-06-03")
    pair = held[(held["root"] == "SPXW") & (held["expiration"] == "2019-06-14")]
    verdict = judged_smile(pair)
    names = ("SPXW190614C02960000", "SPXW190614P02960000")
    caught = all(fails_on(verdict, "parity_residual", occ_symbol=name) for name in names)
    return failed(verdict) if caught else set()


@flaw(SPX, "many", "stale quotes", "iv_and_smile.parity_residual")
def _many_stale(source: Source) -> set[str]:
    known = {"2019-06-10": 46, "2019-06-05": 29, "2019-04-26": 27}
    found = {day: judged_smile(spx_day(source, day)) for day in known}
    enough = all((finding(found[day], "parity_residual").bad_rows or 0) >= 2 * n for day, n in known.items())
    return failed(found["2019-06-10"]) if enough else set()


@flaw(SPX, "many", "zero bid / zero iv / last outside quote", "chain_history.every_bid_and_iv_there")
def _zeros(source: Source) -> set[str]:
    verdict = spx_history(source)
    names = ("every_bid_and_iv_there", "last_inside_quotes")
    everywhere = all(finding(verdict, name).bad_rows == 42 for name in names)
    return failed(verdict) if everywhere else set()


@flaw(SPX, "deep ITM", "not a flaw: European discounting", "nothing")
def _below_intrinsic(source: Source) -> set[str]:
    """Rows under the spot's intrinsic value, and whatever takes any of them out."""
    held = without_stale_pairs(spx_day(source, "2019-05-14"))
    sign = np.where(held["right"] == "C", 1.0, -1.0)
    below = held.index[(held["ask"] > 0) & (held["ask"] < sign * (held["underlying_price"] - held["strike"]))]
    kept = [set(verdict.frame.index) for verdict in (judged_chain(held), judged_smile(held))]
    out = {"option_chain.removed", "iv_and_smile.removed"}
    return {"nothing"} if len(below) > 100 and all(set(below) <= rows for rows in kept) else out


@flaw(SPY, "17 of 20 contracts", "crossed quotes", "option_chain.not_crossed")
def _crossed(source: Source) -> set[str]:
    held = source.table(SPY)
    verdict = judged_chain(held[held["quote_date"] == "2021-09-17"])
    return failed(verdict) if finding(verdict, "not_crossed").bad_rows == 17 else set()


@flaw(SPY, "all", "unbalanced panel", "chain_history.contracts_kept")
def _unbalanced(source: Source) -> set[str]:
    verdict = judged_history(source.table(SPY))
    return failed(verdict) if (finding(verdict, "contracts_kept").bad_rows or 0) > 150 else set()


@flaw(SPY, "SPY210716P00450000", "degenerate IV", "iv_and_smile.iv_in_scale")
def _degenerate(source: Source) -> set[str]:
    held = source.table(SPY)
    verdict = judged_smile(held[held["quote_date"] == "2021-06-21"])
    caught = fails_on(verdict, "iv_in_scale", occ_symbol="SPY210716P00450000")
    return failed(verdict) if caught else set()


AAPL_CHAIN = "options/aapl_chain_2014_06.parquet"
AAPL_UNIVERSE = "options/aapl_universe_2014_06.parquet"


def _aapl_chain(source: Source) -> pd.DataFrame:
    held = source.table(AAPL_CHAIN)
    closes = source.bars(LEAN, "AAPL").set_index("session")["close"]
    symbol = (
        "AAPL  "
        + held["expiration"].dt.strftime("%y%m%d")
        + held["right"]
        + (held["strike"] * 1000).round().astype(int).astype(str).str.zfill(8)
    )
    return held.assign(
        session=held["date"],
        quote_date=held["date"],
        bid=held["bid_close"],
        ask=held["ask_close"],
        last=held["trade_close"],
        volume=held["volume"].fillna(0.0),
        iv=np.nan,
        delta=np.nan,
        option_symbol=symbol,
        underlying_price=held["date"].map(closes),
    )


@flaw(AAPL_CHAIN, "AAPL", "split inside option data", "chain_history.contracts_kept")
def _split_inside(source: Source) -> set[str]:
    verdict = judged_history(_aapl_chain(source).drop(columns="quote_date"))
    [row] = finding(verdict, "contracts_kept").examples
    return failed(verdict) if (row["session"], row["kept"]) == ("2014-06-09", 0.0) else set()


@flaw(AAPL_CHAIN, "AAPL", "null bids", "option_chain.bid_given")
def _null_bids(source: Source) -> set[str]:
    held = _aapl_chain(source)
    days = {"2014-06-06": 157, "2014-06-09": 198}
    found = {day: judged_chain(held[held["quote_date"] == day]) for day in days}
    right = all(finding(found[day], "bid_given").bad_rows == count for day, count in days.items())
    return failed(found["2014-06-09"]) if right else set()


@flaw(AAPL_UNIVERSE, "AAPL", "partial and mixed files", "chain_history.strikes_on_scale")
def _mixed(source: Source) -> set[str]:
    held = source.table(AAPL_UNIVERSE)
    held = held[held["file_date"] < "2015"]
    held = held.rename(
        columns={"file_date": "session", "underlying_close": "underlying_price", "close": "last"}
    )
    closes = {
        ("AAPL", stamp.date()): close
        for stamp, close in source.bars(LEAN, "AAPL").set_index("session")["close"].items()
    }
    verdict = judged_history(held, closes)
    wanted = ("contracts_kept", "iv_computed", "underlying_price_moves", "underlying_price_agrees")
    each = all(not finding(verdict, name).passed for name in wanted)
    mixed = fails_on(verdict, "strikes_on_scale", session="2014-06-09")
    return failed(verdict) if each and mixed else set()


@lru_cache(maxsize=1)
def eod_history(source: Source) -> Checked:
    held = source.table(EOD).rename(columns={"symbol": "underlying", "date": "session", "price": "last"})
    return judged_history(held.assign(iv=held["iv_pct"] / 100))


@flaw(EOD, "all", "holiday files", "chain_history.session_trades")
def _three_holidays(source: Source) -> set[str]:
    closed = {e["session"] for e in finding(eod_history(source), "session_trades").examples}
    copies = {e["session"] for e in finding(eod_history(source), "not_a_copy").examples}
    # Of the first file there is none before to compare it with.
    right = closed == {"2026-05-25", "2026-06-19", "2026-07-03"} and copies == closed - {"2026-05-25"}
    return failed(eod_history(source)) if right else set()


@flaw(EOD, "NVDA", "missing underlying price", "chain_history.underlying_price_given")
def _no_underlying(source: Source) -> set[str]:
    rows = [
        (e["underlying"], e["session"])
        for e in finding(eod_history(source), "underlying_price_given").examples
    ]
    return failed(eod_history(source)) if rows == [("NVDA", "2026-07-01")] else set()


@flaw(EOD, "all", "price is last trade", "chain_history.quoted")
def _no_quotes(source: Source) -> set[str]:
    return failed(eod_history(source))


@flaw(VIX, "VIX", "wrong open", "bars.prices_consistent")
def _wrong_open(source: Source) -> set[str]:
    held = source.vix()
    for day in ("2004-11-08", "2006-02-08"):
        verdict = judged_bars(held[(held["session"] - pd.Timestamp(day)).abs() <= pd.Timedelta(days=20)])
        if not fails_on(verdict, "prices_consistent", session=day):
            return set()
    return failed(verdict)


@flaw(VIX, "VIX", "missing sessions", "bars.complete")
def _missing_vix(source: Source) -> set[str]:
    held = source.vix()
    absent = []
    for day in ("1997-01-31", "1997-11-26", "1999-12-31"):
        around = held[(held["session"] - pd.Timestamp(day)).abs() <= pd.Timedelta(days=20)]
        absent.append(finding(judged_bars(around), "complete").examples[0]["first_absent"] == day)
    return failed(judged_bars(around)) if all(absent) else set()


@flaw(VIX, "VIX", "rows on US holidays", "bars.session_trades")
def _vix_on_holidays(source: Source) -> set[str]:
    verdict = judged_bars(source.vix())
    return failed(verdict) if finding(verdict, "session_trades").bad_rows == 33 else set()


EPS = "events/earnings_eps_iv.parquet"
DATES = "events/earnings_dates_2003_2025.parquet"


def _hour(hour: float) -> ReportTime:
    if not hour > 0:
        return ReportTime.UNKNOWN
    return (
        ReportTime.BEFORE_OPEN if hour < 9.5 else ReportTime.AFTER_CLOSE if hour >= 16 else ReportTime.DURING
    )


def _earnings(held: pd.DataFrame, source: str) -> dict[Underlying, tuple[EarningsDate, ...]]:
    told = Provenance(source, FeedClass.REPLAYED, AT - timedelta(days=1))
    hours = held["hour_et"] if "hour_et" in held else pd.Series(0.0, index=held.index)
    found: dict[Underlying, list[EarningsDate]] = {}
    for name, day, hour in zip(held["symbol"], pd.to_datetime(held["earnings_date"]), hours, strict=True):
        entry = EarningsDate(Underlying(name), day.date(), _hour(hour), True, told)
        found.setdefault(entry.underlying, []).append(entry)
    return {name: tuple(entries) for name, entries in found.items()}


@lru_cache(maxsize=2)
def judged_earnings(source: Source, name: str) -> Checked:
    """A published calendar beside the other one."""
    own, other = (_earnings(source.table(n), n) for n in (name, DATES if name == EPS else EPS))
    suite = earnings_suite(at=AT, bounds=EarningsBounds())
    return check(earnings_frame(own, other), suite, at=AT, key="underlying", max_quarantined=1.0)


@flaw(EPS, "all", "unknown time", "earnings.time_known")
def _times(source: Source) -> set[str]:
    verdict = judged_earnings(source, EPS)
    return failed(verdict) if finding(verdict, "time_known").bad_rows == 5920 else set()


@flaw(EPS, "all", "disagrees with the other source", "earnings.sources_agree")
def _disagreement(source: Source) -> set[str]:
    verdict = judged_earnings(source, EPS)
    return failed(verdict) if (finding(verdict, "sources_agree").bad_rows or 0) > 1000 else set()


@flaw(DATES, "all", "gaps", "earnings.no_gap")
def _gaps(source: Source) -> set[str]:
    verdict = judged_earnings(source, DATES)
    return failed(verdict) if finding(verdict, "no_gap").bad_rows == 78 else set()

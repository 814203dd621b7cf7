"""Bars, chains, announcements and corporate actions out of the history store, as they were known then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wsb_core.domain.calendar import NEW_YORK, session_on
from wsb_core.domain.contracts import parse_occ
from wsb_core.domain.errors import ProviderRefused
from wsb_core.domain.events import CashDividend, CorporateAction, EarningsDate, Renamed, ReportTime, Split
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.ports import Bars, DataKind, Missing, Service
from wsb_core.domain.quotes import Chain, FeedClass, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.market.history import Adjustment, HistoryStore, Unadjustable

if TYPE_CHECKING:
    import pandas as pd

    from wsb_core.market.history.names import Names

_COLUMNS = ["symbol", "session", "open", "high", "low", "close", "volume"]
_SECONDS = 30.0


class ReplayStore:
    """A source whose answers are what the store knew at ``now()``, which is simulated or past.

    A ticker is the company that had it on that day. All of it is replayed, whatever feed it came from.
    """

    def __init__(self, store: HistoryStore, now: Callable[[], datetime]) -> None:
        """Reads nothing."""
        self._store, self._now = store, now

    @property
    def name(self) -> str:
        return "replay"

    @property
    def services(self) -> Mapping[DataKind, Service]:
        """Nothing of a session in progress: the store holds no quotes of shares and no unfinished bars."""
        service = Service(FeedClass.REPLAYED, None, _SECONDS)
        kinds = (DataKind.BARS, DataKind.RAW_BARS, DataKind.CHAIN, DataKind.EARNINGS, DataKind.ACTIONS)
        return dict.fromkeys(kinds, service)

    def bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars that were recorded by now, adjusted for the splits and dividends known and in effect.

        As of the close of the newest of them. A symbol without a bar, or whose dividends contradict its
        prices, is missing.
        Raises: DataQualityError for a damaged file, naming the remedy.
        """
        now = self._now()
        try:
            return self._daily(symbols, first, last, now, Adjustment.ALL, {})
        except Unadjustable as error:
            return self._daily(symbols, first, last, now, Adjustment.ALL, error.reasons)

    def raw_bars(self, symbols: Sequence[Underlying], first: date, last: date) -> Bars:
        """Daily bars as they were traded. As ``bars`` otherwise."""
        return self._daily(symbols, first, last, self._now(), Adjustment.RAW, {})

    def today(self, symbols: Sequence[Underlying]) -> Bars:
        """Raises: ProviderRefused, always."""
        raise ProviderRefused("replay: the store holds completed sessions only; ask another source for today")

    def quotes(self, symbols: Sequence[Underlying]) -> Mapping[Underlying, Quote | Missing]:
        """Raises: ProviderRefused, always."""
        raise ProviderRefused("replay: the store holds no quotes of shares; ask another source for them")

    def chain(self, underlying: Underlying, window: ChainWindow, on: date) -> Chain:
        """The newest snapshot of session ``on`` that was recorded by now, narrowed to the window.

        Contracts that were not in the snapshot are not in the chain, however wide the window.
        Raises: ProviderRefused when there is none of that session; DataQualityError for a damaged file.
        """
        rows = self._store.read("chain", [underlying], on, on, self._now())
        if rows.empty:
            raise ProviderRefused(f"replay: no chain of {underlying} in session {on} was recorded by now")
        at = rows["at"].max()
        whole = _provenance(rows.loc[rows["at"] == at, "source"], at.to_pydatetime())
        records = rows[rows["at"] == at].to_dict("records")
        quotes = (_option_quote(underlying, record, whole) for record in records)
        span = (on + timedelta(days=window.min_dte), on + timedelta(days=window.max_dte))
        return Chain(
            underlying,
            tuple(
                quote
                for quote in quotes
                if span[0] <= quote.contract.expiry <= span[1] and quote.contract.right in window.rights
            ),
            whole,
        )

    def earnings(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[EarningsDate, ...] | Missing]:
        """Announcements as every source knew them by now, by day. As of when each became known."""
        now = self._now()
        rows = self._by_symbol("earnings", symbols, first, last, now)
        unknown = self._unknown(("earnings",), symbols, first, last, now)
        return {
            name: unknown.get(name, tuple(_announcement(name, row) for row in rows[name])) for name in symbols
        }

    def corporate_actions(
        self, symbols: Sequence[Underlying], first: date, last: date
    ) -> Mapping[Underlying, tuple[CorporateAction, ...] | Missing]:
        """Dividends and splits where both were answered for whole; renamings as the identity table has
        them."""
        now = self._now()
        dividends = self._by_symbol("dividends", symbols, first, last, now)
        splits = self._by_symbol("splits", symbols, first, last, now)
        unknown = self._unknown(("dividends", "splits"), symbols, first, last, now)
        names = self._store.names(now)
        found: dict[Underlying, tuple[CorporateAction, ...] | Missing] = {}
        for name in symbols:
            dated: list[tuple[date, CorporateAction]] = [
                *((row["ex_date"].date(), _dividend(name, row)) for row in dividends[name]),
                *((row["ex_date"].date(), _split(name, row)) for row in splits[name]),
                *(
                    (change.day, change)
                    for change in _renamings(names, name, now)
                    if first <= change.day <= last
                ),
            ]
            dated.sort(key=lambda each: each[0])
            found[name] = unknown.get(name, tuple(action for _, action in dated))
        return found

    def _daily(
        self,
        symbols: Sequence[Underlying],
        first: date,
        last: date,
        now: datetime,
        adjusted: Adjustment,
        refused: Mapping[str, str],
    ) -> Bars:
        """Bars of all but those ``refused`` for a reason."""
        asked = [name for name in symbols if name not in refused]
        frame = self._store.read("daily", asked, first, last, now, adjusted=adjusted)
        came = set(frame["symbol"])
        none = f"no daily bar from {first} to {last} was recorded by {now.isoformat()}"
        missing = tuple(Missing(name, refused.get(name, none)) for name in symbols if name not in came)
        as_of = _close_of(frame["session"].max().date()) if came else now
        provenance = _provenance(frame["source"], as_of)
        return Bars(frame[_COLUMNS], adjusted is Adjustment.ALL, provenance, missing)

    def _by_symbol(
        self, table: str, symbols: Sequence[Underlying], first: date, last: date, now: datetime
    ) -> dict[Underlying, list[dict[str, Any]]]:
        found: dict[Underlying, list[dict[str, Any]]] = {name: [] for name in symbols}
        for row in self._store.read(table, symbols, first, last, now).to_dict("records"):
            found[row["symbol"]].append(row)
        return found

    def _unknown(
        self, tables: Sequence[str], symbols: Sequence[Underlying], first: date, last: date, now: datetime
    ) -> dict[Underlying, Missing]:
        """Symbols of which no source answered for the whole span: nothing found there is not nothing."""
        unknown = {}
        for table in tables:
            for name, spans in self._store.coverage(table, symbols, now).items():
                if not any(start <= first and last <= end for start, end in spans):
                    known = ", ".join(f"{start} to {end}" for start, end in spans) or "nothing"
                    reason = f"{table} from {first} to {last} are not covered; {known} is"
                    unknown[Underlying(name)] = Missing(Underlying(name), reason)
        return unknown


def _renamings(names: Names, name: Underlying, now: datetime) -> list[Renamed]:
    known = Provenance("identity table, replayed", FeedClass.REPLAYED, now)
    return [
        Renamed(Underlying(old.symbol), Underlying(new.symbol), new.first, known)
        for old, new in names.renamings(name, now.astimezone(NEW_YORK).date())
        if old.symbol != new.symbol
    ]


def _close_of(day: date) -> datetime:
    session = session_on(day)
    return session.closes if session else datetime(day.year, day.month, day.day, 16, tzinfo=NEW_YORK)


def _provenance(sources: pd.Series[str], as_of: datetime) -> Provenance:
    """Of rows that came from ``sources``."""
    names = ", ".join(sorted(set(sources))) or "history store"
    return Provenance(f"{names}, replayed", FeedClass.REPLAYED, as_of)


def _known(row: Mapping[str, Any]) -> Provenance:
    return Provenance(f"{row['source']}, replayed", FeedClass.REPLAYED, row["recorded_at"].to_pydatetime())


def _announcement(name: Underlying, row: Mapping[str, Any]) -> EarningsDate:
    return EarningsDate(
        name, row["day"].date(), ReportTime(row["time"]), _flag(row["confirmed"]), _known(row)
    )


def _dividend(name: Underlying, row: Mapping[str, Any]) -> CashDividend:
    paid = row["pay_date"]
    return CashDividend(
        name,
        row["ex_date"].date(),
        Price(_exact(row["amount"])),
        None if paid != paid else paid.date(),
        _flag(row["special"]),
        _known(row),
    )


def _split(name: Underlying, row: Mapping[str, Any]) -> Split:
    return Split(name, row["ex_date"].date(), _exact(row["ratio"]), _known(row))


def _option_quote(underlying: Underlying, row: Mapping[str, Any], snapshot: Provenance) -> OptionQuote:
    """One contract as it was quoted, as of its quote's own time where that is known."""
    contract = parse_occ(row["occ_symbol"])
    contract = replace(
        contract,
        underlying=underlying,
        multiplier=int(row["multiplier"]),
        standard=contract.standard and bool(row["standard"]),
    )
    own = row["quoted_at"]
    quote = Quote(
        contract,
        _price(row["bid"]),
        _price(row["ask"]),
        _whole(row["bid_size"]) or 0,
        _whole(row["ask_size"]) or 0,
        snapshot if own != own else replace(snapshot, as_of=own.to_pydatetime()),
    )
    greeks = {name: _number(row[name]) for name in ("iv", "delta", "gamma", "theta", "vega")}
    return OptionQuote(
        quote, **greeks, open_interest=_whole(row["open_interest"]), volume=_whole(row["volume"])
    )


def _exact(value: float) -> Decimal:
    return Decimal(str(value))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else int(value)


def _price(value: float) -> Price | None:
    return None if math.isnan(value) else Price(_exact(value))


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None

"""The store itself: write, read as of an instant, say what is covered, find damage and live with it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsb_core.domain.calendar import sessions_between
from wsb_core.domain.errors import ConfigError, DataQualityError

from .adjust import Adjustment, adjusted_bars
from .files import Part, commit, load_manifest, load_part, locked, save_part, sweep
from .frames import days_in, empty, frame_of, local_day, rows_of, span_of
from .names import Names, Span
from .repair import flaws, rebuilt
from .schema import (
    CALENDAR_STARTS,
    COVERAGE,
    DAILY,
    DIVIDENDS,
    IDENTITY,
    MINUTE,
    SPLITS,
    TABLES,
    Partition,
    Table,
    table_called,
)
from .versions import (
    Whole,
    as_named,
    by_partition,
    in_force,
    known_by,
    merged,
    own_days,
    replaced,
    withdrawals,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_DAY = timedelta(days=1)
EVER = datetime.max.replace(tzinfo=UTC)
"""After everything that is ever recorded."""


class HistoryStore:
    """Tables of ``schema.TABLES`` under one folder. Any number of readers and writers, in any processes.

    A writer that is killed leaves the store as it was before, or as it would be after. Every file is read
    against the checksum it was written with: a damaged one raises DataQualityError, which names the file and
    the remedy.
    """

    def __init__(self, folder: Path | str, *, lock_seconds: float = 60.0) -> None:
        """Touches nothing. ``lock_seconds``: how long a write waits for another."""
        self._folder, self._lock_seconds = Path(folder), lock_seconds

    def __repr__(self) -> str:
        return f"HistoryStore({str(self._folder)!r})"

    def write(
        self,
        table: str,
        frame: pd.DataFrame,
        recorded_at: datetime | None = None,
        *,
        whole: Whole | None = None,
        called_on: date | None = None,
    ) -> int:
        """Add what is new in ``frame`` (columns of ``schema.TABLES[table]``); returns how many versions.

        Rows that are there already change nothing; one with other values becomes a new version, and both are
        kept. All of it is stored, or nothing. ``recorded_at`` is when the rows became known; without it the
        frame has a column of that name. Versions of one row are written in the order they became known.

        With ``whole``, rows of that source in its span that ``frame`` lacks are withdrawn from then on, and
        the span counts as covered. ``called_on`` is the day on which the frame's tickers are meant: vendors
        answer with today's for all of the past. Without it each row has the ticker of its own day.

        Raises: DataQualityError naming the value that cannot be stored; Transient when another writer takes
        too long; ConfigError for an unknown table.
        """
        kind = table_called(table)
        rows = rows_of(kind, frame, recorded_at)
        if whole is not None and recorded_at is None:
            raise ConfigError(f"{table}: a whole answer has one recorded_at; give it as the argument")
        if whole is not None:
            _require_inside(kind, rows, whole)
        names = Names(()) if called_on is None else self.names()
        if called_on is not None:
            rows = _under_own_tickers(kind, rows, names, called_on)
        if whole is None or recorded_at is None:
            return self._add(kind, rows)
        spans = _by_ticker(whole, names, called_on or date.max)
        added = self._add(kind, rows, spans, recorded_at)
        # Last: a writer that dies before it has stored more than it claims, never less.
        self._add(COVERAGE, rows_of(COVERAGE, _claims(kind, whole), recorded_at))
        return added

    def read(
        self,
        table: str,
        symbols: Sequence[str],
        first: date,
        last: date,
        as_of: datetime,
        *,
        adjusted: Adjustment | str = Adjustment.RAW,
    ) -> pd.DataFrame:
        """Rows of days ``first`` to ``last`` as they were known at ``as_of``, in the order of the key.

        Columns and dtypes as in ``schema.TABLES[table]``, and ``recorded_at``. ``symbol`` is the ticker that
        was asked for: the company that had it on the day of ``as_of``, under all of its tickers. Announced
        days may lie after ``as_of``; observations never do. No row is no row: ``covered`` says whether one
        was looked for. Bars may be adjusted, for the actions known and in effect at ``as_of``.

        Raises: ConfigError for an unknown table, or an adjustment of anything but bars; DataQualityError for
        a damaged file; Unadjustable.
        """
        kind, how = table_called(table), Adjustment(adjusted)
        today = local_day(as_of)
        if how is Adjustment.RAW:
            return frame_of(self._rows(kind, symbols, first, last, as_of))
        if kind not in (DAILY, MINUTE):
            raise ConfigError(f"{table} has no adjustment; only daily and minute bars have")
        bars = self.read(table, symbols, first, last, as_of)
        splits = self.read(SPLITS.name, symbols, first, today, as_of)
        if how is Adjustment.SPLITS:
            return adjusted_bars(bars, bars.iloc[:0], splits, None)
        paid = self.read(DIVIDENDS.name, symbols, first, today, as_of)
        closes = bars
        if kind is not DAILY or last < today:
            closes = self.read(DAILY.name, tuple(paid["symbol"].unique()), first, today, as_of)
        return adjusted_bars(bars, closes, splits, paid)

    def names(self, as_of: datetime = EVER) -> Names:
        """The identity table as it was known at ``as_of``."""
        known = self._load(IDENTITY, lambda rows: _recorded_by(rows, as_of))
        return Names.of(frame_of(in_force(IDENTITY, known)))

    def covered(self, table: str, symbol: str, as_of: datetime = EVER) -> tuple[tuple[date, date], ...]:
        """``coverage`` of one symbol."""
        return self.coverage(table, (symbol,), as_of)[symbol]

    def coverage(
        self, table: str, symbols: Sequence[str], as_of: datetime = EVER
    ) -> Mapping[str, tuple[tuple[date, date], ...]]:
        """First and last day of every stretch that is known whole, by time; empty when nothing is.

        Whole are the spans a source answered for as such, and of bars, chains and volatilities each session
        that has a row; stretches that only closed days part are one. Days before 1995 only where a source
        answered for them. ``symbols`` are those of the day of ``as_of``.
        """
        kind = table_called(table)
        told = self.read(COVERAGE.name, symbols, date.min, date.max, as_of)
        told = told[told["of"] == table]
        spans: dict[str, list[tuple[date, date]]] = {symbol: [] for symbol in symbols}
        for symbol, first, last in zip(told["symbol"], told["first"], told["last"], strict=True):
            spans[symbol].append((first.date(), last.date()))
        if not kind.ahead:
            rows = self._rows(kind, symbols, CALENDAR_STARTS, local_day(as_of), as_of)
            days = frame_of(rows.select(["symbol", "session"])).drop_duplicates()
            for symbol, day in zip(days["symbol"], days["session"].dt.date, strict=True):
                spans[symbol].append((day, day))
        return {symbol: _joined(found, by_session=not kind.ahead) for symbol, found in spans.items()}

    def verify(self) -> tuple[str, ...]:
        """Every file read whole; one line for each that is not as it was written, with the remedy.

        Writers may write meanwhile.
        """
        return tuple(line for kind in TABLES.values() for line in flaws(self._folder, kind))

    def rebuild(self, table: str) -> tuple[str, ...]:
        """Put a damaged table in order out of its undamaged files; returns the partitions that lost rows.

        A partition without an undamaged file begins anew; one with an older file falls back to it. Damaged
        files stay, renamed. When anything was lost, no source's whole answer for this table counts as such
        any longer. Write the lost rows again from their source, with their ``recorded_at``.
        """
        return rebuilt(self._folder, table_called(table), self._lock_seconds)

    def _add(
        self, kind: Table, rows: pa.Table, answers: Sequence[Whole] = (), recorded_at: datetime = EVER
    ) -> int:
        """Merge ``rows`` into the partitions and withdraw what ``answers`` no longer have: all or nothing."""
        import pyarrow as pa

        folder = self._folder / kind.name
        with locked(folder, self._lock_seconds):
            manifest = load_manifest(folder)
            fresh = by_partition(kind, rows)
            stale = {
                name
                for name, part in manifest.parts.items()
                if any(_may_hold(kind, name, part, set(w.symbols), w.first, w.last) for w in answers)
            }
            changed: dict[str, Part] = {}
            total = 0
            for name in sorted(fresh.keys() | stale):
                old, new = empty(kind), fresh.get(name, empty(kind))
                if name in manifest.parts:
                    old = load_part(folder, manifest.parts[name])
                gone = [withdrawals(kind, old, new, whole, recorded_at) for whole in answers]
                both, added = merged(kind, old, pa.concat_tables([new, *gone]))
                if kind is IDENTITY:
                    # Refused here: readers could not tell the companies apart.
                    Names.of(frame_of(in_force(kind, both)))
                if added:
                    days = span_of(kind, both)
                    changed[name] = save_part(folder, name, manifest.generation + 1, both, days)
                    total += added
            if changed:
                following = manifest.following(changed)
                commit(folder, following)
                sweep(folder, following, changed)
        return total

    def _rows(
        self, kind: Table, symbols: Sequence[str], first: date, last: date, as_of: datetime
    ) -> pa.Table:
        names = Names(()) if kind is IDENTITY else self.names(as_of)
        trails = {symbol: names.trail(symbol, local_day(as_of)) for symbol in symbols}
        tickers = {span.symbol for trail in trails.values() for span in trail}

        def wanted(rows: pa.Table) -> pa.Table:
            return known_by(kind, rows, tickers, first, last, as_of)

        return as_named(
            kind,
            self._load(kind, wanted, lambda name, part: _may_hold(kind, name, part, tickers, first, last)),
            trails,
        )

    def _load(
        self,
        kind: Table,
        keep: Callable[[pa.Table], pa.Table],
        wanted: Callable[[str, Part], bool] = lambda name, part: True,
    ) -> pa.Table:
        """What ``keep`` leaves of the wanted partitions, all of one moment."""
        import pyarrow as pa

        folder = self._folder / kind.name
        manifest = load_manifest(folder)
        found = [empty(kind)]
        for name, part in manifest.parts.items():
            if wanted(name, part):
                try:
                    found.append(keep(load_part(folder, part)))
                except DataQualityError:
                    if load_manifest(folder).generation == manifest.generation:
                        raise
                    # Writers have moved on and swept the file away.
                    return self._load(kind, keep, wanted)
        return pa.concat_tables(found)


def _may_hold(kind: Table, name: str, part: Part, tickers: Collection[str], first: date, last: date) -> bool:
    if kind.partition is Partition.SYMBOL_MONTH and name.partition("/")[0] not in tickers:
        return False
    return part.first <= last and part.last >= first


def _recorded_by(rows: pa.Table, as_of: datetime) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return rows.filter(pc.less_equal(rows["recorded_at"], pa.scalar(as_of, rows["recorded_at"].type)))


def _under_own_tickers(kind: Table, rows: pa.Table, names: Names, called_on: date) -> pa.Table:
    """Rows of companies called so on ``called_on``, under the ticker that each had on the row's day."""
    symbols = np.array(rows["symbol"].to_pylist(), dtype=object)
    days = own_days(kind, rows)
    for symbol in np.unique(symbols):
        at = np.flatnonzero(symbols == symbol)
        for day in np.unique(days[at]):
            spans = [span for span in names.trail(symbol, called_on) if span.has(day.item())]
            if not spans:
                raise DataQualityError(
                    f"identity: the company called {symbol} on {called_on} has no ticker on {day}, of which "
                    f"{kind.name} has a row; write its first ticker to identity, or leave the row out"
                )
            symbols[at[days[at] == day]] = spans[0].symbol
    return replaced(rows, "symbol", symbols.tolist())


def _by_ticker(whole: Whole, names: Names, called_on: date) -> list[Whole]:
    """The answer apart by what the companies were called when; those of one ticker together."""
    trails = {symbol: names.trail(symbol, called_on) for symbol in whole.symbols}
    plain = tuple(symbol for symbol, trail in trails.items() if trail == (Span(symbol, symbol),))
    found = [replace(whole, symbols=plain)]
    for symbol, trail in trails.items():
        for span in () if symbol in plain else trail:
            first, last = max(whole.first, span.first), min(whole.last, span.last)
            found.append(Whole((span.symbol,), first, last, whole.source))
    return found


def _require_inside(kind: Table, rows: pa.Table, whole: Whole) -> None:
    days = days_in(kind, rows)
    symbols = set(rows["symbol"].unique().to_pylist()) - set(whole.symbols)
    sources = set(rows["source"].unique().to_pylist()) - {whole.source}
    strange = sorted(symbols | sources)
    if len(days):
        outside = (days < np.datetime64(whole.first)) | (days > np.datetime64(whole.last))
        strange += [str(day) for day in days[outside][:1]]
    if strange:
        raise DataQualityError(
            f"{kind.name}: a whole answer of {whole.source} from {whole.first} to {whole.last} has "
            f"{strange[0]}; leave it out, or widen the answer"
        )


def _claims(kind: Table, whole: Whole) -> pd.DataFrame:
    import pandas as pd

    first, last = pd.Timestamp(whole.first), pd.Timestamp(whole.last)
    return pd.DataFrame({"symbol": list(whole.symbols)}).assign(
        of=kind.name, first=first, last=last, source=whole.source
    )


def _joined(spans: list[tuple[date, date]], *, by_session: bool) -> tuple[tuple[date, date], ...]:
    """Overlapping and touching spans as one; with ``by_session``, no session between them is touching."""
    found: list[tuple[date, date]] = []
    open_days: tuple[date, ...] = ()
    if by_session and spans:
        last = max(last for _, last in spans)
        open_days = sessions_between(CALENDAR_STARTS, max(last, CALENDAR_STARTS))
    for first, last in sorted(spans):
        if found and _touch(found[-1][1], first, open_days):
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _touch(end: date, start: date, open_days: tuple[date, ...]) -> bool:
    if start <= end + _DAY:
        return True
    return (
        end >= CALENDAR_STARTS
        and bool(open_days)
        and bisect_left(open_days, start) == bisect_right(open_days, end)
    )

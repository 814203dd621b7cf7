"""Rows and their versions: merged into what is there, and the version in force at an instant found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from wsb_core.domain.calendar import NEW_YORK
from wsb_core.domain.errors import DataQualityError

from .frames import called, days_in, schema_of
from .names import Span
from .schema import Partition, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Whole:
    """A source's whole answer: what it does not hold of ``symbols`` from ``first`` to ``last``, the source
    does not have (any more)."""

    symbols: tuple[str, ...]
    first: date
    last: date
    source: str


def by_partition(table: Table, rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each partition."""
    if not rows.num_rows:
        return {}
    if table.partition is Partition.WHOLE:
        return {"all": rows}
    days = days_in(table, rows)
    unit = {Partition.YEAR: "Y", Partition.DAY: "D", Partition.SYMBOL_MONTH: "M"}[table.partition]
    labels, codes = np.unique(days.astype(f"datetime64[{unit}]"), return_inverse=True)
    names = [str(label) for label in labels]
    if table.partition is Partition.SYMBOL_MONTH:
        symbols = rows["symbol"].combine_chunks().dictionary_encode()
        width = len(names)
        codes = symbols.indices.to_numpy() * width + codes
        names = [f"{symbol}/{name}" for symbol in symbols.dictionary.to_pylist() for name in names]
    return {names[code]: rows.filter(codes == code) for code in np.unique(codes)}


def merged(table: Table, old: pa.Table, new: pa.Table) -> tuple[pa.Table, int]:
    """Old rows with those of ``new`` that say something else than the version before them, and their number.

    Raises: DataQualityError for two values of one row recorded at the same instant.
    """
    import pyarrow as pa

    is_new = pa.array(np.repeat([False, True], [len(old), len(new)]))
    both = pa.concat_tables([old, new]).append_column("_new", is_new)
    both = sort_versions(table, both, "_new")
    again = _all_as_before(both, table.key)
    same = again & _all_as_before(both, (*table.values, "withdrawn"))
    clash = again & ~same & _as_before(both["recorded_at"])
    if clash.any():
        row = both.slice(int(np.argmax(clash)), 1).to_pylist()[0]
        raise DataQualityError(
            f"{table.name}: {called(table, row)} has two values recorded at"
            f" {row['recorded_at'].isoformat()}; a correction needs a later recorded_at"
        )
    kept = ~(both["_new"].to_numpy() & same)
    return both.filter(kept).drop_columns(["_new"]), int(kept.sum()) - len(old)


def in_force(table: Table, rows: pa.Table) -> pa.Table:
    """The newest version of every row, without those that were withdrawn, in the order of the key."""
    rows = sort_versions(table, rows)
    newest = np.ones(len(rows), dtype=bool)
    if len(rows):
        newest[:-1] = ~_all_as_before(rows, table.key)[1:]
    return rows.filter(newest & ~rows["withdrawn"].to_numpy())


def known_by(
    table: Table, rows: pa.Table, tickers: Collection[str], first: date, last: date, as_of: datetime
) -> pa.Table:
    """The versions that were recorded by ``as_of`` of the rows of ``tickers`` from ``first`` to ``last``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days = days_in(table, rows)
    mask = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    mask &= pc.less_equal(rows["recorded_at"], pa.scalar(as_of, pa.timestamp("us", tz="UTC"))).to_numpy()
    rows = rows.filter(mask)
    return rows.filter(pc.is_in(rows["symbol"], pa.array(sorted(tickers), pa.string())))


def own_days(table: Table, rows: pa.Table) -> NDArray[np.datetime64]:
    """The day on which each row's ticker is meant: its day, or that of its record where it is earlier."""
    if not table.ahead:
        return days_in(table, rows)
    recorded = rows["recorded_at"].to_pandas().dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    found: NDArray[np.datetime64] = np.minimum(
        days_in(table, rows), recorded.to_numpy().astype("datetime64[D]")
    )
    return found


def as_named(table: Table, rows: pa.Table, trails: Mapping[str, Sequence[Span]]) -> pa.Table:
    """The rows in force of each company, under its key in ``trails``; each ticker in its time only."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = {name for name, trail in trails.items() if tuple(trail) == (Span(name, name),)}
    found = [rows.filter(pc.is_in(rows["symbol"], pa.array(sorted(plain), pa.string())))]
    days = own_days(table, rows)
    for name, trail in trails.items():
        for span in () if name in plain else trail:
            then = (days >= np.datetime64(span.first)) & (days <= np.datetime64(span.last))
            its = rows.filter(then & pc.equal(rows["symbol"], span.symbol).to_numpy())
            found.append(replaced(its, "symbol", [name] * len(its)))
    return in_force(table, pa.concat_tables(found))


def sort_versions(table: Table, rows: pa.Table, *then: str) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in (*table.key, "recorded_at", *then)])


def withdrawals(table: Table, old: pa.Table, new: pa.Table, whole: Whole, recorded_at: datetime) -> pa.Table:
    """Versions that end the rows of ``old`` which the answer ``whole``, ``new``, no longer has."""
    import pyarrow.compute as pc

    known = in_force(table, known_by(table, old, whole.symbols, whole.first, whole.last, recorded_at))
    known = known.filter(pc.equal(known["source"], whole.source))
    gone = known.join(new.select(table.key), keys=list(table.key), join_type="left anti")
    gone = gone.select(schema_of(table).names)
    gone = replaced(gone, "recorded_at", [recorded_at] * len(gone))
    return replaced(gone, "withdrawn", [True] * len(gone)).cast(schema_of(table))


def unsorted_or_repeated(table: Table, rows: pa.Table) -> bool:
    """Whether a file's rows are not in the order in which they are written, or one is there twice."""
    ordered = sort_versions(table, rows)
    return bool(not ordered.equals(rows) or _all_as_before(rows, (*table.key, "recorded_at")).any())


def _all_as_before(rows: pa.Table, names: Sequence[str]) -> Mask:
    same = np.ones(len(rows), dtype=bool)
    for name in names:
        same &= _as_before(rows[name])
    return same


def _as_before(column: pa.ChunkedArray) -> Mask:
    """For every row whether it has the value of the row before; nothing given equals nothing given."""
    import pyarrow.compute as pc

    same = np.zeros(len(column), dtype=bool)
    if len(column) > 1:
        here, before = column.slice(1), column.slice(0, len(column) - 1)
        equal = pc.fill_null(pc.equal(here, before), False)
        same[1:] = pc.or_(equal, pc.and_(pc.is_null(here), pc.is_null(before))).to_numpy()
    return same


def replaced(rows: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    """The rows with other ``values`` in one column."""
    import pyarrow as pa

    at = rows.schema.get_field_index(name)
    return rows.set_column(at, name, pa.array(values, rows.schema.field(name).type))

"""Frames checked and made exact on the way in, and frames again on the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from wsb_core.domain.calendar import NEW_YORK, session_on
from wsb_core.domain.errors import DataQualityError
from wsb_core.domain.quotes import require_aware

from .schema import CALENDAR_STARTS, Column, Kind, Table, stored

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_NAME = re.compile(r"[A-Z0-9^][A-Z0-9.^=_-]{0,20}")


def schema_of(table: Table) -> pa.Schema:
    """The Arrow schema of a table's files."""
    return _schema(stored(table))


def rows_of(table: Table, frame: pd.DataFrame, recorded_at: datetime | None) -> pa.Table:
    """The frame as rows to store, every value checked.

    ``recorded_at`` is that of all rows, or None where the frame has a column of that name.

    Raises: DataQualityError naming table, column, value and row; ValueError for an instant without a zone.
    """
    if recorded_at is not None and "recorded_at" not in frame:
        frame = frame.assign(recorded_at=require_aware(recorded_at, "recorded_at").astimezone(UTC))
    elif recorded_at is not None or "recorded_at" not in frame:
        raise DataQualityError(f"{table.name}: give recorded_at once, as an argument or as a column")
    columns = stored(table)[:-1]
    unknown = sorted(set(map(str, frame.columns)) - {column.name for column in columns})
    if unknown:
        raise DataQualityError(f"{table.name}: it has no columns {', '.join(unknown)}; leave them out")
    arrays = {column.name: _array(table, column, frame) for column in columns}
    rows = _table(stored(table), {**arrays, "withdrawn": np.zeros(len(frame), dtype=bool)})
    _require_names(table, rows)
    _require_observed(table, rows)
    return rows


def frame_of(rows: pa.Table) -> pd.DataFrame:
    """A frame with the documented dtypes and ``recorded_at``."""
    import pandas as pd
    import pyarrow as pa

    kinds = {pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=kinds.get)
    return frame.drop(columns="withdrawn", errors="ignore")


def empty(table: Table) -> pa.Table:
    """A table's rows where it has none."""
    return schema_of(table).empty_table()


def days_in(table: Table, rows: pa.Table) -> NDArray[np.datetime64]:
    """The day of every row."""
    found: NDArray[np.datetime64] = rows[table.day].to_numpy().astype("datetime64[D]")
    return found


def span_of(table: Table, rows: pa.Table) -> tuple[date, date]:
    """The first and the last day of rows of which there are some."""
    days = days_in(table, rows)
    return days.min().item(), days.max().item()


def _types() -> Mapping[Kind, Any]:
    import pyarrow as pa

    return {
        Kind.TEXT: pa.string(),
        Kind.DAY: pa.timestamp("ns"),
        Kind.INSTANT: pa.timestamp("us", tz="UTC"),
        Kind.NUMBER: pa.float64(),
        Kind.WHOLE: pa.int64(),
        Kind.FLAG: pa.bool_(),
    }


def _schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    types = _types()
    return pa.schema([(column.name, types[column.kind]) for column in columns])


def _table(columns: Sequence[Column], arrays: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    schema = _schema(columns)
    made = [pa.array(arrays[field.name], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(made, schema=schema)


def _array(table: Table, column: Column, frame: pd.DataFrame) -> Any:
    """One column, exact; raises DataQualityError at its first bad value."""
    import pandas as pd

    if column.name not in frame:
        if column.default is None and not column.nullable:
            raise DataQualityError(f"{table.name}: the frame has no column {column.name} ({column.meaning})")
        frame = frame.assign(**{column.name: pd.Series(column.default, index=frame.index, dtype=object)})
    given = frame[column.name]
    try:
        made = _CASTS[column.kind](given)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataQualityError(f"{table.name}: {column.name} is not {column.kind.value}: {error}") from error
    wrong = np.zeros(len(made), dtype=bool)
    if not column.nullable:
        wrong |= made.isna().to_numpy()
    if column.kind in (Kind.NUMBER, Kind.WHOLE):
        wrong |= np.isinf(made.to_numpy(dtype="float64"))
    if column.positive:
        wrong |= (made <= 0).fillna(False).to_numpy()
    if column.never is not None:
        wrong |= (made == column.never).to_numpy()
    if wrong.any():
        row = frame.iloc[int(np.argmax(wrong))]
        wanted = "above 0" if column.positive else "a value"
        wanted += "" if column.never is None else f" and not {column.never:g}"
        also = ", or empty" if column.nullable else ""
        raise DataQualityError(
            f"{table.name}: {column.name} of {called(table, row)} is {row[column.name]}, not {wanted}"
            f"{also} ({column.meaning})"
        )
    return made


def _text(given: pd.Series[Any]) -> pd.Series[Any]:
    made = given.astype(object).where(given.notna(), None)
    wrong = [value for value in made if value is not None and (not isinstance(value, str) or not value)]
    if wrong:
        raise ValueError(f"{wrong[0]!r}")
    return made.astype("str")


def _day(given: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(given):
        raise ValueError(f"{given.iloc[0]!r}" if len(given) else "numbers")
    made = pd.to_datetime(given)
    if made.dt.tz is not None or (made != made.dt.normalize())[made.notna()].any():
        raise ValueError("a day has no zone and no time of day")
    return made.astype("datetime64[ns]")


def _instant(given: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    if given.isna().all():
        return pd.Series(pd.NaT, index=given.index, dtype="datetime64[us, UTC]")
    if pd.api.types.is_numeric_dtype(given):
        raise ValueError(f"{given.iloc[0]!r}")
    made = pd.to_datetime(given)
    if made.dt.tz is None:
        raise ValueError("it has no time zone")
    return made.dt.tz_convert("UTC").astype("datetime64[us, UTC]")


def _number(given: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    if pd.api.types.is_string_dtype(given) and len(given) and not given.isna().all():
        texts = [value for value in given if isinstance(value, str)]
        if texts:
            raise ValueError(f"{texts[0]!r} is text")
    return given.astype("float64")


def _whole(given: pd.Series[Any]) -> pd.Series[Any]:
    made = _number(given)
    if (made != made.round())[made.notna()].any():
        raise ValueError("it has a fraction")
    return made.astype("Int64")


def _flag(given: pd.Series[Any]) -> pd.Series[Any]:
    return given.astype("boolean")


_CASTS = {
    Kind.TEXT: _text,
    Kind.DAY: _day,
    Kind.INSTANT: _instant,
    Kind.NUMBER: _number,
    Kind.WHOLE: _whole,
    Kind.FLAG: _flag,
}


def _require_names(table: Table, rows: pa.Table) -> None:
    """Tickers become names of folders."""
    for symbol in rows["symbol"].unique().to_pylist():
        if not _NAME.fullmatch(symbol):
            raise DataQualityError(
                f"{table.name}: symbol {symbol!r} is no ticker; capitals, digits, . ^ = - only"
            )


def _require_observed(table: Table, rows: pa.Table) -> None:
    """Nothing is known before it happened: a daily bar not before the close, a quote not before its time."""
    if table.ahead or not rows.num_rows:
        return
    days, recorded = days_in(table, rows), rows["recorded_at"].to_numpy().astype("datetime64[us]")
    if table.instant is None:
        known = _closes(days, recorded)
    else:
        known = rows[table.instant].to_numpy().astype("datetime64[us]") + np.timedelta64(table.takes)
        local = rows[table.instant].to_pandas().dt.tz_convert("America/New_York").dt.tz_localize(None)
        wrong = local.to_numpy().astype("datetime64[D]") != days
        if wrong.any():
            row = rows.slice(int(np.argmax(wrong)), 1).to_pylist()[0]
            raise DataQualityError(
                f"{table.name}: {called(table, row)} is not of session {row['session']:%Y-%m-%d}"
            )
    early = recorded < known
    if early.any():
        at = int(np.argmax(early))
        row = rows.slice(at, 1).to_pylist()[0]
        raise DataQualityError(
            f"{table.name}: {called(table, row)} is complete at {known[at]} UTC and was recorded before, at"
            f" {recorded[at]}; a bar in progress is not history"
        )


def _closes(days: NDArray[np.datetime64], recorded: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """When each day was over, in UTC, exact where the row was recorded near it."""
    known: NDArray[np.datetime64] = days.astype("datetime64[us]")
    near: Mask = recorded - known < np.timedelta64(36, "h")
    for day in np.unique(days[near]):
        known[near & (days == day)] = _close(day.item())
    return known


def known_at_close(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column ``recorded_at``: the close of each row's session.

    For history that is taken over from elsewhere: as if each row had been written on its day, as it is now.
    """
    days, of_day = np.unique(frame["session"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    closes = np.array([_close(day.item()) for day in days], dtype="datetime64[us]")
    return frame.assign(recorded_at=closes[of_day]).assign(
        recorded_at=lambda frame: frame["recorded_at"].dt.tz_localize("UTC")
    )


def _close(day: date) -> np.datetime64:
    session = session_on(day) if day >= CALENDAR_STARTS else None
    closes = session.closes if session else datetime(day.year, day.month, day.day, 16, tzinfo=NEW_YORK)
    return np.datetime64(closes.astimezone(UTC).replace(tzinfo=None))


def local_day(instant: datetime) -> date:
    """The exchange's date at ``instant``."""
    return require_aware(instant).astimezone(NEW_YORK).date()


def called(table: Table, row: Any) -> str:
    """A row by its key, for messages."""
    return " ".join(_short(row[name]) for name in table.key if name in row)


def _short(value: Any) -> str:
    if not isinstance(value, datetime):
        return str(value)
    whole_day = value.tzinfo is None and value - value.replace(hour=0, minute=0, second=0) == timedelta(0)
    return f"{value:%Y-%m-%d}" if whole_day else value.isoformat()

"""What is stored, table by table: columns, units, keys. The one place that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from wsb_core.domain.errors import ConfigError

CALENDAR_STARTS = date(1995, 1, 3)
"""Before it the exchange's sessions are not known here."""


class Kind(StrEnum):
    """What a column holds, and its dtype in the frames that are read."""

    TEXT = "text"
    """``str``."""
    DAY = "day"
    """``datetime64[ns]`` without a zone, midnight: an exchange-local date."""
    INSTANT = "instant"
    """``datetime64[us, UTC]``."""
    NUMBER = "number"
    """``float64``; NaN where nothing was given. Decimals of 15 digits come back as ``Decimal(str(x))``."""
    WHOLE = "whole"
    """``int64``."""
    FLAG = "flag"
    """``boolean``; NA where nothing was given."""


class Partition(StrEnum):
    """Which rows share a file."""

    YEAR = "year"
    DAY = "day"
    SYMBOL_MONTH = "symbol and month"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Column:
    """``default`` fills a column that the frame does not have; a nullable one is then empty. ``never`` is a
    number that would say nothing."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    positive: bool = False
    default: int | None = None
    never: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One row a ``key``. ``symbol`` is the ticker on the row's ``day``, or on the day the row was recorded
    where that is earlier."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    day: str
    partition: Partition
    ahead: bool = False
    """Rows may be known before their day (announcements). Others never: they are observations."""
    instant: str | None = None
    """The column that says when within its day a row was observed; without one, at the close."""
    takes: timedelta = timedelta(0)
    """How long after ``instant`` a row is complete."""

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that make a row a new version when they change. Who told it first is not one."""
        return tuple(c.name for c in self.columns if c.name not in self.key and c.name != "source")

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


_SYMBOL = Column("symbol", Kind.TEXT, "ticker")
_SESSION = Column("session", Kind.DAY, "trading day")
_SOURCE = Column("source", Kind.TEXT, "who gave the row first")


def _number(name: str, meaning: str, *, positive: bool = False) -> Column:
    return Column(name, Kind.NUMBER, meaning, nullable=True, positive=positive)


_BAR = (
    *(
        Column(name, Kind.NUMBER, "traded dollars a share, not adjusted", positive=True)
        for name in ("open", "high", "low", "close")
    ),
    _number("volume", "shares traded, not adjusted; empty when not given"),
)

DAILY = Table(
    "daily",
    (_SYMBOL, _SESSION, *_BAR, _SOURCE),
    key=("symbol", "session"),
    day="session",
    partition=Partition.YEAR,
)

MINUTE = Table(
    "minute",
    (_SYMBOL, _SESSION, Column("at", Kind.INSTANT, "start of the minute"), *_BAR, _SOURCE),
    key=("symbol", "at"),
    day="session",
    partition=Partition.DAY,
    instant="at",
    takes=timedelta(minutes=1),
)

CHAIN = Table(
    "chain",
    (
        Column("symbol", Kind.TEXT, "underlying"),
        _SESSION,
        Column("at", Kind.INSTANT, "instant of the snapshot, the same for all of its rows"),
        Column("occ_symbol", Kind.TEXT, "21-character OCC symbol"),
        _number("bid", "dollars a share; empty when not quoted, never 0", positive=True),
        _number("ask", "dollars a share; empty when not quoted, never 0", positive=True),
        _number("bid_size", "contracts"),
        _number("ask_size", "contracts"),
        _number("last", "last trade, dollars a share", positive=True),
        _number("volume", "contracts traded in the session"),
        _number("open_interest", "contracts open, usually of the session before"),
        _number("iv", "annualised, 0.20 is 20%", positive=True),
        _number("delta", "signed, a share"),
        _number("gamma", "a share"),
        _number("theta", "a calendar day, a share"),
        _number("vega", "a vol point, a share"),
        Column("multiplier", Kind.WHOLE, "shares a contract", positive=True, default=100),
        Column("standard", Kind.FLAG, "delivers the standard 100 shares", default=1),
        Column("quoted_at", Kind.INSTANT, "the quote's own time; empty: that of the snapshot", nullable=True),
        _SOURCE,
    ),
    key=("symbol", "at", "occ_symbol"),
    day="session",
    partition=Partition.SYMBOL_MONTH,
    instant="at",
)

IV = Table(
    "iv",
    (
        _SYMBOL,
        _SESSION,
        Column("tenor_days", Kind.WHOLE, "calendar days of the constant maturity", positive=True, default=30),
        Column("at", Kind.INSTANT, "when the chain was read that it is from"),
        Column("iv", Kind.NUMBER, "at the money, annualised, 0.20 is 20%", positive=True),
        _SOURCE,
    ),
    key=("symbol", "session", "tenor_days"),
    day="session",
    partition=Partition.YEAR,
    instant="at",
)

EARNINGS = Table(
    "earnings",
    (
        _SYMBOL,
        Column("day", Kind.DAY, "announcement, exchange-local"),
        Column("time", Kind.TEXT, "a ReportTime; unknown is a value"),
        Column("confirmed", Kind.FLAG, "by the company; empty when the source does not say", nullable=True),
        _SOURCE,
    ),
    key=("symbol", "day", "source"),
    day="day",
    partition=Partition.WHOLE,
    ahead=True,
)

DIVIDENDS = Table(
    "dividends",
    (
        _SYMBOL,
        Column("ex_date", Kind.DAY, "first session without it"),
        Column("item", Kind.WHOLE, "1, or 2 and on for others of the same day", positive=True, default=1),
        Column("amount", Kind.NUMBER, "dollars a share held on the ex-date, not adjusted", positive=True),
        Column("pay_date", Kind.DAY, "when it is paid", nullable=True),
        Column("special", Kind.FLAG, "empty when the source does not say", nullable=True),
        _SOURCE,
    ),
    key=("symbol", "ex_date", "item"),
    day="ex_date",
    partition=Partition.WHOLE,
    ahead=True,
)

SPLITS = Table(
    "splits",
    (
        _SYMBOL,
        Column("ex_date", Kind.DAY, "first session in new shares"),
        Column(
            "ratio", Kind.NUMBER, "new shares for one old: 2 for 2:1, 0.1 for 1:10", positive=True, never=1
        ),
        _SOURCE,
    ),
    key=("symbol", "ex_date"),
    day="ex_date",
    partition=Partition.WHOLE,
    ahead=True,
)

IDENTITY = Table(
    "identity",
    (
        Column("instrument", Kind.TEXT, "a name of the company's share that never changes"),
        _SYMBOL,
        Column("first", Kind.DAY, "first day of this ticker"),
        Column("last", Kind.DAY, "last day of this ticker; empty while it is in use", nullable=True),
        _SOURCE,
    ),
    key=("instrument", "symbol", "first"),
    day="first",
    partition=Partition.WHOLE,
    ahead=True,
)

COVERAGE = Table(
    "coverage",
    (
        _SYMBOL,
        Column("of", Kind.TEXT, "the table that was answered whole"),
        Column("first", Kind.DAY, "first day of the answer"),
        Column("last", Kind.DAY, "last day of the answer"),
        _SOURCE,
    ),
    key=("symbol", "of", "source", "first", "last"),
    day="last",
    partition=Partition.YEAR,
    ahead=True,
)

TABLES: Mapping[str, Table] = {
    table.name: table for table in (DAILY, MINUTE, CHAIN, IV, EARNINGS, DIVIDENDS, SPLITS, IDENTITY, COVERAGE)
}

RECORDED_AT = Column("recorded_at", Kind.INSTANT, "when this version of the row became known")
WITHDRAWN = Column("withdrawn", Kind.FLAG, "the source no longer gives the row")


def table_called(name: str) -> Table:
    """Raises: ConfigError when there is no such table."""
    if name not in TABLES:
        raise ConfigError(f"table must be one of {', '.join(TABLES)}, not {name!r}")
    return TABLES[name]


def stored(table: Table) -> tuple[Column, ...]:
    """The columns of a table's files."""
    return (*table.columns, RECORDED_AT, WITHDRAWN)

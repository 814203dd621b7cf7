"""Digests of the ledger's rows: what each row was when it was last written is in the audit chain.

Every write transaction ends with one entry of kind ``rows``: table, key and digest of each row it
added or changed. So a row that is changed, taken away, slipped in or given another's key afterwards
does not fit the chain, whatever table it is in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.types import LargeBinary, TypeDecorator

from .chain import AuditEntry
from .tables import Base
from .types import Document, canonical

KIND = "rows"
NOT_KEPT = frozenset(
    {"audit_log", "audit_head", "leases", "provider_health", "source_requests", "alert_outbox"}
)
"""The chain itself, and what only says how the desk runs at this minute."""
_PLAIN = sqlite_dialect()
_HEX = 32


def kept_tables() -> tuple[Table, ...]:
    """Every table whose rows are in the chain, in the order in which they may be filled."""
    return tuple(table for table in Base.metadata.sorted_tables if table.name not in NOT_KEPT)


class Changes:
    """Rows that a session adds or changes, gathered until its transaction ends."""

    def __init__(self) -> None:
        self._rows: dict[int, Any] = {}

    def note(self, objects: Iterable[Any]) -> None:
        for each in objects:
            if each.__table__.name not in NOT_KEPT:
                self._rows[id(each)] = each

    def digests(self) -> dict[str, dict[str, str]]:
        """Digest of each row as it stands, by table and key; empty when there is none."""
        found: dict[str, dict[str, str]] = {}
        for row in self._rows.values():
            table = row.__table__
            values = {column: getattr(row, name) for column, name in _attributes(row.__mapper__)}
            found.setdefault(table.name, {})[_key(table, values)] = digest(table, values)
        return found


@lru_cache
def _attributes(mapper: Mapper[Any]) -> tuple[tuple[str, str], ...]:
    """Column and attribute names of a table's class, which differ where a column's is a reserved word."""
    return tuple((column.name, name) for name, column in mapper.columns.items())


def digest(table: Table, values: Mapping[str, Any]) -> str:
    """Of one row's values by column. Columns that are empty do not count, so that a later version of
    the table may add some; bytes are named by a digest in another column."""
    plain = {
        column.name: text
        for column in table.columns
        if not isinstance(column.type, LargeBinary)
        and (text := _text(column.type, values[column.name])) is not None
    }
    return hashlib.sha256(canonical({"table": table.name, "row": plain}).encode()).hexdigest()[:_HEX]


def _text(kind: Any, value: Any) -> str | None:
    """``value`` as SQLite would keep it: the same from either database, before it is stored and after."""
    if value is None:
        return None
    if isinstance(kind, Document):
        return canonical(json.loads(canonical(value)))
    if isinstance(kind, TypeDecorator):
        return str(kind.process_bind_param(value, _PLAIN))
    return repr(value) if isinstance(value, float) else str(value)


def _key(table: Table, values: Mapping[str, Any]) -> str:
    return canonical([_text(column.type, values[column.name]) for column in table.primary_key.columns])


def stored_digests(session: Session) -> Iterator[tuple[str, str, str]]:
    """Table, key and digest of every row there is."""
    for table in kept_tables():
        columns = [column for column in table.columns if not isinstance(column.type, LargeBinary)]
        names = [column.name for column in columns]
        for row in session.execute(select(*columns).execution_options(yield_per=2000)):
            values = dict(zip(names, row, strict=True))
            yield table.name, _key(table, values), digest(table, values)


def row_problems(session: Session, entries: Iterable[AuditEntry]) -> Iterator[str]:
    """What does not fit: rows changed, removed or slipped in since the chain last told of them."""
    told: dict[tuple[str, str], str] = {}
    for entry in entries:
        if entry.kind == KIND:
            for table, rows in json.loads(entry.payload).items():
                told.update({(table, key): value for key, value in rows.items()})
    kept = {table.name for table in kept_tables()}
    for table, key, value in stored_digests(session):
        known = told.pop((table, key), None)
        if known is None:
            yield f"{table} {key}: is in no entry of the audit log: it was not written by the ledger"
        elif known != value:
            yield f"{table} {key}: was changed since it was written"
    for table, key in sorted(told):
        if table in kept:
            yield f"{table} {key}: was removed"

"""Nothing that counts is ever deleted: the database itself refuses.

The records of a broker-dealer's customer are kept for seven years (see the runbook); this ledger
keeps them for good. What moves to an archive is copied, never taken out.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from .rows import NOT_KEPT
from .tables import Base

_FREE = NOT_KEPT - {"audit_log", "audit_head"}
_FUNCTION = "wsb_refuse_delete"
_REFUSAL = "rows of the ledger are kept: nothing is deleted"


def guarded_tables() -> tuple[str, ...]:
    return tuple(sorted(name for name in Base.metadata.tables if name not in _FREE))


def forbid_deletes(connection: Connection) -> None:
    """Make the database refuse to delete from every table that counts and exists; repeating it is fine."""
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.execute(
            text(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
            )
        )
    for table in _existing(connection):
        if sqlite:
            connection.execute(
                text(
                    f"CREATE TRIGGER IF NOT EXISTS keep_{table} BEFORE DELETE ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
                )
            )
        else:
            connection.execute(
                text(
                    f"CREATE OR REPLACE TRIGGER keep_{table} BEFORE DELETE OR TRUNCATE ON {table} "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
                )
            )


def allow_deletes(connection: Connection) -> None:
    """Take the guard away: for a test, or a person who knows why."""
    on = "" if connection.dialect.name == "sqlite" else " ON {table}"
    for table in _existing(connection):
        connection.execute(text(f"DROP TRIGGER IF EXISTS keep_{table}{on.format(table=table)}"))


def _existing(connection: Connection) -> tuple[str, ...]:
    from sqlalchemy import inspect

    there = set(inspect(connection).get_table_names())
    return tuple(table for table in guarded_tables() if table in there)

"""Connections and transactions: one writer at a time, and readers that see one instant.

A write holds the audit head for its whole length (BEGIN IMMEDIATE on SQLite, SELECT FOR UPDATE on
PostgreSQL). So what a transaction checks still holds when it commits, on either database, and the
log has one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from wsb_core.domain.errors import LedgerError, Transient
from wsb_core.domain.quotes import require_aware

from .chain import link
from .tables import AuditHeadRow, AuditRow

PATIENCE_SECONDS = 30
_WRITE = "wsb_write"


class LedgerUnavailable(Transient):
    """The ledger's database did not answer, or was busy too long. Every ledger call may be repeated."""


class Tx:
    """A write transaction: the session, and the audit log it has to leave an entry in."""

    def __init__(self, session: Session, at: datetime, head: AuditHeadRow) -> None:
        self.session = session
        self.at = at
        self._head = head

    def audit(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Append one entry to the chain; it is committed, or not, with everything else done here."""
        entry = link(self._head.seq, self._head.hash, self.at, kind, payload)
        self.session.add(
            AuditRow(
                seq=entry.seq,
                at=entry.at,
                kind=entry.kind,
                payload=entry.payload,
                prev_hash=entry.prev_hash,
                hash=entry.hash,
            )
        )
        self._head.seq, self._head.hash = entry.seq, entry.hash


class Store:
    """An engine, and the two ways to use it."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.engine = _engine(self.url)
        self.writer = self.engine.execution_options(**{_WRITE: True})
        # One snapshot for all the statements of a read: a view half before and half after a commit
        # would be read as a difference that does not exist.
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reader = self.engine.execution_options(**snapshot)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self, at: datetime) -> Iterator[Tx]:
        """A transaction that is the only writer; commits at the end, rolls back on any error."""
        require_aware(at, "at")
        self.require_file()
        with self.translated(), Session(self.writer) as session, session.begin():
            head = session.scalar(select(AuditHeadRow).with_for_update())
            if head is None:
                raise LedgerError(f"{self.name}: the audit log has no head row: restore it from a backup")
            yield Tx(session, at, head)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only session on one snapshot."""
        self.require_file()
        with self.translated(), Session(self._reader) as session:
            yield session

    def require_file(self) -> None:
        """LedgerError when the SQLite file is not there: connecting would make an empty one."""
        if self.is_missing_file():
            raise LedgerError(f"{self.name}: there is no ledger here: run `wsb ledger init`")

    def is_missing_file(self) -> bool:
        return self.is_sqlite and not Path(str(self.url.database)).exists()

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, ProgrammingError) as error:
            if "no such table" in str(error.orig) or type(error.orig).__name__ == "UndefinedTable":
                raise LedgerError(f"{self.name}: tables are missing: run `wsb ledger init`") from error
            raise LedgerUnavailable(f"{self.name}: {error.orig}") from error
        except IntegrityError as error:
            raise LedgerError(f"{self.name}: a stored fact contradicts this one: {error.orig}") from error
        except DBAPIError as error:
            raise LedgerUnavailable(f"{self.name}: {error.orig}") from error
        except SQLAlchemyError as error:
            # A refused value arrives wrapped: its own message says what is wrong with it.
            raise LedgerError(f"{self.name}: {error.__cause__ or error}") from error


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise LedgerError("ledger url: cannot be read: use sqlite:///file.db or postgresql://...") from None
    backend, name = url.get_backend_name(), url.render_as_string(hide_password=True)
    if backend not in ("sqlite", "postgresql"):
        raise LedgerError(f"ledger url {name}: use sqlite:///file.db or postgresql://...")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise LedgerError(f"ledger url {name}: memory is lost between runs: name a file")
    return url.set(drivername="postgresql+psycopg2") if backend == "postgresql" else url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        limits = (
            f"-c timezone=UTC -c lock_timeout={PATIENCE_SECONDS}s -c idle_in_transaction_session_timeout=60s"
        )
        return create_engine(url, pool_pre_ping=True, connect_args={"options": limits})
    engine = create_engine(url, connect_args={"timeout": PATIENCE_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling begins too late for a lock to protect what was read before.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={PATIENCE_SECONDS * 1000}",
        "journal_mode=WAL",
        # An intent has to survive a power cut: an order may have been sent on the strength of it.
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

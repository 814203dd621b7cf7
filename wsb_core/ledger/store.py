"""Connections and transactions: one writer at a time, and readers that see one instant.

A write holds the audit head for its whole length (BEGIN IMMEDIATE on SQLite, SELECT FOR UPDATE on
PostgreSQL). So what a transaction checks still holds when it commits, on either database, and the
log has one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, create_engine, event, insert, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.orm import ORMExecuteState, Session

from wsb_core.domain.errors import LedgerError, Transient
from wsb_core.domain.quotes import require_aware

from .chain import AuditEntry, link
from .rows import KIND, Changes
from .tables import AuditHeadRow, AuditRow, Base

PATIENCE_SECONDS = 30
_WRITE = "wsb_write"
_AUDIT = Base.metadata.tables[AuditRow.__tablename__]
_HEAD = Base.metadata.tables[AuditHeadRow.__tablename__]
_LOCK_HEAD = select(_HEAD.c.seq, _HEAD.c.hash).with_for_update()
_ADD_ENTRY = insert(_AUDIT)
_MOVE_HEAD = update(_HEAD).values(seq=bindparam("to_seq"), hash=bindparam("to_hash"))


class LedgerUnavailable(Transient):
    """The ledger's database did not answer, or was busy too long. Every ledger call may be repeated."""


class AuditHead(NamedTuple):
    """Where the audit log ends."""

    seq: int
    hash: str


class Tx:
    """A write transaction: the session, and the audit log it has to leave an entry in."""

    def __init__(self, session: Session, at: datetime, head: AuditHead) -> None:
        self.session = session
        self.at = at
        self._head: AuditHead | AuditEntry = head

    def audit(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Append one entry to the chain; it is committed, or not, with everything else done here.

        Written at once and by itself: the unit of work would take longer over it than over the rest.
        """
        entry = link(self._head.seq, self._head.hash, self.at, kind, payload)
        connection = self.session.connection()
        connection.execute(_ADD_ENTRY, asdict(entry))
        connection.execute(_MOVE_HEAD, {"to_seq": entry.seq, "to_hash": entry.hash})
        self._head = entry


@dataclass(frozen=True, slots=True)
class _Said:
    """An entry of the chain that waits for a transaction."""

    kind: str
    payload: Mapping[str, Any]
    at: datetime


def _refuse_bulk(statement: ORMExecuteState) -> None:
    if statement.is_delete or statement.is_update or statement.is_insert:
        raise LedgerError(
            "rows are added and changed one by one, so that each is in the chain; none is deleted"
        )


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
        self._said: list[_Said] = []
        self._saying = Lock()
        self.memory: dict[str, Any] = {}
        """What readers of this process keep between sessions; a session carries it as its ``info``."""

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
        with self.translated(), Session(self.writer, info=self.memory) as session, session.begin():
            found = session.connection().execute(_LOCK_HEAD).first()
            if found is None:
                raise LedgerError(f"{self.name}: the audit log has no head row: restore it from a backup")
            tx, changes, said = Tx(session, at, AuditHead(*found)), Changes(), self._take_said()
            event.listen(session, "after_flush", lambda one, _: changes.note((*one.new, *one.dirty)))
            event.listen(session, "do_orm_execute", _refuse_bulk)
            try:
                for kind, group in groupby(said, lambda each: each.kind):
                    tx.audit(kind, {"said": [{"at": each.at, **each.payload} for each in group]})
                yield tx
                session.flush()
                if rows := changes.digests():
                    tx.audit(KIND, rows)
                session.flush()
            except BaseException:
                self._give_back(said)
                raise

    def say(self, kind: str, payload: Mapping[str, Any], at: datetime) -> None:
        """Keep an entry for the chain until the next transaction of this process takes it along."""
        with self._saying:
            self._said.append(_Said(kind, payload, at))

    def _take_said(self) -> list[_Said]:
        with self._saying:
            said, self._said = self._said, []
            return said

    def _give_back(self, said: list[_Said]) -> None:
        with self._saying:
            self._said = said + self._said

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only session on one snapshot."""
        self.require_file()
        with self.translated(), Session(self._reader, info=self.memory) as session:
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

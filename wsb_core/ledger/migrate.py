"""Create and migrate the ledger's tables; the scripts are found beside this file, in any installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from wsb_core.domain.errors import LedgerError

from .store import Store

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_205_733


def init(store: Store) -> None:
    """Create the ledger, with its folder when it is a file, and bring it to the newest revision."""
    if store.is_sqlite:
        Path(str(store.url.database)).resolve().parent.mkdir(parents=True, exist_ok=True)
    _require_not_newer(store)
    _to_head(store)


def upgrade(store: Store) -> None:
    """Migrate an existing ledger to the newest revision.

    Raises: LedgerError when there is no ledger.
    """
    if revision(store)[0] is None:
        raise LedgerError(f"{store.name}: there is no ledger here: run `wsb ledger init`")
    _require_not_newer(store)
    _to_head(store)


def revision(store: Store) -> tuple[str | None, str]:
    """The revision the database is at (None when it holds no ledger) and the newest there is."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory(str(SCRIPTS)).get_current_head()
    if head is None:
        raise LedgerError(f"{SCRIPTS}: no migration scripts: the installation is broken, install it again")
    if store.is_missing_file():
        return None, head
    with store.translated(), store.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None, head
        current: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return current, head


def _require_not_newer(store: Store) -> None:
    """LedgerError when a newer version of this program migrated the database; revisions are numbered."""
    current, head = revision(store)
    if current is not None and current > head:
        raise LedgerError(
            f"{store.name}: the ledger is at {current}, and {head} is the newest this version knows: "
            "install the version that wrote it"
        )


def require_current(store: Store) -> None:
    """LedgerError naming both revisions and the command, unless the database is at the newest."""
    current, head = revision(store)
    if current is None:
        raise LedgerError(f"{store.name}: there is no ledger here (newest is {head}): run `wsb ledger init`")
    _require_not_newer(store)
    if current != head:
        raise LedgerError(f"{store.name}: the ledger is at {current}, needs {head}: run `wsb ledger upgrade`")


def config(connection: Connection) -> Config:
    """Alembic's configuration over an open connection."""
    # Loaded here because only migrating needs it, and it is slow to load.
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def _to_head(store: Store) -> None:
    from alembic import command

    with store.translated(), store.writer.begin() as connection:
        if not store.is_sqlite:
            # Two processes starting at once: the second waits, and finds nothing left to do.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        command.upgrade(config(connection), "head")

"""The scripts make exactly the tables of tables.py, on both databases, and say what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from tests.postgres import postgres_url
from wsb_core.domain.errors import LedgerError
from wsb_core.ledger import Ledger, LedgerUnavailable, open_ledger
from wsb_core.ledger.tables import Base

from .build import ACCOUNT, NOON


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database in which there is nothing."""
    if request.param == "postgresql":
        with postgres_url(migrated=False) as url:
            yield url
    else:
        yield f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"


def test_the_migrated_tables_are_those_of_the_code(ledger_url: str):
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert differences == []


def test_a_missing_column_would_be_seen(ledger_url: str):
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE halts ADD COLUMN more INTEGER"))
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()

    assert [difference[0] for difference in differences] == ["remove_column"]


def test_opening_creates_nothing_and_using_says_what_to_do(empty_url: str):
    with open_ledger(empty_url) as ledger:
        current, head = ledger.revision()

        assert (current, head) == (None, "0003")
        with pytest.raises(LedgerError, match="wsb ledger init"):
            ledger.require_current()
        with pytest.raises(LedgerError, match="wsb ledger init"):
            ledger.upgrade()
        with pytest.raises(LedgerError, match="wsb ledger init"):
            ledger.halts()
        with pytest.raises(LedgerError, match="wsb ledger init"):
            ledger.set_halt("*", "pause", "drill", "me", NOON)


def test_a_missing_file_is_not_made_by_looking(tmp_path: Path):
    path = tmp_path / "none.db"
    with open_ledger(f"sqlite:///{path}") as ledger, pytest.raises(LedgerError):
        ledger.positions(ACCOUNT)

    assert not path.exists()


def test_init_makes_the_folder_and_the_tables_and_may_be_repeated(empty_url: str):
    with open_ledger(empty_url) as ledger:
        ledger.init()
        ledger.init()
        ledger.upgrade()
        ledger.require_current()

        assert ledger.revision() == ("0003", "0003")
        assert ledger.verify().ok


def test_a_ledger_of_before_keeps_its_halts_and_they_are_hard(empty_url: str):
    at_revision(empty_url, "0002")
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO halts (scope, kind, reason, set_by, at) "
                "VALUES ('*', 'pause', 'fed day', 'me', '2026-01-14T17:00:00.000000+00:00')"
            )
        )
    engine.dispose()

    with open_ledger(empty_url) as ledger:
        ledger.upgrade()
        [halt] = ledger.halts()
        ledger.set_halt("*", "pause", "another", "risk", NOON)

        assert (halt.reason, halt.by, halt.hard) == ("fed day", "me", True)
        assert len(ledger.halts()) == 2


def at_revision(url: str, revision: str) -> None:
    """A ledger as an older version of the program left it."""
    from alembic import command

    from wsb_core.ledger.migrate import config

    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    engine = create_engine(url)
    with engine.begin() as connection:
        command.upgrade(config(connection), revision)
    engine.dispose()


def test_two_that_create_at_once_both_succeed(empty_url: str):
    def create() -> bool:
        with open_ledger(empty_url) as ledger:
            ledger.init()
            return ledger.verify().ok

    with ThreadPoolExecutor(2) as pool:
        answers = [task.result() for task in [pool.submit(create) for _ in range(2)]]

    assert answers == [True, True]


def test_a_ledger_of_another_revision_names_both_and_the_command(ledger: Ledger, ledger_url: str):
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    engine.dispose()

    with pytest.raises(LedgerError, match="is at 0000, needs 0003: run `wsb ledger upgrade`"):
        ledger.require_current()


def test_a_ledger_written_by_a_newer_version_is_left_alone(ledger: Ledger, ledger_url: str):
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    for use in (ledger.require_current, ledger.init, ledger.upgrade):
        with pytest.raises(LedgerError, match="at 9999, and 0003 is the newest this version knows"):
            use()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "nonsense"])
def test_a_url_that_can_hold_no_ledger_is_refused(url: str):
    with pytest.raises(LedgerError, match="ledger url"):
        open_ledger(url)


def test_a_server_that_does_not_answer_is_a_passing_trouble_and_its_password_is_not_told():
    ledger = open_ledger("postgresql://me:secret@127.0.0.1:1/x")

    with pytest.raises(LedgerUnavailable) as told:
        ledger.halts()
    assert "secret" not in str(told.value)


def test_the_scripts_are_found_from_any_folder(tmp_path: Path):
    code = "from wsb_core.ledger import open_ledger; open_ledger('sqlite:///l.db').init()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert (tmp_path / "l.db").exists()

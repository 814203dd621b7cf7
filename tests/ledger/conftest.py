"""A migrated ledger on each database, and a desk on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.postgres import memory_folder, postgres_url
from wsb_core.domain.ids import cash
from wsb_core.ledger import Ledger, open_ledger

from .build import ACCOUNT, DAY, DIP, NOON, RUN, Desk


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated SQLite ledger, migrated once and copied for each test."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    with open_ledger(f"sqlite:///{path}") as made:
        made.init()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, migrated_file: Path) -> Iterator[str]:
    """The URL of an empty migrated ledger that nobody else uses."""
    if request.param == "postgresql":
        with postgres_url() as url:
            yield url
    else:
        # Every commit waits for the disk, as it must: memory makes that wait short.
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
            path = shutil.copy(migrated_file, Path(folder) / "ledger.db")
            yield f"sqlite:///{path}"


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A ledger with one account, one run and nothing traded."""
    with open_ledger(ledger_url) as opened:
        opened.open_account(ACCOUNT, "practice", cash("10000"), NOON)
        opened.start_run(
            RUN,
            flow="run-strategy",
            strategy=DIP,
            session=DAY,
            slot="close-25m",
            account=ACCOUNT,
            config_hash="c0ffee",
            code_version="1.0",
            at=NOON,
        )
        yield opened


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    """The desk that holds the account's lease."""
    return Desk(ledger, ledger.acquire_lease(ACCOUNT, "worker-1", NOON, timedelta(days=30)))

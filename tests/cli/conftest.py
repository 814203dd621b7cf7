"""``wsb`` in this process, in an empty folder and an environment that holds nothing of the machine's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from wsb_core.cli import app
from wsb_core.ledger import Ledger, open_ledger

Wsb = Callable[..., Result]
NOBODY = "http://127.0.0.1:9"
"""Port 9 (discard) is below those that a test or a server takes: nothing answers there."""
FOREIGN = ("ALPACA_", "SLACK_", "WSB_", "PREFECT_API_URL")


@pytest.fixture(autouse=True)
def desk_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder, so that no ``.env`` is read."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WSB_PRACTICE_URL", NOBODY)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def wsb() -> Wsb:
    """Runs ``wsb`` with these words."""

    def run(*words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=typed)

    return run


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "template.db"
    with open_ledger(f"sqlite:///{path}") as ledger:
        ledger.init()
    return path


@pytest.fixture
def ledger(migrated: Path, desk_folder: Path) -> Ledger:
    """The empty ledger that the commands find by default."""
    (desk_folder / "var").mkdir()
    shutil.copy(migrated, desk_folder / "var" / "ledger.db")
    return open_ledger(f"sqlite:///{desk_folder / 'var' / 'ledger.db'}")

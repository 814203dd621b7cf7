from __future__ import annotations

from pathlib import Path

import pytest

from wsb_core.market.history import HistoryStore


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    """An empty history store."""
    return HistoryStore(tmp_path / "history")

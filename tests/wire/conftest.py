from __future__ import annotations

from pathlib import Path

import pytest

from tests.exchange.server.conftest import url
from tests.wire.schemas import Contract

__all__ = ["url"]


@pytest.fixture(scope="session")
def contract(shared: Path) -> Contract:
    return Contract(shared / "wire" / "specs")

"""Settings that must be in force before anything is imported, and what every test may ask for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

os.environ.update(
    PREFECT_LOGGING_TO_API_ENABLED="false",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    GX_ANALYTICS_ENABLED="false",
)
# Prefect reads its settings at first import; a home of our own keeps results of one run out of the next.
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="wsb-prefect-"))

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recorded vendor bodies and market data, where they are; the test is skipped where they are not."""
    folder = Path(os.environ.get("WSB_SHARED", ROOT.parent / "shared"))
    if not (folder / "wire").is_dir():
        pytest.skip("needs the recorded vendor files (WSB_SHARED)")
    return folder

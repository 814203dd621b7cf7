"""The list of sources says what the sources themselves say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wsb_core.config import Settings
from wsb_core.domain.errors import ConfigError
from wsb_core.providers import SOURCES, open_source


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_serves_the_kinds_it_is_listed_with_and_has_their_methods(name: str) -> None:
    source = open_source(name, Settings(_env_file=None).source_access(name))  # type: ignore[call-arg]

    assert source.name == name
    assert set(source.services) == set(SOURCES[name].kinds)
    assert all(callable(getattr(source, kind)) for kind in source.services)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("alpaca", "ALPACA_API_KEY"),
        ("polygon", "MASSIVE_API_KEY"),
        ("alpha_vantage", "ALPHA_VANTAGE_API_KEY"),
    ],
)
def test_a_missing_key_is_named_by_its_variable(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("ALPACA_API_KEY", "POLYGON_API_KEY", "MASSIVE_API_KEY", "ALPHA_VANTAGE_API_KEY"):
        monkeypatch.delenv(key, raising=False)

    with pytest.raises(ConfigError, match=variable):
        Settings(mode="paper", _env_file=None).source_access(name)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize("variable", ["POLYGON_API_KEY", "MASSIVE_API_KEY"])
def test_either_name_of_the_vendor_names_its_key(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "k-123")

    access = Settings(mode="paper", _env_file=None).source_access("polygon")  # type: ignore[arg-type, call-arg]

    assert access["key"] == "k-123"


def test_listing_sources_loads_no_vendors_library() -> None:
    code = (
        "import sys, wsb_core.providers;"
        "print([m for m in ('alpaca', 'polygon', 'yfinance', 'pandas') if m in sys.modules])"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"

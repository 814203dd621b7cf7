"""Documents that list things are compared with what they list, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from pydantic import AliasChoices, SecretStr

from deployments import docs
from wsb_core import cli
from wsb_core.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODES = 83
OF_THIS_MACHINE = {"trader"}
"""Settings whose default is not the same everywhere."""


def environment_name(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"WSB_{field.upper()}"


def default_text(field: str) -> str:
    value = Settings.model_fields[field].get_default()
    if field in OF_THIS_MACHINE or value is None or isinstance(value, SecretStr):
        return ""
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def example_settings() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = (re.fullmatch(r"# ([A-Z][A-Z_]+)=(.*)", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link.split("#")[0] for link in found if not link.startswith(("http://", "https://", "#"))]


def failure_rows() -> dict[int, str]:
    text = (ROOT / "docs" / "failure-modes.md").read_text(encoding="utf-8")
    return {int(row[1]): row[2] for row in re.finditer(r"^\| (\d+) \|(.*)$", text, re.MULTILINE)}


def functions_of_the_tests() -> dict[str, set[str]]:
    return {
        str(path.relative_to(ROOT)): set(
            re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
        )
        for path in (ROOT / "tests").rglob("test_*.py")
    }


def test_the_page_of_strategies_is_what_the_registry_says():
    written = docs.TARGET.read_text(encoding="utf-8")

    assert written == docs.render(), "stale: python -m deployments.docs"


def test_the_example_names_every_setting_with_its_default():
    expected = {environment_name(field): default_text(field) for field in Settings.model_fields}

    assert example_settings() == expected


def test_the_example_can_be_used_as_it_is(monkeypatch, tmp_path):
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    active = tmp_path / ".env"
    lines = [f"{name}={value}" for name, value in example_settings().items() if value]
    active.write_text("\n".join(lines), encoding="utf-8")

    assert Settings(_env_file=active).model_dump() == Settings(_env_file=None).model_dump()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page):
    missing = [link for link in links(page) if not (page.parent / link).exists()]

    assert missing == []


def test_every_failure_mode_has_one_row_and_an_answer():
    rows = failure_rows()

    assert sorted(rows) == list(range(1, MODES + 1))
    assert [number for number, text in rows.items() if len(text) < 40] == []


def test_the_tests_that_the_failure_modes_name_exist():
    known = functions_of_the_tests()
    named = [
        (number, f"tests/{file}", name)
        for number, text in failure_rows().items()
        for file, name in re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)
    ]

    assert len(named) > MODES / 2
    assert [row for row in named if row[2] not in known.get(row[1], set())] == []


def test_a_test_that_carries_the_number_of_a_mode_is_in_its_row():
    rows = failure_rows()
    carried = [
        (int(name.split("_")[2]), name)
        for names in functions_of_the_tests().values()
        for name in names
        if re.match(r"test_fm_\d\d_", name)
    ]

    assert [(number, name) for number, name in carried if name not in rows[number]] == []


def commands(program: str) -> set[str]:
    """First words after ``program`` in the code of all pages: between backquotes, or indented."""
    pattern = rf"(?:`|^    (?:\S+=\S+ )?)(?:\.venv/bin/)?{program} ([a-z][a-z-]*)"
    return {name for page in PAGES for name in re.findall(pattern, page.read_text("utf-8"), re.MULTILINE)}


def test_every_target_of_make_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert {"demo", "test"} <= commands("make") <= targets


def test_every_command_of_wsb_that_a_page_names_exists():
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    groups = {group.name for group in cli.app.registered_groups}
    plugged = {found.name for found in entry_points(group="wsb.commands")}

    assert {"doctor", "why"} <= commands("wsb") <= known | groups | plugged


def test_the_map_shows_the_layers_that_are_enforced():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    outer, inner = (c for c in config["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

    assert f"\n{' -> '.join(outer['layers'])}\n" in page
    assert "\n".join(f"  {layer}" for layer in inner["layers"]) + "\n```" in page


def test_pictures_are_small_enough_to_load():
    pictures = list((ROOT / "docs" / "images").glob("*.png"))

    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > 300_000] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_a_key_or_a_path_of_one_machine(page):
    found = re.search(r"/(home|Users|root|tmp)/|\b[PA]K[A-Z0-9]{16,}", page.read_text(encoding="utf-8"))

    assert found is None

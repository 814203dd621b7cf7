"""``wsb demo`` says what is wrong with its options before any server starts."""

from __future__ import annotations

import socket

import pytest
import typer
from typer.testing import CliRunner

import deployments.demo


@pytest.fixture
def demo(monkeypatch, tmp_path):
    """Runs the command where starting a server fails the test."""

    def started(*args: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deployments.demo, "prefect_server", started)
    monkeypatch.setattr(deployments.demo, "practice_exchange", started)
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(deployments.demo.demo)

    def run(*options: str):
        return CliRunner().invoke(app, list(options))

    return run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "14.5.2010"), "--from must be a date as YYYY-MM-DD, not '14.5.2010'"),
        (("--from", "2010-02-30"), "--from must be a date as YYYY-MM-DD, not '2010-02-30'"),
        (
            ("--from", "2030-01-01"),
            "--from 2030-01-01 with 13 sessions is outside sp500_2010: choose from",
        ),
        (
            ("--from", "1980-01-01"),
            "--from 1980-01-01 with 13 sessions is outside sp500_2010: choose from",
        ),
        (("--from", "2010-08-01", "--sessions", "100"), "--from 2010-08-01 with 100 sessions is outside"),
        (("--universe", "russell"), "--universe 'russell' is not known; there are: sp500_2010, megacaps"),
        (("--preset", "brave"), "--preset 'brave' is not one of: default, original"),
        (("--variant", "brave"), "--variant 'brave' is not one of: classic, drawdown, scored"),
        (("--prefect-port", "65536"), "port 65536 does not exist; choose one from 1 to 65535"),
    ],
)
def test_a_wrong_option_is_one_line_with_its_name_its_value_and_what_is_allowed(
    demo, options, said, tmp_path
):
    result = demo(*options)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {said}")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--sessions", "0"), ("--sessions", "121"), ("--sessions", "x"), ("--cash", "1999")]
)
def test_a_number_out_of_range_is_refused_with_its_name(demo, option, value):
    result = demo(option, value)

    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr
    assert "Traceback" not in result.output


def test_a_port_that_somebody_listens_on_is_named(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = demo("--prefect-port", str(port))

    assert result.exit_code == 1
    assert result.stderr == f"error: port {port} is in use on 127.0.0.1; choose another one\n"

"""What is wrong is said in one line with its remedy, the code is not zero, and no stack trace is shown."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import wsb_core.config
from tests.cli.conftest import NOBODY

READERS = [("status",), ("why",), ("orders",), ("positions",), ("ledger", "verify"), ("resume", "all")]
NO_LEDGER = "sqlite:///var/ledger.db: there is no ledger here"


def said(result) -> str:
    """The error, when it is told as it should be."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    return result.stderr.removeprefix("error: ").rstrip()


@pytest.mark.parametrize("command", ["why", "orders"])
@pytest.mark.parametrize("day", ["31", "2010-02-30", "6.5.2010", ""])
def test_a_bad_session_names_the_option_the_value_and_the_form(wsb, ledger, command, day):
    result = wsb(command, "--session", day)

    assert said(result) == f"--session must be a date as YYYY-MM-DD, not {day!r}"


@pytest.mark.parametrize(
    "words",
    [
        ("why", "--strategy", "yolo"),
        ("orders", "--strategy", "yolo"),
        ("halt", "yolo", "--reason", "x"),
        ("resume", "yolo"),
    ],
    ids=lambda words: words[0],
)
def test_an_unknown_strategy_is_answered_with_those_there_are(wsb, ledger, words):
    result = wsb(*words)

    assert said(result) == "'yolo' is not a strategy; there are: wsb_dip_bot"
    assert ledger.halts() == ()


def test_a_kind_of_halt_that_is_not_offered_is_named(wsb, ledger):
    result = wsb("halt", "all", "--reason", "x", "--kind", "hold")

    assert said(result) == "--kind must be pause, reduce_only or flatten, not 'hold'"
    assert ledger.halts() == ()


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_without_a_ledger_the_command_that_makes_one_is_named(wsb, words, desk_folder):
    result = wsb(*words)

    assert said(result).startswith(NO_LEDGER)
    assert said(result).endswith("run `wsb ledger init`")
    assert list(desk_folder.iterdir()) == []


def test_upgrading_a_ledger_that_is_not_there_names_the_command_that_makes_one(wsb):
    assert said(wsb("ledger", "upgrade")) == f"{NO_LEDGER}: run `wsb ledger init`"


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_an_empty_database_is_no_ledger(wsb, words, desk_folder, monkeypatch):
    (desk_folder / "empty.db").touch()
    monkeypatch.setenv("WSB_DATABASE_URL", "sqlite:///empty.db")

    assert said(wsb(*words)).startswith("sqlite:///empty.db: there is no ledger here")


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_ledger_at_another_migration_names_both_and_the_remedy(wsb, words, ledger, desk_folder):
    newest = ledger.revision()[1]
    stamp(desk_folder / "var" / "ledger.db", "0000")

    text = said(wsb(*words))

    assert text == (
        f"sqlite:///var/ledger.db: the ledger is at 0000, needs {newest}: run `wsb ledger upgrade`"
    )


def stamp(path: Path, revision: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


@pytest.mark.parametrize("words", [("ledger", "init"), *READERS], ids=" ".join)
def test_a_file_that_is_no_database_is_named(wsb, words, desk_folder, monkeypatch):
    (desk_folder / "notes.txt").write_text("bought calls\n" * 100)
    monkeypatch.setenv("WSB_DATABASE_URL", "sqlite:///notes.txt")

    assert said(wsb(*words)) == "sqlite:///notes.txt: file is not a database"


def test_a_ledger_in_a_folder_that_cannot_be_made_is_named_with_the_setting(wsb, desk_folder, monkeypatch):
    (desk_folder / "file").touch()
    monkeypatch.setenv("WSB_DATABASE_URL", "sqlite:///file/ledger.db")

    text = said(wsb("ledger", "init"))

    assert text.startswith("WSB_DATABASE_URL='sqlite:///file/ledger.db': its folder cannot be made (")
    assert text.endswith("name another one")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("WSB_MODE", "demo", "'practice', 'paper' or 'live'"),
        ("WSB_DEADLINE_SECONDS", "soon", "a valid number"),
        ("WSB_DEADLINE_SECONDS", "61", "less than or equal to 60"),
        ("WSB_LEASE_SECONDS", "5", "greater than or equal to 60"),
        ("WSB_ACCOUNT", "", "at least 1 character"),
    ],
)
@pytest.mark.parametrize("words", [("doctor",), ("status",), ("ledger", "init")], ids=" ".join)
def test_a_bad_setting_names_the_variable_the_value_and_what_is_allowed(
    wsb, words, name, value, allowed, monkeypatch
):
    monkeypatch.setenv(name, value)

    text = said(wsb(*words))

    assert text.startswith(f"bad settings: {name}={value!r}: ")
    assert allowed in text


def test_a_ledger_address_that_cannot_be_read_is_answered_with_the_two_forms(wsb, monkeypatch):
    monkeypatch.setenv("WSB_DATABASE_URL", "ledger")

    assert said(wsb("why")).endswith("use sqlite:///file.db or postgresql://...")


def test_no_password_of_the_ledger_is_shown(wsb, monkeypatch):
    monkeypatch.setenv("WSB_DATABASE_URL", "postgresql://desk:hunter2@127.0.0.1:9/ledger")

    text = said(wsb("why"))

    assert "127.0.0.1" in text
    assert "hunter2" not in text


def test_an_account_that_no_reconciliation_has_entered_is_not_shown_as_one_that_holds_nothing(wsb, ledger):
    text = said(wsb("positions"))

    assert text == "WSB_ACCOUNT='PRACTICE' is not in the ledger: the first reconciliation enters it"


class TestStatus:
    """The ledger's part is shown whatever the broker does; what it did is said."""

    def test_an_exchange_that_does_not_run_is_said_once_with_where_the_remedy_is(self, wsb, ledger):
        result = wsb("status")

        assert result.exit_code == 0
        assert result.stdout.count("no answer") == 1
        assert "`wsb doctor` names the remedy" in " ".join(result.stdout.split())
        assert "halts: none" in result.stdout

    def test_a_missing_key_is_named(self, wsb, ledger, monkeypatch):
        monkeypatch.setenv("WSB_MODE", "paper")

        result = wsb("status")

        assert "ALPACA_API_KEY is not set; mode paper needs it" in " ".join(result.stdout.split())
        assert "Traceback" not in result.output


class TestDoctor:
    def lines(self, result) -> dict[str, tuple[str, str, str]]:
        return {
            line["name"]: (line["state"], line["detail"], line["remedy"])
            for line in json.loads(result.stdout)
        }

    def test_says_that_the_exchange_does_not_run_and_how_to_start_it(self, wsb, ledger):
        result = wsb("doctor", "--json")

        state, detail, remedy = self.lines(result)["broker"]
        assert result.exit_code == 1
        assert state == "bad"
        assert "no answer" in detail
        assert "wsb exchange serve" in remedy

    def test_says_that_there_is_no_ledger_and_how_to_make_one(self, wsb):
        state, detail, remedy = self.lines(wsb("doctor", "--json"))["ledger"]

        assert state == "bad"
        assert "there is no ledger here" in detail
        assert "wsb ledger init" in remedy

    @pytest.mark.parametrize("mode", ["paper", "live"])
    def test_names_the_key_that_the_mode_lacks(self, wsb, ledger, mode, monkeypatch):
        monkeypatch.setenv("WSB_MODE", mode)
        monkeypatch.setenv("ALPACA_API_KEY", "PK123")

        result = wsb("doctor", "--json")

        state, detail, remedy = self.lines(result)["keys"]
        assert result.exit_code == 1
        assert (state, detail[:28]) == ("bad", "ALPACA_SECRET_KEY is not set")
        assert ".env" in remedy

    def test_says_that_live_trading_is_not_armed_and_shows_no_secret(self, wsb, ledger, monkeypatch):
        monkeypatch.setattr(wsb_core.config, "LIVE_URL", NOBODY)
        monkeypatch.setattr(wsb_core.config, "DATA_URL", NOBODY)
        monkeypatch.setenv("WSB_MODE", "live")
        monkeypatch.setenv("ALPACA_API_KEY", "AK-not-to-be-shown")
        monkeypatch.setenv("ALPACA_SECRET_KEY", "S-not-to-be-shown")

        result = wsb("doctor", "--json")

        state, detail, _ = self.lines(result)["ledger"]
        assert result.exit_code == 1
        assert (state, detail) == ("bad", "live is not armed (last: None)")
        assert "not-to-be-shown" not in result.output

    @pytest.mark.parametrize("api", ["http://127.0.0.1:9/api", "nonsense"])
    def test_a_prefect_server_that_does_not_answer_is_a_bad_line(self, wsb, ledger, api, monkeypatch):
        monkeypatch.setenv("PREFECT_API_URL", api)

        state, detail, remedy = self.lines(wsb("doctor", "--json"))["prefect"]

        assert state == "bad"
        assert api in detail
        assert remedy == "prefect server start"


class TestExchange:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            (
                ("--universe", "russell"),
                "universe must be one of sp500_2010, megacaps_2004_2013, not",
            ),
            (("--start", "noon"), "--start must be an ISO 8601 time with its offset, not 'noon'"),
            (("--start", "2010-05-03T08:00:00"), "--start '2010-05-03T08:00:00' has no offset from UTC"),
        ],
    )
    def test_a_wrong_option_is_named_with_what_is_allowed(self, wsb, options, text):
        assert said(wsb("exchange", "serve", *options)).startswith(text)

    def test_a_port_in_use_is_named(self, wsb):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]

            text = said(wsb("exchange", "serve", "--port", str(port)))

        assert text.startswith(f"--port {port} on 127.0.0.1 cannot be taken: ")
        assert "in use" in text

    @pytest.mark.parametrize("port", ["-1", "65536", "x"])
    def test_a_port_that_does_not_exist_is_refused(self, wsb, port):
        result = wsb("exchange", "serve", "--port", port)

        assert result.exit_code == 2
        assert "Invalid value for '--port'" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("why", "--session", "soon"), 1, "error: --session must be a date as YYYY-MM-DD, not 'soon'\n"),
        (
            ("demo", "--universe", "russell"),
            1,
            "error: --universe 'russell' is not known; there are: ",
        ),
        (("halt", "all"), 2, "Missing option '--reason'"),
        (("yolo",), 2, "No such command 'yolo'"),
    ],
)
def test_the_program_itself_ends_with_the_line_and_the_code(words, code, text):
    done = subprocess.run(
        [sys.executable, "-m", "wsb_core.cli", *words], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

"""What the commands show and do: on an empty ledger, and on one with a session in it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.build import ACCOUNT as TRADER
from tests.ledger.build import ACME, DAY, DIP, LONG_CALL, NOON, RUN, Desk, approved
from wsb_core.domain.calendar import shift
from wsb_core.domain.ids import RunId, Underlying, cash
from wsb_core.domain.orders import Effect, OrderState
from wsb_core.exchange.server import ServerThread
from wsb_core.ledger import Decided, Ledger, migrations

EARLIER = shift(DAY, -1)
NEWEST = max(path.name[:4] for path in Path(migrations.__file__).parent.glob("versions/0*.py"))
COMMANDS = {
    *("doctor", "status", "why", "orders", "positions", "replay", "ledger", "exchange"),
    *("halt", "resume", "arm", "disarm", "drill"),
}


def lines(result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def parsed(result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Traded:
    """A ledger after two sessions: candidates of both, a call held, an order in doubt."""

    ledger: Ledger
    filled: str
    doubtful: str


def a_run(ledger: Ledger, run_id: RunId, session, decisions) -> None:
    ledger.start_run(
        run_id,
        flow="wsb_dip_bot",
        strategy=DIP,
        session=session,
        slot="close-25m",
        account=TRADER,
        config_hash="c0ffee",
        code_version="1.0",
        at=NOON,
    )
    ledger.record_decisions(
        run_id, session=session, strategy=DIP, slot="close-25m", decisions=decisions, at=NOON
    )


@pytest.fixture
def traded(ledger, monkeypatch) -> Traded:
    monkeypatch.setenv("WSB_ACCOUNT", TRADER)
    ledger.open_account(TRADER, "practice", cash("10000"), NOON)
    a_run(
        ledger,
        RunId("run-0"),
        EARLIER,
        [Decided(Underlying("OLD"), "refused", "screen", "run", "3%", ">= 10%")],
    )
    a_run(
        ledger,
        RUN,
        DAY,
        [
            Decided(Underlying("FLAT"), "refused", "screen", "dip", "-0.4%", "<= -3%", "[/dim] no dip"),
            Decided(ACME, "ordered", "orders", "filled"),
        ],
    )
    desk = Desk(ledger, ledger.acquire_lease(TRADER, "worker-1", NOON, timedelta(days=30)))
    filled = desk.trade(LONG_CALL, Effect.OPEN, 2, ["1.50"]).client_order_id
    doubtful = desk.intend(approved(LONG_CALL, slot="later")).order.client_order_id
    desk.told(doubtful, OrderState.UNKNOWN)
    ledger.finish_run(RUN, "completed", "2 candidates, 1 order", NOON)
    return Traded(ledger, filled, doubtful)


class TestLedger:
    def test_init_makes_the_folder_and_the_ledger_and_may_be_repeated(self, wsb, desk_folder):
        first, second = wsb("ledger", "init"), wsb("ledger", "init")

        assert lines(first) == lines(second) == [f"ledger ready at revision {NEWEST}"]
        assert (desk_folder / "var" / "ledger.db").is_file()

    def test_upgrade_says_where_it_was_and_is(self, wsb, ledger):
        assert lines(wsb("ledger", "upgrade")) == [f"ledger at revision {NEWEST} (was {NEWEST})"]

    def test_verify_of_an_empty_ledger_holds_together(self, wsb, ledger):
        assert lines(wsb("ledger", "verify"))[-1] == "the ledger holds together"

    def test_verify_rebuilds_cash_and_positions(self, wsb, traded):
        account, rows, verdict = lines(wsb("ledger", "verify"))

        assert account == "PA1: cash 9700, 1 positions, 1 holdings"
        assert "rows checked, chain head" in rows
        assert verdict == "the ledger holds together"

    def test_verify_of_an_edited_ledger_names_the_problem_and_fails(self, wsb, traded, desk_folder):
        with sqlite3.connect(desk_folder / "var" / "ledger.db") as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("UPDATE audit_log SET payload = replace(payload, 'worker-1', 'worker-2')")
        connection.close()

        result = wsb("ledger", "verify")

        assert result.exit_code == 1
        assert result.stderr.startswith("problem: ")
        assert result.stdout.splitlines()[-1] == "the ledger does NOT hold together"


@pytest.fixture
def exchange(monkeypatch):
    from tests.flows.stage import CASH, a_feed, ny
    from tests.flows.stage import DIP as DIP_DAY
    from wsb_core.exchange.engine import Exchange
    from wsb_core.exchange.model import Settings as ExchangeSettings

    made = Exchange(a_feed(), ny(DIP_DAY, "11:00"), ExchangeSettings(starting_cash=CASH))
    with ServerThread(made) as url:
        monkeypatch.setenv("WSB_PRACTICE_URL", url)
        yield


class TestHalts:
    @pytest.mark.parametrize(("scope", "stored"), [("all", "*"), ("wsb_dip_bot", "wsb_dip_bot")])
    def test_a_pause_holds_until_it_is_lifted(self, wsb, ledger, scope, stored):
        halted = wsb("halt", scope, "--reason", "fed day")
        [halt] = ledger.halts()
        lifted = wsb("resume", scope)

        assert lines(halted) == [
            f"halted {scope} (pause): entries stop now, exits go on; resume with: wsb resume {scope}"
        ]
        assert (halt.scope, halt.kind, halt.reason) == (stored, "pause", "fed day")
        assert lines(lifted) == [f"lifted 1 halts of {scope}"]
        assert ledger.halts() == ()

    @pytest.mark.parametrize("kind", ["reduce_only", "flatten"])
    @pytest.mark.parametrize("words", [(), ("--confirm",), ("--why", "looked"), ("--confirm", "--why", " ")])
    def test_a_hard_halt_is_not_lifted_by_half_a_word(self, wsb, ledger, kind, words):
        halted = wsb("halt", "all", "--reason", "books", "--kind", kind)

        result = wsb("resume", "all", *words)

        assert "resume with: wsb resume all --confirm --why" in halted.stdout
        assert result.exit_code == 1
        assert f"{kind} by" in result.stderr
        assert 'wsb resume all --confirm --why "..."' in result.stderr
        assert len(ledger.halts()) == 1

    def test_a_hard_halt_is_lifted_by_someone_who_looked_and_says_why(self, wsb, ledger):
        wsb("halt", "all", "--reason", "books", "--kind", "reduce_only")

        result = wsb("resume", "all", "--confirm", "--why", "the dividend explains it")

        assert lines(result) == ["lifted 1 halts of all"]
        assert ledger.halts() == ()
        assert any("the dividend explains it" in entry.payload for entry in ledger.audit_log())

    def test_flatten_says_who_closes_and_when(self, wsb, ledger):
        told = wsb("halt", "all", "--reason", "war", "--kind", "flatten").stdout

        assert "closed by the next run of manage-positions" in told

    def test_halting_and_resuming_are_told_to_the_channels(self, wsb, ledger):
        wsb("halt", "all", "--reason", "fed day")
        wsb("resume", "all")

        titles = [alert.title for alert in ledger.pending_alerts(datetime.now(UTC))]
        assert titles == ["Halted: all (pause)", "Resumed: all (pause)"]

    def test_entries_that_cannot_be_cancelled_are_said_and_the_halt_stands(self, wsb, traded, monkeypatch):
        monkeypatch.setattr("wsb_core.control.PATIENCE_SECONDS", 0.5)

        result = wsb("halt", "all", "--reason", "fed day")

        assert f"0 of 1 working entries are over; not confirmed: {traded.doubtful}" in result.stdout
        assert [halt.kind for halt in traded.ledger.halts()] == ["pause"]

    def test_resuming_one_scope_leaves_the_other_halted(self, wsb, ledger):
        wsb("halt", "all", "--reason", "fed day")

        result = wsb("resume", "wsb_dip_bot")

        assert lines(result) == ["wsb_dip_bot was not halted"]
        assert [halt.scope for halt in ledger.halts()] == ["*"]

    def test_a_user_without_a_name_can_halt_too(self, wsb, ledger, monkeypatch):
        def nameless() -> str:
            raise KeyError("getpwuid(): uid not found: 1234")

        monkeypatch.setattr("getpass.getuser", nameless)

        result = wsb("halt", "all", "--reason", "fed day")

        [halt] = ledger.halts()
        assert result.exit_code == 0
        assert halt.by == f"uid {os.getuid()}"

    def test_a_reason_is_shown_as_it_was_typed_even_where_it_looks_like_markup(self, wsb, ledger):
        wsb("halt", "all", "--reason", "[/oops] [bold]why")

        assert "[/oops] [bold]why" in wsb("status").stdout


class TestArming:
    @pytest.fixture
    def account(self, ledger) -> str:
        from wsb_core.domain.ids import AccountId

        ledger.open_account(AccountId("PRACTICE"), "practice", cash("10000"), NOON)
        return "PRACTICE"

    def test_it_takes_the_account_number_and_ends_with_its_time(self, wsb, ledger, account, exchange):
        result = wsb("arm", "--for", "8h", "--by", "ann", typed="PRACTICE\n")
        until = ledger.armed_until(account)

        assert result.exit_code == 0, result.output
        assert f"armed PRACTICE until {until:%Y-%m-%d %H:%M} UTC by ann" in result.stdout
        assert timedelta(hours=7.9) < until - datetime.now(UTC) <= timedelta(hours=8)

    def test_another_number_arms_nothing(self, wsb, ledger, account, exchange):
        result = wsb("arm", "--for", "8h", "--by", "ann", typed="PRACTISE\n")

        assert result.exit_code == 1
        assert "'PRACTISE' is not the account of WSB_ACCOUNT: nothing was armed" in result.stderr
        assert ledger.armed_until(account) is None

    def test_a_broker_that_cannot_be_asked_arms_nothing(self, wsb, ledger, account):
        result = wsb("arm", "--for", "8h", "--by", "ann", typed="PRACTICE\n")

        assert result.exit_code == 1
        assert ledger.armed_until(account) is None

    def test_keys_of_another_mode_arm_nothing(self, wsb, ledger, account, monkeypatch):
        monkeypatch.setenv("WSB_MODE", "live")
        monkeypatch.setenv("ALPACA_API_KEY", "PKPAPER")
        monkeypatch.setenv("ALPACA_SECRET_KEY", "x")

        result = wsb("arm", "--for", "8h", "--by", "ann", typed="PRACTICE\n")

        assert "mode live needs a key that starts with AK" in result.stderr
        assert ledger.armed_until(account) is None

    def test_disarming_ends_it_at_once(self, wsb, ledger, account, exchange):
        wsb("arm", "--for", "8h", "--by", "ann", typed="PRACTICE\n")

        result = wsb("disarm")

        assert lines(result)[0].startswith("disarmed PRACTICE")
        assert ledger.armed_until(account) <= datetime.now(UTC)


class TestDrill:
    @pytest.mark.parametrize(("late", "code"), [((), 0), (("wsb-1",), 1)])
    def test_it_says_how_long_the_halt_took_and_ends_with_a_verdict(self, wsb, monkeypatch, late, code):
        from wsb_core import drill
        from wsb_core.domain.halts import HaltKind

        found = drill.Drill(HaltKind.PAUSE, 4, 0.077, 8, 80, late, (), True, True)
        monkeypatch.setattr(drill, "run_drill", lambda **words: found)

        result = wsb("drill", "--kind", "pause")

        assert "from the halt to the last order stopped: 77 ms" in result.stdout
        assert result.exit_code == code


class TestOnAnEmptyLedger:
    @pytest.mark.parametrize(
        ("command", "words"), [("why", "No candidate was recorded."), ("orders", "No order was recorded.")]
    )
    def test_nothing_on_record_is_said_in_words(self, wsb, ledger, command, words):
        assert lines(wsb(command)) == [words]
        assert parsed(wsb(command, "--json")) == []

    def test_status_says_what_is_not_known(self, wsb, ledger):
        shown = wsb("status").stdout
        view = parsed(wsb("status", "--json"))

        assert "PRACTICE account PRACTICE" in shown
        assert "cash by the ledger — (no such account in the ledger)" in shown
        assert "never reconciled" in shown
        assert (view["broker"], view["cash"], view["reconciliation"]) == (None, None, None)

    def test_positions_of_an_account_that_holds_nothing(self, wsb, ledger):
        from wsb_core.domain.ids import AccountId

        ledger.open_account(AccountId("PRACTICE"), "practice", cash("10000"), NOON)

        assert lines(wsb("positions")) == ["Nothing is held."]
        assert parsed(wsb("positions", "--json")) == []


class TestOnALedgerWithASessionInIt:
    def test_why_shows_the_latest_session_with_the_rule_the_value_and_the_bound(self, wsb, traded):
        shown = wsb("why").stdout
        rows = parsed(wsb("why", "--json"))

        assert "screen: dip" in shown
        assert "[/dim] no dip" in shown
        assert "OLD" not in shown
        assert [(r["underlying"], r["outcome"], r["value"], r["bound"]) for r in rows] == [
            ("FLAT", "refused", "-0.4%", "<= -3%"),
            ("ACME", "ordered", "", ""),
        ]

    def test_why_of_an_earlier_session_shows_that_one(self, wsb, traded):
        [row] = parsed(wsb("why", "--session", EARLIER.isoformat(), "--json"))

        assert (row["underlying"], row["session"], row["rule"]) == ("OLD", EARLIER.isoformat(), "run")

    def test_a_session_with_nothing_on_record_shows_nothing(self, wsb, traded):
        assert parsed(wsb("why", "--session", shift(DAY, 1).isoformat(), "--json")) == []
        assert parsed(wsb("orders", "--session", EARLIER.isoformat(), "--json")) == []

    def test_orders_show_the_one_in_doubt_first(self, wsb, traded):
        shown = wsb("orders", "--strategy", DIP).stdout
        rows = {row["client_order_id"]: row for row in parsed(wsb("orders", "--json"))}

        assert shown.index(traded.doubtful) < shown.index(traded.filled)
        assert rows[traded.doubtful]["state"] == "unknown"
        assert (rows[traded.filled]["state"], rows[traded.filled]["filled"]) == ("filled", 2)

    def test_positions_are_shown_without_a_mark_and_with_the_reason_when_nothing_can_be_asked(
        self, wsb, traded
    ):
        shown = wsb("positions")
        [row] = parsed(wsb("positions", "--json"))

        assert shown.exit_code == 0
        assert "ACME" in shown.stdout
        assert (row["position"]["quantity"], row["mark"], row["profit"]) == (2, None, None)
        assert "no answer" in row["why"]

    def test_status_counts_what_is_held_and_what_may_work(self, wsb, traded):
        shown = wsb("status").stdout
        view = parsed(wsb("status", "--json"))

        assert "1 positions, 1 orders that work or may work" in shown
        assert "2 candidates, 1 order" in shown
        assert (view["cash"], view["positions"], view["working"]) == ("9700", 1, 1)


class TestWithTheExchangeRunning:
    def test_status_shows_what_the_broker_says(self, wsb, ledger, exchange):
        shown = wsb("status").stdout

        assert "equity $300,000.00, options buying power $300,000.00" in shown
        assert "not read" not in shown

    def test_doctor_has_no_bad_line_and_ends_well(self, wsb, ledger, exchange):
        result = wsb("doctor", "--json")

        states = {line["name"]: line["state"] for line in parsed(result)}
        assert {states[name] for name in ("mode", "keys", "ledger", "broker", "market data")} == {"good"}
        assert {name for name, state in states.items() if state == "bad"} == set()

    def test_doctor_in_words_has_a_line_for_each_probe_and_a_remedy_for_what_is_not_known(
        self, wsb, ledger, exchange
    ):
        shown = wsb("doctor").stdout

        assert "✓  ledger" in shown
        assert "market open" in shown
        assert "?  prefect      PREFECT_API_URL is not set" in shown
        assert "→ prefect server start, then set it" in shown


class TestHelp:
    def test_the_program_lists_every_command(self):
        done = subprocess.run(
            [sys.executable, "-m", "wsb_core.cli", "--help"], capture_output=True, text=True, timeout=60
        )

        listed = {line.split()[0] for line in done.stdout.split("Commands:")[1].splitlines() if line.strip()}
        assert done.returncode == 0
        assert listed == COMMANDS | {"demo"}

    def test_no_word_at_all_shows_the_help(self, wsb):
        result = wsb()

        assert "Commands:" in result.output

    @pytest.mark.parametrize("words", [("why",), ("halt",), ("resume",), ("arm",)], ids=" ".join)
    def test_a_command_that_needs_explaining_has_an_example(self, wsb, words):
        shown = " ".join(wsb(*words, "--help").stdout.split())

        assert f"Example: wsb {words[0]} " in shown

    @pytest.mark.parametrize("name", ["orders", "positions", "status", "doctor", "why"])
    def test_every_command_that_reads_offers_json(self, wsb, name):
        assert "--json" in wsb(name, "--help").stdout

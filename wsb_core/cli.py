"""``wsb``: the desk from a terminal. Thin: every command is a few calls into the library.

Commands that need the flows (``wsb demo``) are brought by the outer packages as entry points, so
that the library never imports them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from wsb_core.config import Mode, Settings, read_settings
from wsb_core.domain.errors import ConfigError, WsbError
from wsb_core.domain.ids import AccountId

app = typer.Typer(
    name="wsb",
    help="Options and equity strategies on a US brokerage account.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
ledger_app = typer.Typer(help="Create, migrate and verify the ledger.", no_args_is_help=True)
exchange_app = typer.Typer(help="The practice exchange.", no_args_is_help=True)
app.add_typer(ledger_app, name="ledger")
app.add_typer(exchange_app, name="exchange")

P = ParamSpec("P")
R = TypeVar("R")
JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
DayOption = Annotated[str | None, typer.Option("--session", help="trading day, YYYY-MM-DD; default: the latest on record")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="one strategy by name")]


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Errors of ours end the command with their message and code 1, never with a stack trace."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except WsbError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None

    return run


def parse_day(text: str | None, option: str) -> date | None:
    """A date from the command line.

    Raises: ConfigError naming the option, the value and the form.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} must be a date as YYYY-MM-DD, not {text!r}") from None


def known_strategy(name: str | None) -> str | None:
    """The name itself when it is registered.

    Raises: ConfigError naming the strategies there are.
    """
    from wsb_core.strategies import STRATEGIES

    if name is not None and name not in STRATEGIES:
        raise ConfigError(f"--strategy {name!r} is not a strategy; there are: {', '.join(STRATEGIES)}")
    return name


def _ledger(settings: Settings | None = None) -> Ledger:
    from wsb_core.ledger import open_ledger

    ledger = open_ledger((settings or read_settings()).database_url)
    ledger.require_current()
    return ledger


@app.command()
@plainly
def doctor() -> None:
    """Say, line by line, what is configured and works and what is not.

    Ends with code 1 when something that the mode needs does not work.
    """
    from wsb_core.doctor import examine

    lines = examine(read_settings())
    tables.show(tables.doctor(lines))
    raise typer.Exit(0 if all(line.ok is not False for line in lines) else 1)


@app.command()
@plainly
def status(as_json: JsonFlag = False) -> None:
    """The account at a glance: mode, equity, positions, halts, last reconciliation, last runs."""
    settings = read_settings()
    view = desk_view(_ledger(settings), AccountId(settings.account), settings.mode)
    tables.show_view(view, as_json=as_json)


@app.command()
@plainly
def why(session: DayOption = None, strategy: StrategyOption = None, as_json: JsonFlag = False) -> None:
    """Every candidate of a session and the first rule that refused it.

    Example: wsb why --session 2010-05-06 --strategy wsb_dip_bot
    """
    day = parse_day(session, "--session")
    ledger = _ledger()
    rows = ledger.decisions(day, known_strategy(strategy))
    if day is None and rows:
        latest = max(row.session for row in rows)
        rows = tuple(row for row in rows if row.session == latest)
    tables.show_decisions(rows, as_json=as_json)

"""``wsb``: the desk from a terminal. Thin: every command is a few calls into the library.

Commands that need the flows (``wsb demo``) are brought by the outer packages as entry points, so
that the library never imports them.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial, wraps
from importlib.metadata import entry_points
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from wsb_core.config import Settings, read_settings
from wsb_core.domain.errors import ConfigError, WsbError
from wsb_core.domain.ids import AccountId, Cash, StrategyName

if TYPE_CHECKING:
    from wsb_core.domain.contracts import Instrument
    from wsb_core.domain.positions import Position
    from wsb_core.domain.quotes import Quote
    from wsb_core.exchange.server.almanac import Almanac
    from wsb_core.ledger import Ledger

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
DayOption = Annotated[
    str | None, typer.Option("--session", help="trading day, YYYY-MM-DD; default: the latest on record")
]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="one strategy by name")]


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Errors of ours end the command with their message and code 1, never with a stack trace."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except WsbError as error:
            # One line, however many a database driver takes for it.
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
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


def known_strategy(name: str | None) -> StrategyName | None:
    """The name itself when it is registered.

    Raises: ConfigError naming the strategies there are.
    """
    from wsb_core.strategies import STRATEGIES

    if name is not None and name not in STRATEGIES:
        raise ConfigError(f"{name!r} is not a strategy; there are: {', '.join(STRATEGIES)}")
    return None if name is None else StrategyName(name)


def _ledger(settings: Settings) -> Ledger:
    from wsb_core.ledger import open_ledger

    ledger = open_ledger(settings.database_url)
    ledger.require_current()
    return ledger


def _show(*tables: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for table in tables:
        # A string goes out as it is: a halt's reason may hold what rich would read as markup.
        console.print(Text(table) if isinstance(table, str) else table)


def _json(value: Any) -> None:
    typer.echo(json.dumps(_plain(value), indent=2, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return dict(value) if isinstance(value, Mapping) else value


def _latest(rows: Sequence[Any], day: date | None) -> list[Any]:
    """Rows of ``day``, of the latest session on record when it is None."""
    if day is not None or not rows:
        return list(rows)
    newest = max(row.session for row in rows)
    return [row for row in rows if row.session == newest]


@app.command()
@plainly
def doctor(as_json: JsonFlag = False) -> None:
    """Say, line by line, what is configured and works and what is not.

    Ends with code 1 when something that the mode needs does not work.
    """
    from wsb_core.analytics import tables
    from wsb_core.doctor import examine

    lines = examine(read_settings(), datetime.now(UTC), os.environ.get("PREFECT_API_URL"))
    if as_json:
        _json(lines)
    else:
        _show(tables.doctor(lines))
    raise typer.Exit(1 if any(line.state == "bad" for line in lines) else 0)


@app.command()
@plainly
def status(as_json: JsonFlag = False) -> None:
    """The account at a glance: mode, equity, positions, halts, last reconciliation, last runs."""
    from wsb_core import desk
    from wsb_core.brokers import open_broker

    settings = read_settings()
    ledger, account = _ledger(settings), AccountId(settings.account)
    try:
        broker, error = open_broker(**settings.broker_access()).account(), ""
    except WsbError as failed:
        broker, error = None, str(failed)
    view = desk.status(ledger, account, settings.mode, broker, error)
    if as_json:
        _json(view)
    else:
        _show(*desk.status_lines(view))


@app.command()
@plainly
def why(session: DayOption = None, strategy: StrategyOption = None, as_json: JsonFlag = False) -> None:
    """Every candidate of a session and the first rule that refused it.

    Example: wsb why --session 2010-05-06 --strategy wsb_dip_bot
    """
    from wsb_core import desk
    from wsb_core.analytics import tables

    day = parse_day(session, "--session")
    rows = _latest(desk.decision_rows(_ledger(read_settings()), day, known_strategy(strategy)), day)
    if as_json:
        _json(rows)
    else:
        _show(tables.decisions(rows))


@app.command()
@plainly
def replay(run: Annotated[str, typer.Argument(help="a run's id, or the beginning of it")]) -> None:
    """Make a run's decision again out of its recorded inputs, and show any difference.

    Ends with code 1 when something is decided differently now. Example: wsb replay 0f3c
    """
    from wsb_core.replay import replay as decide_again

    found = decide_again(_ledger(read_settings()), run)
    for line in (*found.notes, *found.differences):
        typer.echo(line)
    typer.echo(f"{found.steps} steps: " + ("decided the same" if found.same else "decided DIFFERENTLY"))
    raise typer.Exit(0 if found.same else 1)


@app.command()
@plainly
def orders(session: DayOption = None, strategy: StrategyOption = None, as_json: JsonFlag = False) -> None:
    """Orders of a session (all of them when none is named), those in doubt first."""
    from wsb_core import desk
    from wsb_core.analytics import tables

    rows = desk.order_rows(
        _ledger(read_settings()), parse_day(session, "--session"), known_strategy(strategy)
    )
    if as_json:
        _json(rows)
    else:
        _show(tables.orders(rows))


@app.command()
@plainly
def positions(as_json: JsonFlag = False) -> None:
    """What is held, as structures, marked at the middle of the quote where there is one."""
    from wsb_core import desk
    from wsb_core.analytics import tables

    settings = read_settings()
    ledger, account = _ledger(settings), AccountId(settings.account)
    if ledger.opened_at(account) is None:
        raise ConfigError(
            f"WSB_ACCOUNT={settings.account!r} is not in the ledger: the first reconciliation enters it"
        )
    quotes, now, reason = _quotes(settings, ledger, ledger.positions(account))
    rows = desk.position_rows(ledger, account, quotes, now, reason)
    if as_json:
        _json(rows)
    else:
        _show(tables.positions(rows))


@app.command()
@plainly
def halt(
    scope: Annotated[str, typer.Argument(help="a strategy's name, or all")],
    reason: Annotated[str, typer.Option("--reason", help="why, for the record")],
    kind: Annotated[str, typer.Option("--kind", help="pause, reduce_only or flatten")] = "pause",
) -> None:
    """Stop entries, and cancel those that are working; exits go on. It holds until somebody resumes.

    A pause is lifted by `wsb resume`. After reduce_only and flatten that command wants to know why.
    Flatten closes everything in scope through the next run of manage-positions.

    Example: wsb halt all --reason "fed day"
    """
    from wsb_core.domain.halts import HaltKind

    if kind not in (HaltKind.PAUSE, HaltKind.REDUCE_ONLY, HaltKind.FLATTEN):
        raise ConfigError(f"--kind must be pause, reduce_only or flatten, not {kind!r}")
    name, settings = _scope(scope), read_settings()
    ledger = _ledger(settings)
    made = ledger.set_halt(name, kind, reason, _who(), datetime.now(UTC))
    more = " --confirm --why '...'" if made.hard else ""
    typer.echo(
        f"halted {scope} ({kind}): entries stop now, exits go on; resume with: wsb resume {scope}{more}"
    )
    _tell_of(ledger, f"halt:{made.id}", f"Halted: {scope} ({kind})", f"{made.by}: {reason}")
    if kind == HaltKind.FLATTEN:
        typer.echo(
            "what is held is closed by the next run of manage-positions, within five minutes of an open "
            "market; at once with: prefect deployment run manage-positions/manage-positions"
        )
    _stop_entries(settings, ledger, name)


@app.command()
@plainly
def resume(
    scope: Annotated[str, typer.Argument(help="a strategy's name, or all")],
    confirm: Annotated[
        bool, typer.Option("--confirm", help="you have looked at the positions and the books")
    ] = False,
    why: Annotated[str, typer.Option("--why", help="why a hard halt may be lifted, for the record")] = "",
) -> None:
    """Lift the halts of a scope. A hard one wants --confirm and --why.

    Example: wsb resume all --confirm --why "the assignment explains it"
    """
    name = _scope(scope)
    ledger = _ledger(read_settings())
    listed = [h for h in ledger.halts() if h.scope == name]
    if any(h.hard for h in listed) and not (confirm and why.strip()):
        for each in listed:
            typer.echo(f"{each.kind} by {each.by} at {each.at:%Y-%m-%d %H:%M} UTC: {each.reason}", err=True)
        raise ConfigError(
            f"{scope} is under a hard halt: look at `wsb positions` and the last reconciliation, then: "
            f'wsb resume {scope} --confirm --why "..."'
        )
    lifted = ledger.clear_halt(name, _who(), datetime.now(UTC), why=why)
    for each in listed:
        _tell_of(
            ledger, f"resumed:{each.id}", f"Resumed: {scope} ({each.kind})", f"{_who()}: {why or 'no words'}"
        )
    typer.echo(f"lifted {lifted} halts of {scope}" if lifted else f"{scope} was not halted")


@app.command()
@plainly
def arm(
    span: Annotated[str, typer.Option("--for", help="how long: 8h, 90m; at most 24h")],
    by: Annotated[str, typer.Option("--by", help="who arms it, for the record")],
) -> None:
    """Allow live orders until the time is over. Wants the account number typed in.

    Mode, host, key and account have to agree; practice and paper send without arming, and may rehearse it.

    Example: wsb arm --for 8h --by ann
    """
    from wsb_core import control
    from wsb_core.brokers import open_broker

    settings, length = read_settings(), control.parse_span(span)
    ledger, account = _ledger(settings), AccountId(settings.account)
    broker = open_broker(**settings.broker_access())
    typed = typer.prompt(f"mode {settings.mode}, {settings.broker_url}: type the account number to arm it")
    if typed.strip() != account:
        raise ConfigError(f"{typed.strip()!r} is not the account of WSB_ACCOUNT: nothing was armed")
    now = datetime.now(UTC)
    control.arm(ledger, broker, account, now + length, by, now)
    until = f"{now + length:%Y-%m-%d %H:%M} UTC"
    _tell_of(
        ledger, f"armed:{account}:{until}", f"Armed: {account} ({settings.mode})", f"By {by} until {until}"
    )
    needless = "" if settings.mode == "live" else f"; mode {settings.mode} sends without it"
    typer.echo(f"armed {account} until {until} by {by}{needless}; take it back with: wsb disarm")


@app.command()
@plainly
def disarm() -> None:
    """Take the arming back: from now on nothing is sent to a live account, exits included."""
    settings = read_settings()
    ledger, account, now = _ledger(settings), AccountId(settings.account), datetime.now(UTC)
    ledger.arm(account, now, _who(), now)
    _tell_of(ledger, f"disarmed:{account}:{now.isoformat()}", f"Disarmed: {account}", f"By {_who()}")
    typer.echo(f"disarmed {account}: nothing is sent to a live account until it is armed again")


@app.command()
@plainly
def drill(
    kind: Annotated[str, typer.Option("--kind", help="pause, reduce_only or flatten")] = "reduce_only",
    workers: Annotated[int, typer.Option(help="how many work orders at once", min=1, max=16)] = 4,
    as_json: JsonFlag = False,
) -> None:
    """Prove that a halt stops orders, and time it, on a practice exchange and a ledger of its own.

    Ends with code 1 when an order was sent after the halt, one went on working, or an exit was stopped.
    """
    from wsb_core.domain.halts import HaltKind
    from wsb_core.drill import run_drill

    if kind not in (HaltKind.PAUSE, HaltKind.REDUCE_ONLY, HaltKind.FLATTEN):
        raise ConfigError(f"--kind must be pause, reduce_only or flatten, not {kind!r}")
    held = run_drill(workers=workers, kind=HaltKind(kind))
    if as_json:
        _json(held)
    else:
        for line in held.lines:
            typer.echo(line)
    raise typer.Exit(1 if held.problems else 0)


class _WallClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _stop_entries(settings: Settings, ledger: Ledger, scope: str) -> None:
    """Cancel what the halt found working; a broker that cannot be asked is said and ends nothing."""
    from wsb_core import control
    from wsb_core.brokers import open_broker

    account = AccountId(settings.account)
    if ledger.opened_at(account) is None or not control.working_entries(ledger, account, scope):
        return
    try:
        broker = open_broker(**settings.broker_access())
        stopped = control.stop_entries(ledger, broker, _WallClock(), account, scope, control.PATIENCE_SECONDS)
    except WsbError as error:
        typer.echo(f"working entries could not be cancelled ({error}): their runs cancel them themselves")
        return
    typer.echo(stopped.text)


def _tell_of(ledger: Ledger, key: str, title: str, what: str) -> None:
    """Into the outbox: the next run of any flow posts it."""
    from wsb_core.alerts import Alert, AlertSeverity, record

    record(ledger, Alert(AlertSeverity.WARNING, title, what, "", "", datetime.now(UTC)), key=key)


@ledger_app.command("init")
@plainly
def ledger_init() -> None:
    """Create the ledger's tables."""
    from wsb_core.ledger import open_ledger

    url = read_settings().database_url
    with open_ledger(url) as ledger:
        try:
            ledger.init()
        except OSError as error:
            raise ConfigError(
                f"WSB_DATABASE_URL={url!r}: its folder cannot be made ({error.strerror}): name another one"
            ) from None
        typer.echo(f"ledger ready at revision {ledger.revision()[0]}")


@ledger_app.command("upgrade")
@plainly
def ledger_upgrade() -> None:
    """Bring the ledger's tables to this version of the program."""
    from wsb_core.ledger import open_ledger

    with open_ledger(read_settings().database_url) as ledger:
        before, _ = ledger.revision()
        ledger.upgrade()
        typer.echo(f"ledger at revision {ledger.revision()[0]} (was {before})")


@ledger_app.command("verify")
@plainly
def ledger_verify() -> None:
    """Rebuild positions and cash from fills and bookings, and check the audit chain."""
    found = _ledger(read_settings()).verify()
    for problem in found.problems:
        typer.echo(f"problem: {problem}", err=True)
    for account, cash in found.cash.items():
        typer.echo(
            f"{account}: cash {cash}, {len(found.positions)} positions, {len(found.holdings)} holdings"
        )
    typer.echo(f"{found.rows_checked} rows checked, chain head {found.head_seq} {found.head_hash[:16]}")
    typer.echo("the ledger holds together" if found.ok else "the ledger does NOT hold together")
    raise typer.Exit(0 if found.ok else 1)


@exchange_app.command("serve")
@plainly
def exchange_serve(
    universe: Annotated[str, typer.Option(help="sp500_2010 or megacaps_2004_2013")] = "sp500_2010",
    start: Annotated[
        str, typer.Option(help="simulated time to start at, ISO 8601")
    ] = "2010-05-03T08:00:00-04:00",
    cash: Annotated[int, typer.Option(min=0, help="starting cash in dollars")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="of the path that prices take inside each day")] = 7,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 for a free one")] = 8765,
) -> None:
    """Serve past sessions in the vendor's wire format, on loopback, until Ctrl-C.

    Its clock stands still until somebody moves it: POST /control/clock.
    """
    from wsb_core.exchange.engine import Exchange
    from wsb_core.exchange.feed import DailyBarFeed
    from wsb_core.exchange.model import Settings as ExchangeSettings
    from wsb_core.exchange.packages import load
    from wsb_core.exchange.server.app import run_forever

    try:
        began = datetime.fromisoformat(start)
    except ValueError:
        raise ConfigError(f"--start must be an ISO 8601 time with its offset, not {start!r}") from None
    if began.tzinfo is None:
        raise ConfigError(f"--start {start!r} has no offset from UTC: 2010-05-03T08:00:00-04:00 has one")
    exchange = Exchange(
        DailyBarFeed(load(universe), seed=seed), began, ExchangeSettings(starting_cash=Cash(Decimal(cash)))
    )
    try:
        run_forever(
            exchange,
            port=port,
            almanac=_almanac(),
            ready=lambda url: typer.echo(f"practice exchange at {url}"),
        )
    except OSError as error:
        raise ConfigError(f"--port {port} on 127.0.0.1 cannot be taken: {error.strerror or error}") from None


def _almanac() -> Almanac:
    """What the practice exchange knows of announcements: those of the demo extra, or none."""
    from wsb_core.exchange.server.almanac import Almanac
    from wsb_core.providers.packaged_earnings import packaged_dates

    try:
        dates = packaged_dates()
    except ImportError:
        return Almanac()
    return Almanac({name: tuple(rows) for name, rows in groupby(dates, lambda one: one.underlying)})


def _quotes(
    settings: Settings, ledger: Ledger, held: Sequence[Position]
) -> tuple[dict[Instrument, Quote], datetime, str]:
    """Quotes of what is held; none, and the reason, when the source cannot be asked."""
    from wsb_core.brokers import open_broker
    from wsb_core.desk import read_quotes
    from wsb_core.domain.calendar import NEW_YORK
    from wsb_core.providers import open_router

    now = datetime.now(UTC)
    try:
        now = open_broker(**settings.broker_access()).clock().now
        access = {name: partial(settings.source_access, name) for name in settings.data_sources}
        data = open_router(access, least_feed=None, book=ledger, now=lambda: now)
        return read_quotes(data, held, now.astimezone(NEW_YORK).date()), now, "no two-sided quote"
    except WsbError as error:
        return {}, now, str(error)


def _who() -> str:
    """The user for the record; a container often knows no name for its own."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _scope(scope: str) -> str:
    from wsb_core.ledger import EVERYTHING

    return EVERYTHING if scope == "all" else str(known_strategy(scope))


def _plug_in() -> None:
    """Commands of the outer packages, so that this one need not import them."""
    for found in entry_points(group="wsb.commands"):
        app.command(found.name)(found.load())


def main() -> None:
    """The program."""
    _plug_in()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Past sessions, played through the real flows against the practice exchange: ``wsb demo``.

The flows run in this process and are recorded on a Prefect server, so that each of them can be
opened in its UI; the vendor's own client talks HTTP to the exchange.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
import yaml

from deployments.servers import (
    EXCHANGE_START_SECONDS,
    PREFECT_START_SECONDS,
    free_port,
    practice_exchange,
    prefect_server,
    running,
)
from wsb_core.cli import parse_day, plainly
from wsb_core.config import Mode, Settings
from wsb_core.domain.calendar import Session, session_on, sessions_between
from wsb_core.domain.errors import ConfigError

if TYPE_CHECKING:
    from deployments.outcome import Summary
    from wsb_core.analytics.report import Report
    from wsb_core.exchange.feed import MarketHistory

FOLDER = Path("var/demo")
MOST_CAUGHT = 8
LAST_EXITS = 2
"""Sessions at the end without entries, so that what is open is closed by its own exit rule."""
LEAST_TURNOVER = 100e6
"""Dollars a day. The card asks for five times that, of today's prices and turnover."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of real past sessions in which something happens."""

    universe: str
    first: date
    sessions: int
    cash: int


WARM_UP = 125
"""Sessions of history before the first one that is played: the longest look-back of the screen."""
WINDOWS = (
    Window("sp500_2010", date(2010, 4, 16), 13, 100_000),
    Window("megacaps_2004_2013", date(2007, 7, 16), 15, 100_000),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parameters the strategy runs with."""

    preset: str
    variant: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One flow at one moment of a session."""

    flow: str
    at: datetime


def day_plan(session: Session, *, entries: bool, calendar: bool) -> tuple[Step, ...]:
    """What runs on a day of the demo, in exchange terms, so that half days are right."""
    decision = (Step("reconcile", session.before_close(28)), Step("strategy", session.before_close(24)))
    return (
        *((Step("calendar", session.after_open(-150)),) if calendar else ()),
        Step("reconcile", session.after_open(-5)),
        Step("manage", session.after_open(65)),
        Step("manage", session.before_close(175)),
        *(decision if entries else ()),
        Step("manage", session.before_close(13)),
        Step("manage", session.before_close(6)),
        Step("reconcile", session.before_close(-20)),
    )


@plainly
def demo(
    sessions: Annotated[int | None, typer.Option(help="how many sessions to play", min=1, max=120)] = None,
    start: Annotated[str | None, typer.Option("--from", help="first session, YYYY-MM-DD")] = None,
    universe: Annotated[str, typer.Option(help="sp500_2010 or megacaps_2004_2013")] = "sp500_2010",
    preset: Annotated[str, typer.Option(help="parameters of the dip bot: default or original")] = "default",
    variant: Annotated[str | None, typer.Option(help="classic, drawdown or scored")] = None,
    cash: Annotated[int | None, typer.Option(help="starting cash in dollars", min=2_000)] = None,
    seed: Annotated[int, typer.Option(help="of the path that prices take inside each day", min=0)] = 7,
    prefect_port: Annotated[
        int | None, typer.Option(help="port of the Prefect UI; default: a free one")
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="leave the servers up so that the runs can be opened")
    ] = False,
) -> None:
    """Play real past sessions through the real flows, and write var/demo/report.html.

    Needs no key and no account. Shares are replayed, option chains are modelled: it shows the
    machinery at work and says nothing of how the strategy will do.

    Examples:

      wsb demo --sessions 5

      wsb demo --universe megacaps_2004_2013 --from 2008-09-15 --sessions 15 --stay
    """
    from wsb_core.exchange.packages import load

    began = time.monotonic()
    window = _window(universe, parse_day(start, "--from"), sessions, cash)
    days, choice = _days(window), _choice(preset, variant)
    port, exchange_port = free_port(prefect_port), free_port()
    _fresh_folder()
    settings = Settings(
        mode=Mode.PRACTICE,
        account="PRACTICE",
        database_url=f"sqlite:///{FOLDER / 'ledger.db'}",
        practice_url=f"http://127.0.0.1:{exchange_port}",
        lease_seconds=3600,
        data_sources=("alpaca", "yahoo", "alpha_vantage"),
        history_dir=FOLDER / "history",
        calendar_max_age_hours=8 * 24,
        known_gaps=load(window.universe).gaps,
        sectors_file=_sectors_file(load(window.universe)),
    )
    options = [
        "--universe",
        window.universe,
        "--start",
        _before(days[0]).isoformat(),
        "--cash",
        str(window.cash),
        "--seed",
        str(seed),
    ]
    typer.echo(f"starting Prefect's server and the practice exchange ({window.universe}) ...")
    server = prefect_server((FOLDER / "prefect").resolve(), port)
    with running(server, exchange := practice_exchange(FOLDER, exchange_port, options)):
        _point_prefect_at(port)
        exchange.wait(EXCHANGE_START_SECONDS)
        server.wait(PREFECT_START_SECONDS)
        _play(settings, window, days, choice, f"http://127.0.0.1:{port}", began)
        if stay:
            typer.echo(f"Prefect's UI stays at http://127.0.0.1:{port} until Ctrl-C.")
            _wait_for_interrupt()


def _window(universe: str, first: date | None, sessions: int | None, cash: int | None) -> Window:
    known = {window.universe: window for window in WINDOWS}
    if universe not in known:
        raise ConfigError(f"--universe {universe!r} is not known; there are: {', '.join(known)}")
    base = known[universe]
    return Window(universe, first or base.first, sessions or base.sessions, cash or base.cash)


def _days(window: Window) -> list[Session]:
    from wsb_core.exchange.packages import load

    have = sorted(stamp.date() for stamp in load(window.universe).bars["session"].unique())
    # The calendar does not know days long before the data, so that they are not asked for.
    first = max(window.first, have[0])
    found = [day for day in sessions_between(first, have[-1]) if day in set(have)]
    if len(found) < window.sessions or window.first < have[WARM_UP]:
        raise ConfigError(
            f"--from {window.first} with {window.sessions} sessions is outside {window.universe}: "
            f"choose from {have[WARM_UP]} to {have[-1]}"
        )
    days = [session_on(day) for day in found[: window.sessions]]
    return [day for day in days if day is not None]


def _sectors_file(history: MarketHistory) -> Path:
    """The package's own sectors, in the form the settings take."""
    by_sector: dict[str, list[str]] = {}
    for name, sector in sorted(history.sectors.items()):
        by_sector.setdefault(sector, []).append(str(name))
    path = FOLDER / "sectors.yaml"
    path.write_text(yaml.safe_dump(by_sector))
    return path


def _choice(preset: str, variant: str | None) -> Choice:
    from wsb_core.strategies import STRATEGIES

    strategy = next(iter(STRATEGIES.values()))
    if preset not in strategy.presets:
        raise ConfigError(f"--preset {preset!r} is not one of: {', '.join(strategy.presets)}")
    variants = get_args(type(strategy.params).model_fields["variant"].annotation)
    if variant is not None and variant not in variants:
        raise ConfigError(f"--variant {variant!r} is not one of: {', '.join(variants)}")
    return Choice(preset, variant)


def _before(session: Session) -> datetime:
    return session.opens.replace(hour=6, minute=0)


def _fresh_folder() -> None:
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)


def _point_prefect_at(port: int) -> None:
    """Prefect reads its settings when it is first imported, which has to come after this."""
    os.environ.update(
        PREFECT_HOME=str((FOLDER / "prefect-client").resolve()),
        PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_UI_URL=f"http://127.0.0.1:{port}",
        PREFECT_LOGGING_LEVEL="INFO",
        PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",
    )


def _play(
    settings: Settings, window: Window, days: list[Session], choice: Choice, ui: str, began: float
) -> None:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from deployments.outcome import build_report, summarise
    from tasks.wiring import wired
    from wsb_core.analytics.page import render
    from wsb_core.exchange.client import PracticeControl
    from wsb_core.exchange.packages import load
    from wsb_core.ledger import open_ledger

    with open_ledger(settings.database_url) as ledger:
        ledger.init()
    history = load(window.universe)
    control = PracticeControl(settings.practice_url)
    # A sync flow waits up to a second for its heartbeat thread when it ends: that would be most of the demo.
    quick = temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with wired(settings) as w, quick:
        flows, parameters = _flows(history, days[0].day, choice)
        with _progress(len(days)) as bar:
            for number, day in enumerate(days, start=1):
                entries = number <= max(1, len(days) - LAST_EXITS)
                # On Mondays: one request a name and source would else be most of the demo.
                for step in day_plan(day, entries=entries, calendar=number == 1 or day.day.weekday() == 0):
                    bar.describe(f"{day.day} {step.at:%H:%M} {step.flow}")
                    control.advance_to(step.at)
                    state = flows[step.flow](f"{day.day} {step.at:%H:%M}")
                    if state.is_failed() or state.is_crashed():
                        bar.note(
                            f"{day.day} {step.at:%H:%M} {step.flow} {state.name.lower()}: {state.message}"
                        )
                bar.advance()
        summary = summarise(w, days, wall_s=time.monotonic() - began)
        title = f"Dip bot on {window.universe}, {days[0].day} to {days[-1].day}"
        report = build_report(w, history, days, title=title, ui=ui, parameters=parameters)
        _hand_in()
    (FOLDER / "report.html").write_text(render(report), encoding="utf-8")
    (FOLDER / "summary.json").write_text(json.dumps(summary.figures, indent=2) + "\n")
    _tell(summary, report, ui)


def _hand_in() -> None:
    """What Prefect holds back goes to its server now; at exit it would be tried, with the server gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all()


def _tell(summary: Summary, report: Report, ui: str) -> None:
    """The readable end: what was done, why it was not, what the checks caught, and where to look."""
    from rich.console import Console

    from wsb_core.analytics import tables

    console = Console()
    console.print(tables.summary(report))
    console.print(tables.tally(summary.outcomes))
    for line in summary.caught[:MOST_CAUGHT]:
        console.print(f"caught  {line}", style="yellow", soft_wrap=True, highlight=False)
    if len(summary.caught) > MOST_CAUGHT:
        console.print(f"caught  and {len(summary.caught) - MOST_CAUGHT} more: see the report", style="yellow")
    figures = ", ".join(f"{name} {value}" for name, value in summary.figures.items())
    console.print(figures, soft_wrap=True, highlight=False)
    console.print(f"report  {FOLDER / 'report.html'}\nruns    {ui}/runs", highlight=False)


def _most_traded(history: MarketHistory, first: date) -> list[str]:
    """Names that traded nearly enough for the strategy in the month before the first session played."""
    bars = history.bars[
        (history.bars["symbol"] != history.benchmark) & (history.bars["session"].dt.date < first)
    ]
    recent = bars[bars["session"].isin(sorted(bars["session"].unique())[-20:])]
    turnover = (recent["close"] * recent["volume"]).groupby(recent["symbol"]).mean()
    return sorted(str(name) for name in turnover.index[turnover >= 0.9 * LEAST_TURNOVER])


def _flows(history: MarketHistory, first: date, choice: Choice) -> tuple[dict[str, Any], dict[str, str]]:
    """The real flows, named after the simulated moment they run at, and the parameters that differ."""
    from flows.earnings_calendar_refresh import earnings_calendar_refresh
    from flows.manage_positions import manage_positions
    from flows.reconcile import reconcile
    from flows.run_strategy import FLOWS
    from wsb_core.strategies import STRATEGIES

    name = next(iter(STRATEGIES))
    strategy = STRATEGIES[name]
    # Chains are modelled here, so there is no history of implied volatility; and no source covers the
    # earnings of most names of 2010. Both gates are opened in plain sight: they are in the report.
    changes: dict[str, Any] = {
        "benchmark": history.benchmark,
        "min_dollar_volume": LEAST_TURNOVER,
        "allow_unknown_iv_percentile": True,
        "allow_unknown_earnings": True,
    }
    if choice.variant is not None:
        changes["variant"] = choice.variant
    params = type(strategy.params).model_validate(strategy.presets[choice.preset].model_dump() | changes)
    universe = _most_traded(history, first)

    def named(flow: Any, **arguments: Any) -> Any:
        def run(moment: str) -> Any:
            return flow.with_options(flow_run_name=moment)(**arguments, return_state=True)

        return run

    found = {
        "calendar": named(earnings_calendar_refresh, symbols=universe),
        "reconcile": named(reconcile),
        "manage": named(manage_positions),
        "strategy": named(FLOWS[name], params=params, universe=universe),
    }
    return found, {"preset": choice.preset, **{key: str(value) for key, value in changes.items()}}


class _Bar:
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def describe(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def note(self, text: str) -> None:
        self._progress.console.print(text, style="yellow", highlight=False, soft_wrap=True)

    def advance(self) -> None:
        self._progress.advance(self._task)


@contextmanager
def _progress(total: int) -> Iterator[_Bar]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        yield _Bar(progress, progress.add_task("sessions", total=total))


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("stopping")

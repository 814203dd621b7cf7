"""``python -m tests.campaign``: a campaign of injected faults over many seeds. See ``make campaign``."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.conftest import ROOT

from . import books, days, over_http, report, weakened

RECORD = ROOT / "var" / "campaign.json"
_SEEDS_A_PROCESS = 100
"""Seeds that one process runs before another takes its place: what they leave behind goes with it."""

_LINES = 50
"""How often a run whose output goes to a file says how far it is."""


def main() -> int:
    """1 when a seed fails, or when a guard is taken out and nobody notices."""
    told = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    if told.weakened:
        return _weakened(told, console)
    if told.trace:
        return _trace(told, console)
    tally = report.Tally(start=told.start, mode="over HTTP" if told.http else "in process", database=told.db)
    began = time.monotonic()
    seeds = range(told.start, told.start + told.seeds)
    with _bar(console) as bar:
        task = bar.add_task("seeds", total=len(seeds), failing=0)
        for outcome in _outcomes(seeds, told):
            tally.add(outcome)
            if outcome.failed:
                bar.console.print(f"seed {outcome.seed}: {tally.failing[outcome.seed][0]}", markup=False)
            bar.update(task, advance=1, failing=len(tally.failing))
            if not console.is_terminal and tally.seeds % max(1, told.seeds // _LINES) == 0:
                console.print(f"{tally.seeds} done, {len(tally.failing)} failing")
    tally.wall_s = time.monotonic() - began
    report.write(tally, told.out)
    report.show(tally, console)
    console.print(f"Written to {told.out}")
    return 1 if tally.failing else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--start", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--http", action="store_true", help="over HTTP, with processes killed by SIGKILL")
    parser.add_argument(
        "--db", choices=("sqlite", "postgres"), default="sqlite", help="with --http: the ledger's"
    )
    parser.add_argument("--jobs", type=int, default=1, help="in process: how many at a time (default 1)")
    parser.add_argument("--trace", action="store_true", help="run one seed and print all that happened")
    parser.add_argument("--weakened", action="store_true", help="take out one guard after the other")
    parser.add_argument("--out", type=Path, default=RECORD, help="where the record goes")
    told = parser.parse_args()
    if told.db == "postgres" and not told.http:
        parser.error("--db postgres needs --http: in process the ledger is on SQLite")
    return told


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("failing {task.fields[failing]}"), console=console, transient=True)


def _outcomes(seeds: Iterable[int], told: argparse.Namespace) -> Iterator[days.Outcome]:
    if told.http:
        # It forks processes of its own, which must not be the children of a pool.
        yield from map(partial(over_http.run_seed, database=told.db), seeds)
        return
    # Made here, so that it goes with this process and not with each of the pool's.
    books.shared_folder()
    fork = multiprocessing.get_context("fork")
    with fork.Pool(told.jobs, _begin, maxtasksperchild=_SEEDS_A_PROCESS) as pool:
        yield from pool.imap_unordered(days.run_seed, seeds)


def _begin() -> None:
    # Rows and compiled statements make young garbage that old collections look through in vain.
    gc.set_threshold(50_000, 50, 50)


def _trace(told: argparse.Namespace, console: Console) -> int:
    outcome = days.run_seed(told.start, trace=True)
    for line in outcome.trace:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for name, lines in outcome.found.lines.items():
        for line in lines:
            console.print(f"{name}: {line}", markup=False, highlight=False, soft_wrap=True)
    for text in outcome.surprises:
        console.print(text, markup=False, highlight=False)
    return 1 if outcome.failed else 0


def _weakened(told: argparse.Namespace, console: Console) -> int:
    rows = []
    for name in weakened.WEAKENED:
        rows.append(weakened.notice(name, told.start, told.seeds))
        console.print(f"{name}: seed {rows[-1].first}")
    report.show_weakened(rows, console)
    return 1 if any(row.first is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

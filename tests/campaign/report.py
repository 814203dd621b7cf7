"""What a campaign came to: the file, the tables on the screen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .days import Outcome
from .weakened import Noticed

FINDINGS = ("duplicates", "lost", "unexplained", "books_differ")
SHOWN = 10
_ORDER_PATH = (
    "record_intent",
    "mark_sending",
    "POST /orders",
    "by_client_order_id",
    "move_order",
    "DELETE /orders",
)


@dataclass
class Tally:
    """The sum over seeds. ``wall_s`` is filled in at the end."""

    start: int
    mode: str
    database: str
    seeds: int = 0
    orders: int = 0
    crashes: int = 0
    faults: int = 0
    found: Counter[str] = field(default_factory=Counter)
    failing: dict[int, list[str]] = field(default_factory=dict)
    by_step: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one seed."""
        self.seeds += 1
        self.orders += outcome.orders
        self.crashes += outcome.crashes
        self.faults += sum(outcome.faults.values())
        self.by_step += outcome.faults
        self.ends += outcome.ends
        lines = [f"{name}: {line}" for name, found in outcome.found.lines.items() for line in found]
        self.found += Counter({name: len(found) for name, found in outcome.found.lines.items()})
        lines += [f"surprise: {one}" for one in outcome.surprises]
        if lines:
            self.failing[outcome.seed] = lines

    def as_json(self) -> dict[str, Any]:
        """The record that is kept."""
        return {
            "seeds": self.seeds,
            "orders": self.orders,
            "crashes": self.crashes,
            "faults": self.faults,
            **{name: self.found[name] for name in FINDINGS},
            "failing_seeds": sorted(self.failing),
            "wall_s": round(self.wall_s, 1),
        }


def write(tally: Tally, path: Path) -> None:
    """Keep the record at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tally.as_json(), indent=1) + "\n")


def show(tally: Tally, console: Console) -> None:
    """The tables: what was found, where faults fell, and how to look at a failing seed."""
    console.print(_steps(tally))
    table = Table(title=f"Campaign, {tally.mode}, ledger on {tally.database}", title_justify="left")
    for name in ("seeds", "orders", "crashes", "faults", *FINDINGS, "failing seeds", "seconds"):
        table.add_column(name, justify="right")
    figures = (tally.seeds, tally.orders, tally.crashes, tally.faults, *(tally.found[f] for f in FINDINGS))
    table.add_row(*(f"{n:,}" for n in figures), f"{len(tally.failing):,}", f"{tally.wall_s:,.1f}")
    console.print(table)
    for seed, lines in sorted(tally.failing.items())[:SHOWN]:
        console.print(f"[red]seed {seed}[/red]: {lines[0]}", highlight=False)
        for line in lines[1:4]:
            console.print(f"    {line}", highlight=False)
    if tally.failing:
        again = min(tally.failing)
        console.print(f"Look at one: python -m tests.campaign --start {again} --seeds 1 --trace")


def _steps(tally: Tally) -> Table:
    """How often each step of the order's path was hit, and by what."""
    table = Table(title="Faults on the path of an order", title_justify="left")
    table.add_column("step")
    table.add_column("hits", justify="right")
    table.add_column("by", overflow="fold")
    steps = sorted({step for step, _ in tally.by_step if any(part in step for part in _ORDER_PATH)})
    for step in steps:
        kinds = Counter({what: n for (at, what), n in tally.by_step.items() if at == step})
        text = ", ".join(f"{what} {n}" for what, n in kinds.most_common())
        table.add_row(step, f"{sum(kinds.values()):,}", text)
    rest = sum(n for (step, _), n in tally.by_step.items() if step not in steps)
    table.add_row("reads, clock, other ledger calls", f"{rest:,}", "")
    return table


def show_weakened(rows: Sequence[Noticed], console: Console) -> None:
    """One line a guard: after how many seeds its want was noticed, and by what."""
    table = Table(title="The same seeds with one guard taken out", title_justify="left")
    for name in ("guard", "noticed after", "with the guard", "without it"):
        table.add_column(name)
    for row in rows:
        after = f"{row.seeds} seeds" if row.first is not None else f"[red]not in {row.seeds}[/red]"
        table.add_row(row.guard, after, _listed(row.with_guard.items()), _listed(row.without.items()))
    console.print(table)


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts if n) or "nothing"

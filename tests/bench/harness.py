"""How figures are measured, compared with a peer in the same process, and told."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One measured number, beside a peer's where there is one."""

    value: float
    peer: str = ""
    """Who else did the same job, or what exactly ``value`` is of."""
    peer_value: float | None = None
    """In the unit of ``value``; None when there is no peer, or it is not installed."""
    at_most: float | None = None
    at_least: float | None = None
    """Targets: for ``value``, and for how many times the peer's value it is smaller."""

    @property
    def ratio(self) -> float | None:
        return None if self.peer_value is None else self.peer_value / self.value

    @property
    def met(self) -> bool | None:
        """Whether every target that can be judged is met; None when none can."""
        judged = [] if self.at_most is None else [self.value <= self.at_most]
        if self.at_least is not None and self.ratio is not None:
            judged.append(self.ratio >= self.at_least)
        return all(judged) if judged else None


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that is measured. Smaller is better.

    ``measure`` returns its figures in ``unit``; ``warm`` is called once before, and timed: it compiles.
    """

    name: str
    unit: str
    target: str
    measure: Callable[[], Sequence[Figure]]
    warm: Callable[[], object] = lambda: None


def medians(*runs: Callable[[], object], rounds: int = 15) -> list[float]:
    """Median seconds of each of ``runs``; they take turns, so that a busy machine slows all alike.

    A turn begins with a call that is not timed, so that none pays for the memory another gave back.
    """
    taken: list[list[float]] = [[] for _ in runs]
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for run, times in zip(runs, taken, strict=True):
                run()
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
    finally:
        gc.enable()
    return [statistics.median(times) for times in taken]


def peer(module: str) -> Any:
    """The peer's module, or None when it is not installed here."""
    try:
        return import_module(module)
    except ImportError:
        return None


def run(jobs: Iterable[Job], out: Path) -> list[dict[str, Any]]:
    """Measure ``jobs`` one after the other, print a table and write ``out``; a row a figure."""
    rows: list[dict[str, Any]] = []
    for job in jobs:
        start = time.perf_counter()
        job.warm()
        print(
            f"\n{job.name}: target {job.target} (first call {time.perf_counter() - start:.2f} s)", flush=True
        )
        for figure in job.measure():
            rows.append(_row(job, figure))
            print(_line(job.unit, figure), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row["job"] for row in rows if row["met"] is False]
    print(f"\n{len(rows)} figures in {out}; targets missed: {', '.join(missed) or 'none'}")
    return rows


def _row(job: Job, figure: Figure) -> dict[str, Any]:
    return {
        "job": job.name,
        "value": figure.value,
        "unit": job.unit,
        "peer": figure.peer,
        "peer_value": figure.peer_value,
        "ratio": figure.ratio,
        "target": _target(job.unit, figure) or job.target,
        "met": figure.met,
    }


def _target(unit: str, figure: Figure) -> str:
    wanted = [] if figure.at_most is None else [f"<= {figure.at_most:g} {unit}"]
    if figure.at_least is not None:
        wanted.append(f">= {figure.at_least:g}x {figure.peer}")
    return ", ".join(wanted)


def _line(unit: str, figure: Figure) -> str:
    told = f"{figure.peer:32} "
    if figure.peer_value is not None:
        told += f"{figure.peer_value:>11.5g} {unit}, {figure.ratio:.4g}x"
    elif figure.at_least is not None:
        told += "absent: not installed here"
    verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
    return f"  {figure.value:>11.5g} {unit:14} {told:62} {_target(unit, figure):38} {verdict}".rstrip()

"""Measure what the project promises to be fast, beside its peers, in this process.

examples:
  python -m tests.bench                        everything (a few minutes)
  python -m tests.bench --only european        the jobs whose name has the word
  python -m tests.bench --only options         all jobs of a subject
  python -m tests.bench --list                 names and targets, nothing is run
  make bench ONLY=options

A peer that is not installed is named as absent. Other work on the machine slows both sides: trust ratios
more than times. Rows are written to var/bench.json: job, value, unit, peer, peer_value, ratio, target, met.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from . import MODULES
from .harness import Job, run

OUT = Path(__file__).resolve().parents[2] / "var" / "bench.json"


def jobs(only: str = "") -> list[Job]:
    """Every registered job of which its own name, or its module's, contains ``only``."""
    found = [(module, job) for module in MODULES for job in import_module(f"{__package__}.{module}").JOBS]
    return [job for module, job in found if only.lower() in f"{module}: {job.name}".lower()]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", metavar="WORD", help="only jobs whose name or subject has WORD")
    parser.add_argument("--list", action="store_true", help="name the jobs and their targets, run nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="where the rows go (default: %(default)s)")
    asked = parser.parse_args(argv)
    chosen = jobs(asked.only)
    if not chosen:
        parser.error(f"no job is called {asked.only!r}; there are: {', '.join(job.name for job in jobs())}")
    if asked.list:
        print("\n".join(f"{job.name:44} {job.target}" for job in chosen))
    else:
        run(chosen, asked.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

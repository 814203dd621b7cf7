"""The drill as a task: what it found is an artifact of the run."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact

from tasks.retry import ONCE
from wsb_core.drill import Drill, run_drill


@task(**ONCE)
def hold_drill(workers: int) -> Drill:
    """One drill; touches nothing of the installation."""
    held = run_drill(workers=workers)
    create_markdown_artifact(
        "\n".join(f"- {line}" for line in held.lines), key="drill", description="does a halt hold?"
    )
    return held

"""Write ``prefect.yaml`` from the catalog: ``python -m deployments.render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deployments.catalog import TIMEZONE, WORK_POOL, Deployment, catalog

TARGET = Path(__file__).resolve().parent.parent / "prefect.yaml"
HEADER = "# Written by `python -m deployments.render` from deployments/catalog.py: edit that, not this.\n"


def render() -> str:
    """The text of ``prefect.yaml``. ``WSB_ROOT`` must be set when it is deployed: the checkout's path."""
    document = {
        "name": "wallstreetbots",
        "prefect-version": "3.8.8",
        "build": None,
        "push": None,
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $WSB_ROOT }}"}}],
        "deployments": [_entry(deployment) for deployment in catalog()],
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=110)


def _entry(deployment: Deployment) -> dict[str, Any]:
    alone = {"concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"}}
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": list(deployment.tags),
        "parameters": dict(deployment.parameters),
        "enforce_parameter_schema": True,
        "schedules": [
            {"slug": schedule.slug, "cron": schedule.cron, "timezone": TIMEZONE, "active": True}
            for schedule in deployment.schedules
        ],
        **(alone if deployment.alone else {}),
        "work_pool": {"name": WORK_POOL, "work_queue_name": "default"},
    }


def main() -> None:
    """Write the file."""
    TARGET.write_text(render())


if __name__ == "__main__":
    main()

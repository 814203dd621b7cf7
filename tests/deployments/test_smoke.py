"""The deployments on a real Prefect server: deployed, scheduled, and one of them run by a real worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from deployments.catalog import WORK_POOL, catalog
from deployments.servers import PREFECT_START_SECONDS, Server, free_port, prefect_server, running
from tests.flows.stage import ACCOUNT, CASH, DIP, a_feed, ny, sqlite_url
from wsb_core.exchange.engine import Exchange
from wsb_core.exchange.model import Settings as ExchangeSettings
from wsb_core.exchange.server import ServerThread
from wsb_core.ledger import open_ledger

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CRON_DEPLOYMENTS = {each.name for each in catalog() if each.schedules}
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Prefect:
    """A Prefect server with every deployment on it, and how to talk to it."""

    api: str
    env: dict[str, str]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET without a body, POST with one."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.api}{path}", data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def command(self, *words: str) -> str:
        """Output of a ``prefect`` command that ended well."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *words],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture(scope="module")
def ledger_url(home) -> str:
    url = sqlite_url(home)
    with open_ledger(url) as ledger:
        ledger.init()
    return url


@pytest.fixture(scope="module")
def prefect(home) -> Iterator[Prefect]:
    port = free_port()
    server = prefect_server(home / "server", port)
    with running(server):
        server.wait(PREFECT_START_SECONDS)
        api = f"http://127.0.0.1:{port}/api"
        env = {
            **os.environ,
            "PREFECT_HOME": str(home / "client"),
            "PREFECT_API_URL": api,
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "WSB_ROOT": str(ROOT),
        }
        found = Prefect(api, env)
        found.command("work-pool", "create", WORK_POOL, "--type", "process", "--overwrite")
        found.command("--no-prompt", "deploy", "--all")
        yield found


@pytest.fixture
def worker(prefect, ledger_url, home) -> Iterator[Server]:
    """A worker whose runs trade on a practice exchange of the made market."""
    exchange = Exchange(a_feed(), ny(DIP, "09:26"), ExchangeSettings(starting_cash=CASH))
    with ServerThread(exchange) as url:
        health = free_port()
        env = {
            **prefect.env,
            "WSB_MODE": "practice",
            "WSB_ACCOUNT": ACCOUNT,
            "WSB_PRACTICE_URL": url,
            "WSB_DATABASE_URL": ledger_url,
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(health),
        }
        command = [sys.executable, "-m", "prefect", "worker", "start"]
        command += ["--pool", WORK_POOL, "--name", "smoke", "--with-healthcheck"]
        process = Server("worker", command, f"http://127.0.0.1:{health}/health", home / "worker.log", env)
        with running(process):
            process.wait(60)
            yield process


def until(ready: Callable[[], Any], seconds: float) -> Any:
    """What ``ready`` returns as soon as it is true; its last answer when time is up."""
    deadline = time.monotonic() + seconds
    while not (found := ready()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def deployed(prefect: Prefect) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in prefect.ask("/deployments/filter", {"limit": 100})}


def test_every_deployment_of_the_catalog_is_on_the_server_with_its_schedules(prefect):
    found = deployed(prefect)

    assert set(found) == {each.name for each in catalog()}
    for each in catalog():
        made = found[each.name]
        crons = {schedule["schedule"]["cron"] for schedule in made["schedules"] if schedule["active"]}
        assert crons == {schedule.cron for schedule in each.schedules}
        assert made["work_pool_name"] == WORK_POOL
        limited = (made["concurrency_options"] or {}).get("collision_strategy")
        assert limited == ("CANCEL_NEW" if each.alone else None)
        assert made["pull_steps"][0]["prefect.deployments.steps.set_working_directory"]["directory"] == str(
            ROOT
        )


def test_the_scheduler_makes_runs_for_every_deployment_with_a_cron_line(prefect):
    """With a SQLAlchemy that Prefect cannot use everything else works and no schedule ever makes a run."""
    names = {each["id"]: each["name"] for each in deployed(prefect).values()}

    def scheduled() -> set[str]:
        runs = prefect.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        return {names[run["deployment_id"]] for run in runs if run["auto_scheduled"]}

    until(lambda: scheduled() == CRON_DEPLOYMENTS, 60)

    assert scheduled() == CRON_DEPLOYMENTS


def test_a_worker_runs_the_reconciliation_and_the_ledger_knows(prefect, worker, ledger_url):
    deployment = prefect.ask("/deployments/name/reconcile/reconcile")
    run = prefect.ask(f"/deployments/{deployment['id']}/create_flow_run", {})

    def finished() -> dict[str, Any] | None:
        state = prefect.ask(f"/flow_runs/{run['id']}")["state"]
        return state if state["type"] in FINAL else None

    state = until(finished, 90)

    with open_ledger(ledger_url) as ledger:
        books = ledger.last_reconciliation(ACCOUNT)
        [recorded] = ledger.runs(flow="reconcile")
    assert (state or {}).get("type") == "COMPLETED", (state, worker.log.read_text()[-3000:])
    assert books is not None
    assert books.clean
    assert recorded.run_id == run["id"]

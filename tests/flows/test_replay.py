"""A run's decision made again from what it recorded: the same, until code or a recorded number changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

import wsb_core.strategies
from tests.flows.stage import DIP, DIP_BOT, Stage
from wsb_core.cli import app
from wsb_core.decision import decide
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import RunId
from wsb_core.inputs import _json, _read, pack, unpack
from wsb_core.replay import replay

pytestmark = pytest.mark.prefect


def decided(stage: Stage) -> RunId:
    """A run of the dip bot that sent its order."""
    stage.ready().decide()
    return next(run.run_id for run in stage.ledger.runs(DIP) if run.strategy == DIP_BOT)


def exchange_blob(stage: Stage, run: RunId, name: str, change: Callable[[Any], None]) -> None:
    """Point the run at other recorded bytes, behind the ledger's back."""
    told = _read(stage.ledger.inputs(run), name)
    change(told)
    data = _json(told)
    digest = hashlib.sha256(data).hexdigest()
    engine = create_engine(stage.settings.database_url)
    with engine.begin() as connection:
        at = {"digest": digest, "data": data, "run": run, "name": name}
        connection.execute(text("INSERT INTO blobs VALUES (:digest, :data, '2012-05-16T00:00:00+00:00')"), at)
        connection.execute(
            text("UPDATE run_inputs SET digest = :digest WHERE run_id = :run AND name = :name"), at
        )
    engine.dispose()


def dearer(told: list[dict[str, Any]]) -> None:
    for market in told:
        for row in market["chain"]["quotes"]:
            for side in ("bid", "ask"):
                if row["quote"][side] is not None:
                    row["quote"][side]["v"] = str(float(row["quote"][side]["v"]) + 0.5)


def test_a_recorded_run_is_decided_the_same_again_and_what_was_changed_since_shows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = decided(stage)
    monkeypatch.setenv("WSB_DATABASE_URL", stage.settings.database_url)
    same = CliRunner().invoke(app, ["replay", run[:13]])
    whole = replay(stage.ledger, run)
    strategy = wsb_core.strategies.STRATEGIES[DIP_BOT]
    timid = replace(strategy, propose=lambda *_: ())
    with monkeypatch.context() as patch:
        patch.setattr(wsb_core.strategies, "STRATEGIES", {DIP_BOT: timid})
        other_code = replay(stage.ledger, run)
    exchange_blob(stage, run, "markets", dearer)
    other_price = replay(stage.ledger, run)
    seen = CliRunner().invoke(app, ["replay", run])

    assert (same.exit_code, "decided the same" in same.output) == (0, True)
    assert (whole.same, whole.steps >= 3) == (True, True)
    assert [line[:2] for line in other_code.differences] == ["- ", "- "]
    assert any("approved AAPL" in line for line in other_code.differences)
    assert any("proposed AAPL: " in line and "limit" in line for line in other_price.differences)
    assert (seen.exit_code, "decided DIFFERENTLY" in seen.output) == (1, True)
    assert any("run_inputs" in problem for problem in stage.ledger.verify().problems)


def test_inputs_pack_the_same_again_and_what_was_changed_in_place_or_never_kept_is_not_replayed(
    stage: Stage,
) -> None:
    run = decided(stage)
    strategy = wsb_core.strategies.STRATEGIES[DIP_BOT]
    reports = [found.report for found in stage.ledger.checks(DIP) if found.run_id == run]
    stored = stage.ledger.inputs(run)
    inputs = unpack(stored, strategy, reports)
    again = pack(inputs, decide(inputs, strategy))
    exchange_blob(stage, run, "strategy", lambda told: told["params"].update(preset="unheard", colour="red"))
    other_params = replay(stage.ledger, run)
    engine = create_engine(stage.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE blobs SET data = x'00'"))
    engine.dispose()

    assert again == stored
    assert ["colour" in line for line in other_params.differences] == [True]
    with pytest.raises(LedgerError, match="was changed since it was recorded"):
        replay(stage.ledger, run)
    stage.reconcile()
    reconciled = stage.ledger.runs(flow="reconcile")[0].run_id
    assert stage.ledger.inputs(reconciled) == {}

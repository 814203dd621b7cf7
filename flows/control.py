"""Halting and resuming from the Prefect UI: the parameters are the form."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.manage_positions import manage_positions
from tasks.approve import NOBODY, Release, ask_person
from tasks.halts import halts_on, lift_halts, scope_of, set_halt
from tasks.notify import alert_failure
from wsb_core.control import ALL
from wsb_core.domain.halts import HaltKind
from wsb_core.strategies import STRATEGIES

# mypy wants the members of an enum written out; these are the registry's.
Scope = StrEnum("Scope", {name: name for name in (ALL, *STRATEGIES)})  # type: ignore[misc]
"""Everything, or one strategy."""
EVERY = Scope(ALL)


class Stop(StrEnum):
    """The halts that a person sets."""

    PAUSE = HaltKind.PAUSE.value
    REDUCE_ONLY = HaltKind.REDUCE_ONLY.value
    FLATTEN = HaltKind.FLATTEN.value


ANSWER_SECONDS = 3600


@flow(name="halt", timeout_seconds=1200, on_failure=[alert_failure], on_crashed=[alert_failure])
def halt(reason: str, by: str, scope: Scope = EVERY, kind: Stop = Stop.PAUSE) -> State[Any]:
    """Stop entries and cancel those that are working; exits go on. ``flatten`` closes what is held, now."""
    told = set_halt(scope_of(scope), HaltKind(kind), reason, by)
    if kind is Stop.FLATTEN:
        closed = manage_positions(return_state=True)
        told = f"{told}; exits: {closed.name}, {closed.message}"
    return Completed(message=told)


@flow(
    name="resume",
    timeout_seconds=ANSWER_SECONDS + 300,
    on_failure=[alert_failure],
    on_crashed=[alert_failure],
)
def resume(by: str, why: str = "", scope: Scope = EVERY) -> State[Any]:
    """Lift the halts of a scope. A hard one pauses this run and asks a person, whatever was typed before."""
    found = halts_on(scope_of(scope))
    if not any(one.hard for one in found):
        return Completed(message=lift_halts(scope_of(scope), by, why))
    listed = "\n".join(
        f"- {one.kind} by {one.by} at {one.at:%Y-%m-%d %H:%M} UTC: {one.reason}" for one in found
    )
    no = Release(looked=False, who=NOBODY, why="no answer in time")
    answer = ask_person(Release, f"Hard halt of {scope}:\n\n{listed}", ANSWER_SECONDS, "release", no)
    if not answer.looked:
        return Completed(name="Kept", message=f"the halt stays: {answer.who} has not looked at the positions")
    return Completed(message=lift_halts(scope_of(scope), answer.who, answer.why))

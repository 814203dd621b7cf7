"""A run's decision made again out of what it was made on, and what is different."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from wsb_core.domain.errors import ConfigError
from wsb_core.ledger import Ledger, Run

from .decision import Line, decide
from .inputs import code_digests, recorded_code, recorded_decision, unpack


@dataclass(frozen=True, slots=True)
class Replayed:
    """``differences`` are lines for a person, empty when the decision is the same; ``notes`` say of what."""

    run: Run
    steps: int
    notes: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differences


def replay(ledger: Ledger, name: str) -> Replayed:
    """Decide once more what the run called ``name`` (its id, or the beginning of it) decided.

    Raises: ConfigError when there is no such run, or several; LedgerError when its inputs are not
    recorded or were changed.
    """
    from wsb_core.strategies import STRATEGIES

    run = _find(ledger, name)
    if run.strategy is None or run.strategy not in STRATEGIES:
        raise ConfigError(
            f"run {run.run_id} ({run.flow}) decided for no strategy of this version: {run.strategy}"
        )
    stored = ledger.inputs(run.run_id)
    then = recorded_decision(stored)
    reports = [found.report for found in ledger.checks(run.session) if found.run_id == run.run_id]
    strategy = STRATEGIES[run.strategy]
    notes = (
        f"{run.flow} of {run.session}, {run.slot}, begun {run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        *_code(stored),
    )
    try:
        now = decide(unpack(stored, strategy, reports), strategy)
    except ValidationError as error:
        first = error.errors()[0]
        told = f"parameter {'.'.join(map(str, first['loc']))}: {first['msg']}: not one of this version's"
        return Replayed(run, len(then), notes, (told,))
    return Replayed(run, len(then), notes, tuple(_differences(then, now)))


def _find(ledger: Ledger, name: str) -> Run:
    found = [run for run in ledger.runs() if run.run_id.startswith(name)]
    exact = [run for run in found if run.run_id == name]
    if len(exact or found) != 1:
        what = f"{len(found)} runs begin with it" if found else "there is no such run"
        raise ConfigError(f"run {name!r}: {what}; name one of `wsb why --json`")
    return (exact or found)[0]


def _code(stored: Mapping[str, bytes]) -> Iterator[str]:
    then, now = recorded_code(stored), code_digests()
    changed = sorted(room for room in {*then, *now} if then.get(room) != now.get(room))
    if changed:
        yield f"the code changed since: {', '.join(changed)}"


def _differences(then: Sequence[Line], now: Sequence[Line]) -> Iterator[str]:
    """A line for each step that is new, gone, or has other numbers."""
    before, after = _by_key(then), _by_key(now)
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        what = " ".join(part for part in key if part)
        if old is None and new is not None:
            yield f"+ {what}: now, and not then ({_told(new)})"
        elif new is None and old is not None:
            yield f"- {what}: then, and not now ({_told(old)})"
        elif old is not None and new is not None and old != new:
            fields = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            changed = "; ".join(f"{name} {old.get(name, '-')} -> {new.get(name, '-')}" for name in fields)
            yield f"~ {what}: {changed}"


def _by_key(lines: Iterable[Line]) -> dict[tuple[str, str, str], Line]:
    """By what is decided of what; a step that comes twice is told apart by its number."""
    found: dict[tuple[str, str, str], Line] = {}
    for line in lines:
        key, again = (line["what"], line["underlying"], ""), 1
        while key in found:
            again += 1
            key = (key[0], key[1], f"({again})")
        found[key] = line
    return found


def _told(line: Line) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in line.items() if name not in ("what", "underlying") and value
    )

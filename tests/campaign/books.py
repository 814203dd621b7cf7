"""The real ledger on a file of its own, every call and every commit a step at which a process may end."""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.postgres import memory_folder
from wsb_core.ledger import Ledger, LedgerUnavailable, open_ledger, store
from wsb_core.ledger.store import Store, Tx

from .world import World

_make_engine = store._engine
_NO_STEPS = frozenset({"close", "init", "upgrade", "revision", "require_current"})


@lru_cache(maxsize=4)
def _engine(url: Any) -> Any:
    """One engine for all the processes that a ledger's file sees; they share no connection at a time."""
    return _make_engine(url)


class WatchedStore(Store):
    """A store whose transactions can be cut off just before they are committed."""

    def __init__(self, url: str, world: World) -> None:
        # Statements compiled for one engine are good for every other, but are kept with it.
        with patch.object(store, "_engine", _engine):
            super().__init__(url)
        self.world = world
        self.doing = ""

    @contextmanager
    def write(self, at: datetime) -> Iterator[Tx]:
        with super().write(at) as tx:
            yield tx
            self.world.step(f"{self.doing} in transaction")


class WatchedLedger(Ledger):
    """Tells the world before and after each call; the world may end the process, or fail the call."""

    def __init__(self, url: str, world: World) -> None:
        self.store = WatchedStore(url, world)
        super().__init__(self.store)


def _watched(name: str) -> Callable[..., Any]:
    method = getattr(Ledger, name)

    @wraps(method)
    def call(self: WatchedLedger, *args: Any, **named: Any) -> Any:
        world = self.store.world
        world.step(f"{name} before")
        if world.database_fails(f"{name} before"):
            raise LedgerUnavailable("the database did not answer")
        self.store.doing = name
        told = method(self, *args, **named)
        if name == "acquire_lease" and world.current is not None:
            world.current.leased_until = told.expires_at
        if world.trace is not None:
            world.say(f"ledger {name} -> {told!r:.200}")
        world.step(f"{name} after")
        if world.database_fails(f"{name} after"):
            # The commit may have happened: the connection broke before its answer.
            raise LedgerUnavailable("the connection broke")
        return told

    return call


for _name, _ in inspect.getmembers(Ledger, inspect.isfunction):
    if not _name.startswith("_") and _name not in _NO_STEPS:
        setattr(WatchedLedger, _name, _watched(_name))


@lru_cache(maxsize=1)
def shared_folder() -> Path:
    """The folder of a campaign; it goes with the process that asked for it first, not with its children."""
    made = tempfile.TemporaryDirectory(prefix="wsb-campaign-", dir=memory_folder())
    _KEPT.append(made)
    with open_ledger(f"sqlite:///{made.name}/template.db") as ledger:
        ledger.init()
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@contextmanager
def an_empty_ledger() -> Iterator[str]:
    """The URL of a migrated ledger that nobody else uses; one at a time in a process."""
    folder = shared_folder() / str(os.getpid())
    folder.mkdir(exist_ok=True)
    url = f"sqlite:///{folder}/ledger.db"
    shutil.copy(shared_folder() / "template.db", folder / "ledger.db")
    try:
        yield url
    finally:
        _engine(store._checked(url)).dispose()
        for path in folder.glob("ledger.db*"):
            path.unlink()

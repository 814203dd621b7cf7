"""A writer may be killed anywhere, two may write at once, and a damaged file is named and lived with."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest

from wsb_core.domain.errors import DataQualityError, Transient
from wsb_core.market.history import HistoryStore, Whole
from wsb_core.market.history import store as module
from wsb_core.market.history.files import commit, load_manifest

from .history import FIRST, LAST, LATER, MONDAY, MUCH_LATER, TUESDAY, some_bars, some_rows

OLD = some_bars({"AAPL": (1.0, 2.0)}, first=date(2023, 12, 28))
NEW = some_bars({"AAPL": (1.0, 2.5, 3.0, 4.0)}, first=date(2023, 12, 28))
"""A correction in the first of two files, and rows for a second."""


class Killed(BaseException):
    """Nothing may catch it: the process is gone."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Every call that changes the disk is counted, and the one at ``step`` happens half or not at all."""
    done: list[str] = []
    patch = pytest.MonkeyPatch()

    def dying(name: str, real: Any, half: Any = None) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            if len(done) >= step:
                if half is not None and len(done) == step:
                    half(*given)
                done.append("killed")
                raise Killed
            done.append(name)
            return real(*given, **more)

        return call

    real_open = Path.open

    class Torn:
        def __init__(self, handle: Any) -> None:
            self._handle = handle
            self.write = dying(
                "write", handle.write, lambda content: handle.write(content[: len(content) // 2])
            )

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

        def __enter__(self) -> Torn:
            return self

        def __exit__(self, *gone: object) -> None:
            self._handle.close()

    beginning = dying("open", lambda path, mode: Torn(real_open(path, mode)))

    def opening(path: Path, mode: str = "r", *given: Any, **more: Any) -> Any:
        return beginning(path, mode) if "w" in mode else real_open(path, mode, *given, **more)

    patch.setattr(Path, "open", opening)
    patch.setattr(Path, "replace", dying("rename", Path.replace))
    patch.setattr(Path, "unlink", dying("unlink", Path.unlink))
    patch.setattr(Path, "mkdir", dying("mkdir", Path.mkdir))
    patch.setattr(os, "fsync", dying("fsync", os.fsync))
    try:
        yield done
    finally:
        patch.undo()


def closes(store: HistoryStore) -> list[float]:
    return list(store.read("daily", ("AAPL",), date(2023, 1, 1), LAST, MUCH_LATER)["close"])


def test_a_writer_killed_at_any_point_leaves_the_store_before_or_after_its_write(tmp_path: Path):
    """Every point there is, on an empty store and on one with rows; then the same write again, whole."""
    seen: dict[str, set[tuple[float, ...]]] = {"empty": set(), "written": set()}
    HistoryStore(tmp_path / "written").write("daily", OLD, LATER)
    points = 0
    for start in seen:
        for step in range(1000):
            store = HistoryStore(tmp_path / f"{start}-{step}")
            if (tmp_path / start).exists():
                copytree(tmp_path / start, tmp_path / f"{start}-{step}")
            with killed_at(step) as done:
                try:
                    store.write("daily", NEW, MUCH_LATER)
                except Killed:
                    points += 1
            left = tuple(closes(store))
            flaws = store.verify()
            store.write("daily", NEW, MUCH_LATER)

            seen[start].add(left)
            assert flaws == (), (start, step, done)
            assert closes(store) == list(NEW["close"]), (start, step, done)
            assert store.verify() == ()
            if "killed" not in done:
                break

    assert seen == {"empty": {(), tuple(NEW["close"])}, "written": {(1.0, 2.0), tuple(NEW["close"])}}
    assert points > 40


def test_a_file_is_flushed_before_its_name_and_named_before_the_manifest_names_it(store: HistoryStore):
    store.write("daily", OLD, LATER)

    with killed_at(10**6) as done:
        store.write("daily", OLD.assign(close=9.0), MUCH_LATER)

    one_file = ["open", "write", "fsync", "rename", "fsync"]
    assert done == [*one_file, *one_file]


def test_what_a_killed_writer_left_is_swept_by_the_next_write(store: HistoryStore, tmp_path: Path):
    store.write("daily", OLD, LATER)
    left = tmp_path / "history" / "daily" / "2023" / "00000002-0123456789abcdef.parquet.new"
    left.write_bytes(b"half a fi")

    store.write("daily", NEW, MUCH_LATER)

    assert not left.exists()


WRITER = """
import sys
from datetime import timedelta
from tests.market.history import LATER, some_bars
from wsb_core.market.history import HistoryStore

store, symbol = HistoryStore(sys.argv[1]), sys.argv[2]
for close in range(1, 10_000):
    store.write("daily", some_bars({symbol: [float(close)]}), LATER + timedelta(minutes=close))
    print(close, flush=True)
"""


@pytest.mark.parametrize("after", [3, 7])
def test_a_process_that_is_killed_leaves_every_write_it_was_told_of(tmp_path: Path, after: int):
    store = HistoryStore(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), "AAPL"], stdout=subprocess.PIPE, text=True
    )
    told = 0
    try:
        while told < after:
            told = int(writer.stdout.readline())
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    told = int([str(told), *writer.stdout.read().split()][-1])
    store.write("daily", some_bars({"MSFT": [5.0]}), MUCH_LATER)

    [close] = store.read("daily", ("AAPL",), FIRST, LAST, MUCH_LATER)["close"]
    assert close >= told
    assert store.verify() == ()


def test_writers_at_once_lose_nothing(tmp_path: Path):
    """Each its own store object on the same folder, all into one file; a reader sees whole rows meanwhile."""
    sessions = [some_bars({name: [1.0, 2.0, 3.0, 4.0]}) for name in ("A", "B", "C", "D")]
    start, over = threading.Barrier(5), threading.Event()

    def write(frame: pd.DataFrame) -> int:
        store = HistoryStore(tmp_path)
        start.wait()
        return sum(store.write("daily", frame.iloc[[row]], LATER) for row in range(len(frame)))

    def read() -> list[int]:
        store, seen = HistoryStore(tmp_path), []
        start.wait()
        while not over.is_set():
            seen.append(len(store.read("daily", ("A", "B", "C", "D"), FIRST, LAST, LATER)))
        return seen

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        added = list(pool.map(write, sessions))
        over.set()
        seen = reader.result()

    store = HistoryStore(tmp_path)
    assert added == [4, 4, 4, 4]
    assert len(store.read("daily", ("A", "B", "C", "D"), FIRST, LAST, LATER)) == 16
    assert seen == sorted(seen)
    assert store.verify() == ()


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.replace("10_000", "8"), str(tmp_path), name],
            stdout=subprocess.DEVNULL,
        )
        for name in ("AAPL", "MSFT")
    ]
    codes = [writer.wait() for writer in writers]

    found = HistoryStore(tmp_path).read("daily", ("AAPL", "MSFT"), FIRST, LAST, MUCH_LATER)
    assert codes == [0, 0]
    assert list(found["close"]) == [7.0, 7.0]


def test_a_writer_that_waits_too_long_says_who_it_waits_for(store: HistoryStore, tmp_path: Path):
    store.write("daily", OLD, LATER)
    with (tmp_path / "history" / "daily" / ".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Transient, match=r"another writer has held it for 0.05 s; try later"):
            HistoryStore(tmp_path / "history", lock_seconds=0.05).write("daily", NEW, MUCH_LATER)

    assert store.write("daily", NEW, MUCH_LATER) == 3


def test_a_reader_of_the_files_before_is_not_disturbed_by_the_writes_after(store: HistoryStore):
    """The manifest a reader holds may be two writes old when it opens its files: it begins again."""
    store.write("daily", OLD, LATER)
    real = module.load_part

    with pytest.MonkeyPatch.context() as patch:

        def overtaken(folder: Path, part: Any) -> Any:
            patch.undo()
            for step in (1, 2):
                corrected = OLD.assign(close=float(step))
                store.write("daily", corrected, MUCH_LATER + timedelta(days=step))
            return real(folder, part)

        patch.setattr(module, "load_part", overtaken)
        found = store.read("daily", ("AAPL",), date(2023, 1, 1), LAST, MUCH_LATER)

    assert list(found["close"]) == [1.0, 2.0]


# Damage.


def parts(tmp_path: Path, table: str = "daily") -> list[Path]:
    return sorted((tmp_path / "history" / table).glob("*/*.parquet"))


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_remove(path: Path) -> None:
    path.unlink()


DAMAGES = [
    (damage_flip, "does not have the checksum it was written with"),
    (damage_tear, r"has \d+ bytes, not \d+"),
    (damage_remove, "is named by the manifest and is not there"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGES)
def test_a_damaged_file_is_named_with_the_remedy_and_never_read(
    store: HistoryStore, tmp_path: Path, damage: Any, what: str
):
    store.write("daily", NEW, LATER)
    path = parts(tmp_path)[0]
    damage(path)
    remedy = rf"{path} {what}; call HistoryStore.rebuild\('daily'\), then write partition 2023 again"

    with pytest.raises(DataQualityError, match=remedy):
        closes(store)
    with pytest.raises(DataQualityError, match=remedy):
        store.write("daily", NEW.assign(close=9.0), MUCH_LATER)
    [line] = store.verify()

    assert str(path) in line
    # The other year's file is as good as before.
    assert len(store.read("daily", ("AAPL",), FIRST, LAST, LATER)) == 2


@pytest.mark.parametrize(("damage", "what"), DAMAGES)
def test_a_rebuilt_table_has_all_but_the_damaged_partition_and_takes_it_again(
    store: HistoryStore, tmp_path: Path, damage: Any, what: str
):
    store.write("daily", NEW, LATER)
    damage(parts(tmp_path)[0])

    lost = store.rebuild("daily")

    assert lost == ("2023",)
    assert closes(store) == [3.0, 4.0]
    assert store.verify() == ()
    assert store.write("daily", NEW, LATER) == 2
    assert closes(store) == list(NEW["close"])
    assert store.rebuild("daily") == ()


def test_a_rebuilt_table_falls_back_to_the_file_before(store: HistoryStore, tmp_path: Path):
    store.write("daily", OLD, LATER)
    store.write("daily", OLD.assign(close=9.0), MUCH_LATER)
    damage_flip(parts(tmp_path)[-1])

    lost = store.rebuild("daily")

    assert lost == ("2023",)
    assert closes(store) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (damage_flip, "does not have its own checksum|is not text"),
        (damage_tear, "does not have its own checksum"),
        (damage_remove, "is missing beside its files"),
    ],
)
def test_a_damaged_manifest_is_named_and_made_again_from_the_files(
    store: HistoryStore, tmp_path: Path, damage: Any, what: str
):
    store.write("daily", OLD, LATER)
    store.write("daily", NEW, MUCH_LATER)
    manifest = tmp_path / "history" / "daily" / "manifest.json"
    damage(manifest)

    with pytest.raises(DataQualityError, match=rf"{manifest} ({what}); call HistoryStore.rebuild\('daily'\)"):
        closes(store)
    [line] = store.verify()
    lost = store.rebuild("daily")

    assert str(manifest) in line
    assert lost == ()
    assert closes(store) == list(NEW["close"])
    assert store.write("daily", NEW, MUCH_LATER) == 0


def test_after_rows_are_lost_no_answer_counts_as_whole(store: HistoryStore, tmp_path: Path):
    """What was there and is lost must not be taken for nothing announced."""
    announced = some_rows(("symbol", "day", "time"), ("AAPL", TUESDAY, "unknown"))
    whole = Whole(("AAPL",), MONDAY, LAST, "test")
    store.write("earnings", announced, LATER, whole=whole)
    store.write("dividends", some_rows(("symbol", "ex_date", "amount")), LATER, whole=whole)
    damage_flip(parts(tmp_path, "earnings")[0])

    store.rebuild("earnings")

    assert store.covered("earnings", "AAPL") == ()
    assert store.covered("dividends", "AAPL") == ((MONDAY, LAST),)
    assert store.verify() == ()


def test_a_file_in_the_place_of_another_is_found(store: HistoryStore, tmp_path: Path):
    """Whole in itself, and not what the manifest says: only reading all of it tells."""
    store.write("daily", NEW, LATER)
    folder = tmp_path / "history" / "daily"
    manifest = load_manifest(folder)
    swapped = dict(zip(manifest.parts, reversed(manifest.parts.values()), strict=True))
    commit(folder, replace(manifest, parts=swapped))

    assert [line.split("; ")[0].split("parquet ")[1] for line in store.verify()] == [
        "does not hold what its place in the manifest says"
    ] * 2


def test_sessions_written_one_by_one_leave_two_files_a_partition_at_most(store: HistoryStore, tmp_path: Path):
    for close in range(1, 7):
        store.write("daily", some_bars({"AAPL": [float(close)]}), LATER + timedelta(days=close))

    assert len(parts(tmp_path)) == 2

"""Files that are whole or not there: parts that never change, and a manifest that names them.

A part is written beside its place, flushed, and renamed; the manifest that names it follows in the same
way. A writer that dies leaves at worst a part that nobody names, and the next write sweeps it away.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from wsb_core.domain.errors import DataQualityError, Transient

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = 1
_MANIFEST = "manifest.json"
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Part:
    """One file, relative to its table's folder. ``first`` and ``last`` are the days of its rows."""

    file: str
    rows: int
    size: int
    sha256: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which file holds which partition. ``superseded`` files are kept for readers of the manifest before."""

    generation: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()

    def following(self, changed: Mapping[str, Part]) -> Manifest:
        """The next manifest, with ``changed`` partitions in the place of the present ones."""
        replaced = tuple(self.parts[name].file for name in changed if name in self.parts)
        return Manifest(self.generation + 1, {**self.parts, **changed}, replaced)


@contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Be the only writer of ``folder``; the lock goes with the process, however it ends.

    Raises: Transient when another writer held it for ``seconds``.
    """
    _make_folder(folder)
    path = folder / ".lock"
    deadline = time.monotonic() + seconds
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    held = f"{path}: another writer has held it for {seconds:g} s; try later"
                    raise Transient(held) from None
                time.sleep(_POLL_SECONDS)
        if not (folder / _MANIFEST).exists() and not any(folder.glob("**/*.parquet")):
            # A first writer that dies must not leave files without a manifest: that looks like a lost one.
            commit(folder, Manifest())
        yield


def load_manifest(folder: Path) -> Manifest:
    """The manifest in force; an empty one where nothing was ever written.

    Raises: DataQualityError when the file is not what was written.
    """
    path = folder / _MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if folder.is_dir() and any(folder.glob("**/*.parquet")) and not path.exists():
            raise damaged(folder, _MANIFEST, "is missing beside its files") from None
        return load_manifest(folder) if path.exists() else Manifest()
    except UnicodeDecodeError:
        raise damaged(folder, _MANIFEST, "is not text") from None
    body, _, digest = text.rpartition("\n")
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise damaged(folder, _MANIFEST, "does not have its own checksum")
    told = json.loads(body)
    if told["format"] != _FORMAT:
        raise damaged(folder, _MANIFEST, f"has format {told['format']}, not {_FORMAT}")
    days = ("first", "last")
    parts = {
        name: Part(**{**part, **{day: date.fromisoformat(part[day]) for day in days}})
        for name, part in told["parts"].items()
    }
    return Manifest(told["generation"], parts, tuple(told["superseded"]))


def commit(folder: Path, manifest: Manifest) -> None:
    """Make ``manifest`` the one in force. Call under the lock."""
    told = {"format": _FORMAT, **asdict(manifest)}
    body = json.dumps(told, default=date.isoformat, sort_keys=True)
    _put(folder / _MANIFEST, f"{body}\n{hashlib.sha256(body.encode()).hexdigest()}".encode())


def save_part(folder: Path, partition: str, generation: int, rows: pa.Table, days: tuple[date, date]) -> Part:
    """Write ``rows`` as a new file. It counts only once a committed manifest names it."""
    # Imported late, here and below: pyarrow and pandas take longer than most commands do.
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", use_dictionary=text)
    content = sink.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    file = f"{partition}/{generation:08d}-{digest[:16]}.parquet"
    _put(folder / file, content)
    return Part(file, rows.num_rows, len(content), digest, *days)


def load_part(folder: Path, part: Part) -> pa.Table:
    """The rows of a file, every byte of it as it was written.

    Raises: DataQualityError naming the file and the remedy.
    """
    try:
        content = (folder / part.file).read_bytes()
    except FileNotFoundError:
        raise damaged(folder, part.file, "is named by the manifest and is not there") from None
    if len(content) != part.size:
        raise damaged(folder, part.file, f"has {len(content)} bytes, not {part.size}")
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise damaged(folder, part.file, "does not have the checksum it was written with")
    return rows_in(content)


def rows_in(content: bytes) -> pa.Table:
    """The rows of a file that is known to be whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(content))


def sweep(folder: Path, manifest: Manifest, partitions: Mapping[str, Part]) -> None:
    """Remove files of ``partitions`` that neither ``manifest`` nor the one before names. Under the lock."""
    for name in partitions:
        for path in leftovers(folder, manifest, name):
            path.unlink(missing_ok=True)


def leftovers(folder: Path, manifest: Manifest, partition: str) -> tuple[Path, ...]:
    """What superseded and killed writes have left in a partition's folder."""
    named = {part.file for part in manifest.parts.values()} | set(manifest.superseded)
    found = sorted((folder / partition).glob("*.parquet*"))
    return tuple(
        path for path in found if str(path.relative_to(folder)) not in named and path.suffix != ".damaged"
    )


def undamaged(folder: Path, named: Collection[str]) -> dict[str, tuple[Path, bytes]]:
    """The undamaged file of every partition, by the checksum in its name: a ``named`` one, else the newest.

    Damaged ones are set aside with ``.damaged`` behind their names.
    """
    found: dict[str, tuple[Path, bytes]] = {}

    def worth(path: Path) -> tuple[bool, str]:
        return str(path.relative_to(folder)) in named, path.name

    for path in sorted(folder.glob("**/*.parquet"), key=worth):
        content = path.read_bytes()
        if path.stem.partition("-")[2] == hashlib.sha256(content).hexdigest()[:16]:
            found[str(path.parent.relative_to(folder))] = (path, content)
        else:
            path.rename(path.with_name(f"{path.name}.damaged"))
    return found


def _put(path: Path, content: bytes) -> None:
    """The file whole under its name, and durable, or not at all."""
    _make_folder(path.parent)
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)
    _flush_folder(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """A rename is durable only when its folder is; on Linux a folder is opened like a file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def damaged(folder: Path, file: str, what: str) -> DataQualityError:
    """The error that names a file, what is wrong with it, and the remedy."""
    rows = "its rows" if file == _MANIFEST else f"partition {Path(file).parent}"
    return DataQualityError(
        f"{folder / file} {what}; call HistoryStore.rebuild({folder.name!r}), "
        f"then write {rows} again from the source"
    )

"""What is to be done when a file is not as it was written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from wsb_core.domain.errors import DataQualityError

from .files import (
    Manifest,
    Part,
    commit,
    damaged,
    load_manifest,
    load_part,
    locked,
    rows_in,
    save_part,
    undamaged,
)
from .frames import schema_of, span_of
from .schema import COVERAGE, Table
from .versions import by_partition, unsorted_or_repeated

if TYPE_CHECKING:
    import pyarrow as pa


def flaws(store: Path, kind: Table) -> list[str]:
    """One line for each file of a table that is not as it was written."""
    folder = store / kind.name
    try:
        manifest = load_manifest(folder)
    except DataQualityError as error:
        return [str(error)]
    found = []
    for name, part in manifest.parts.items():
        try:
            rows = load_part(folder, part)
            if not _as_written(kind, name, part, rows):
                raise damaged(folder, part.file, "does not hold what its place in the manifest says")
        except DataQualityError as error:
            if load_manifest(folder).generation != manifest.generation:
                return flaws(store, kind)
            found.append(str(error))
    return found


def rebuilt(store: Path, kind: Table, lock_seconds: float) -> tuple[str, ...]:
    """As ``HistoryStore.rebuild``."""
    folder = store / kind.name
    with locked(folder, lock_seconds):
        try:
            before: Manifest | None = load_manifest(folder)
        except DataQualityError:
            before = None
        named = {} if before is None else before.parts
        found = undamaged(folder, {part.file for part in named.values()})
        parts = {name: _part_of(kind, folder, *file) for name, file in found.items()}
        lost = sorted(name for name, part in named.items() if parts.get(name) != part)
        if (lost or before is None) and kind is not COVERAGE:
            _forget_claims(store, kind, lock_seconds)
        generations = [int(path.name.partition("-")[0]) for path, _ in found.values()]
        newest = max([*generations, 0 if before is None else before.generation], default=0)
        commit(folder, Manifest(newest + 1, parts))
    return tuple(lost)


def _forget_claims(store: Path, kind: Table, lock_seconds: float) -> None:
    """Take the table's whole answers out of the coverage: what was answered is not here any more."""
    import pyarrow.compute as pc

    folder = store / COVERAGE.name
    with locked(folder, lock_seconds):
        manifest = load_manifest(folder)
        generation = manifest.generation + 1
        parts = dict(manifest.parts)
        for name, part in manifest.parts.items():
            rows = load_part(folder, part)
            kept = rows.filter(pc.not_equal(rows["of"], kind.name))
            if not len(kept):
                del parts[name]
            elif len(kept) < len(rows):
                parts[name] = save_part(folder, name, generation, kept, span_of(COVERAGE, kept))
        replaced = tuple(part.file for part in manifest.parts.values())
        commit(folder, Manifest(generation, parts, replaced))


def _part_of(kind: Table, folder: Path, path: Path, content: bytes) -> Part:
    rows = rows_in(content)
    digest = hashlib.sha256(content).hexdigest()
    return Part(str(path.relative_to(folder)), len(rows), len(content), digest, *span_of(kind, rows))


def _as_written(kind: Table, name: str, part: Part, rows: pa.Table) -> bool:
    return bool(
        len(rows) == part.rows
        and rows.schema.equals(schema_of(kind))
        and span_of(kind, rows) == (part.first, part.last)
        and by_partition(kind, rows).keys() == {name}
        and not unsorted_or_repeated(kind, rows)
    )

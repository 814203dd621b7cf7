"""The hash-chained audit log: a row changed, removed, reordered or cut off is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .types import canonical

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the log; ``payload`` is canonical JSON text."""

    seq: int
    at: datetime
    kind: str
    payload: str
    prev_hash: str
    hash: str


def digest(prev_hash: str, seq: int, at: datetime, kind: str, payload: str) -> str:
    """sha256 over the previous hash and the whole row, so that no column can be changed alone."""
    body = canonical({"at": at, "kind": kind, "payload": payload, "seq": seq})
    return hashlib.sha256((prev_hash + body).encode()).hexdigest()


def link(prev_seq: int, prev_hash: str, at: datetime, kind: str, payload: Mapping[str, Any]) -> AuditEntry:
    """The entry that follows the one with ``prev_seq`` and ``prev_hash``."""
    text = canonical(payload)
    seq = prev_seq + 1
    return AuditEntry(seq, at, kind, text, prev_hash, digest(prev_hash, seq, at, kind, text))


def chain_problems(entries: Iterable[AuditEntry], head_seq: int, head_hash: str) -> tuple[str, ...]:
    """What is wrong with ``entries`` (ascending) ending at the stored head; empty when it is intact.

    A log cut off together with its head is consistent in itself: only a head kept elsewhere shows it.
    """
    problems: list[str] = []
    seq, last = 0, GENESIS
    for entry in entries:
        if entry.seq != seq + 1:
            problems.append(f"audit row {seq + 1} is missing: row {entry.seq} follows row {seq}")
        if entry.prev_hash != last:
            problems.append(f"audit row {entry.seq} does not follow the row before it")
        if digest(entry.prev_hash, entry.seq, entry.at, entry.kind, entry.payload) != entry.hash:
            problems.append(f"audit row {entry.seq} ({entry.kind}) was changed")
        seq, last = entry.seq, entry.hash
    if (seq, last) != (head_seq, head_hash):
        problems.append(f"the audit log ends at row {seq}, its head says row {head_seq}")
    return tuple(problems)

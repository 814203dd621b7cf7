"""The verdict of a data check, and the proof that lets data through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .errors import DataQualityError


class Severity(StrEnum):
    CRITICAL = "critical"
    """Stops the run, or quarantines the ticker when the expectation is judged per ticker."""
    WARNING = "warning"
    """Shown, stored, and lets the data through."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one expectation said. ``examples`` are offending rows, a few, as plain values."""

    expectation: str
    passed: bool
    severity: Severity
    observed: str
    bad_rows: int | None = None
    examples: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A ticker taken out of the run, and the first expectation it failed."""

    ticker: str
    expectation: str
    detail: str


_SEAL = object()


@dataclass(frozen=True, slots=True)
class Passed:
    """Proof that ``suite`` passed on exactly the frame with this ``digest``.

    Only ``CheckReport.proof`` makes one: that is what keeps unchecked data from becoming a
    ``Market``, and an order from being reached without one.
    """

    suite: str
    digest: str
    checked_at: datetime
    rows: int
    _seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("Passed is made by CheckReport.proof() alone")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One suite's verdict on one frame, whole."""

    suite: str
    digest: str
    checked_at: datetime
    rows: int
    findings: tuple[Finding, ...]
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Critical expectations that did not hold."""
        return tuple(f for f in self.findings if not f.passed and f.severity is Severity.CRITICAL)

    @property
    def passed(self) -> bool:
        return bool(self.findings) and not self.failures

    def proof(self) -> Passed:
        """The proof that this frame passed.

        Raises: DataQualityError naming every failed expectation, or when nothing was expected.
        """
        if not self.findings:
            raise DataQualityError(f"{self.suite}: no expectation was evaluated, so nothing is proved")
        if self.failures:
            text = "; ".join(f"{f.expectation} ({f.observed})" for f in self.failures)
            raise DataQualityError(f"{self.suite}: {len(self.failures)} failed: {text}")
        return Passed(self.suite, self.digest, self.checked_at, self.rows, _SEAL)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.builders import AS_OF, DIP_BOT, SESSION, a_key
from wsb_core.domain.orders import ApprovedOrder, Proposal, Refusal
from wsb_core.domain.positions import Book
from wsb_core.risk import RiskLimits, review
from wsb_core.strategies import STRATEGIES
from wsb_core.universes import sectors

Reviewed = tuple[tuple[ApprovedOrder, ...], tuple[Refusal, ...]]


@pytest.fixture(scope="session")
def reviewed() -> Callable[..., Reviewed]:
    """The review of some proposals of the dip bot in a book, with any argument replaced."""

    def run(proposals: Sequence[Proposal], book: Book, **more: Any) -> Reviewed:
        given = {
            "strategy": STRATEGIES[DIP_BOT],
            "limits": RiskLimits(),
            "key_for": a_key,
            "sectors": sectors(),
            "session": SESSION,
            "at": AS_OF,
        }
        return review(proposals, book, **{**given, **more})

    return run

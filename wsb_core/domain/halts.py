"""What a halt does, and what it covers."""

from __future__ import annotations

from enum import StrEnum

EVERYTHING = "*"
"""The halt scope that covers every strategy."""


class HaltKind(StrEnum):
    """Every kind stops entries; exits go on under all but ``hold``."""

    PAUSE = "pause"
    """Entries stop; what is held is kept until its own exit rules close it."""
    REDUCE_ONLY = "reduce_only"
    """The same gate, set where something has to be looked at: hard unless its setter says otherwise."""
    FLATTEN = "flatten"
    """The position manager closes everything in scope through the ordinary exit path. Hard."""
    HOLD = "hold"
    """The broker cannot be reached: nothing is sent, exits included, until it answers again."""

    @property
    def hard(self) -> bool:
        """Whether a person has to lift it, unless its setter says otherwise."""
        return self in (HaltKind.REDUCE_ONLY, HaltKind.FLATTEN)

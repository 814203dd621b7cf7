"""Instruments, legs and structures to JSON documents and back, with nothing lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Settlement, Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.orders import Action, Effect, OrderLeg
from wsb_core.domain.structures import Structure, StructureLeg

Json = Mapping[str, Any]


def pack_instrument(instrument: Instrument) -> Json:
    """Every field of the instrument; the OCC symbol alone would lose an adjusted multiplier."""
    if isinstance(instrument, Share):
        return {"underlying": instrument.underlying}
    return {
        "root": instrument.root,
        "expiry": instrument.expiry.isoformat(),
        "right": instrument.right.value,
        "strike": f"{instrument.strike:f}",
        "underlying": instrument.underlying,
        "multiplier": instrument.multiplier,
        "style": instrument.style.value,
        "settlement": instrument.settlement.value,
        "standard": instrument.standard,
    }


def unpack_instrument(document: Json) -> Instrument:
    underlying = Underlying(document["underlying"])
    if "root" not in document:
        return Share(underlying)
    return OptionContract(
        root=document["root"],
        expiry=date.fromisoformat(document["expiry"]),
        right=Right(document["right"]),
        strike=Decimal(document["strike"]),
        underlying=underlying,
        multiplier=document["multiplier"],
        style=ExerciseStyle(document["style"]),
        settlement=Settlement(document["settlement"]),
        standard=document["standard"],
    )


def pack_structure(structure: Structure) -> Sequence[Json]:
    return [{"instrument": pack_instrument(leg.instrument), "ratio": leg.ratio} for leg in structure.legs]


def unpack_structure(document: Sequence[Json]) -> Structure:
    return Structure(
        tuple(StructureLeg(unpack_instrument(leg["instrument"]), leg["ratio"]) for leg in document)
    )


def pack_legs(legs: Sequence[OrderLeg]) -> Sequence[Json]:
    return [
        {"instrument": pack_instrument(leg.instrument), "action": leg.action.value, "ratio": leg.ratio}
        for leg in legs
    ]


def unpack_legs(document: Sequence[Json]) -> tuple[OrderLeg, ...]:
    return tuple(
        OrderLeg(unpack_instrument(leg["instrument"]), Action(leg["action"]), leg["ratio"])
        for leg in document
    )


@lru_cache(maxsize=1 << 16)
def read_instrument(text: str) -> Instrument:
    """The instrument of a stored document; its few hundred are read a hundred times each."""
    return unpack_instrument(json.loads(text))


@lru_cache(maxsize=1 << 15)
def read_structure(legs: str, effect: str | None) -> Structure:
    """The structure that stored order legs open or close.

    Raises: ValueError when they are none.
    """
    return structure_of(unpack_legs(json.loads(legs)), None if effect is None else Effect(effect))


def structure_of(legs: Sequence[OrderLeg], effect: Effect | None) -> Structure:
    """The structure that ``legs`` open, or close."""
    sign = 1 if effect is Effect.OPEN else -1
    return Structure(
        tuple(
            StructureLeg(leg.instrument, sign * (leg.ratio if leg.action.is_buy else -leg.ratio))
            for leg in legs
        )
    )

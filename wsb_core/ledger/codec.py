"""Instruments, legs and structures to JSON documents and back, with nothing lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from wsb_core.domain.contracts import ExerciseStyle, Instrument, OptionContract, Right, Settlement, Share
from wsb_core.domain.ids import Underlying
from wsb_core.domain.orders import Action, OrderLeg
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

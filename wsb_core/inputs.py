"""The inputs of a decision to bytes and back, exact: what a run decided on is kept for a replay.

Values of the domain become JSON that names their class, frames their plain numbers; all of it is
compressed. Nothing that is read back can run: only the classes listed here are made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsb_core.domain import contracts, events, orders, positions, quotes, structures
from wsb_core.domain.checks import CheckReport, Passed
from wsb_core.domain.errors import LedgerError
from wsb_core.domain.ids import StrategyName, Underlying
from wsb_core.domain.quotes import Market
from wsb_core.domain.strategy import AnyStrategy, Panel
from wsb_core.market.snapshot import build_market

from .decision import Inputs, Line, Setting

if TYPE_CHECKING:
    import pandas as pd

_CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        contracts.Share,
        contracts.OptionContract,
        contracts.Right,
        contracts.ExerciseStyle,
        contracts.Settlement,
        events.Announcement,
        events.ReportTime,
        orders.OrderState,
        positions.AccountState,
        positions.Book,
        positions.OpenOrder,
        positions.Position,
        quotes.Chain,
        quotes.Events,
        quotes.FeedClass,
        quotes.OptionQuote,
        quotes.Provenance,
        quotes.Quote,
        structures.Structure,
        structures.StructureLeg,
        Setting,
    )
}
_PRICES = ("open", "high", "low", "close", "volume")


def pack(inputs: Inputs, decision: Iterable[Line]) -> Mapping[str, bytes]:
    """Bytes by name; the same inputs give the same bytes."""
    setting = inputs.setting
    found = {
        "strategy": _json({"name": inputs.strategy, "params": inputs.params.model_dump(mode="json")}),
        "setting": _json(_plain(setting)),
        "book": _json(_plain(inputs.book)),
        "markets": _json([_market(market) for market in inputs.markets]),
        "panel": _frames({name: getattr(inputs.panel, name) for name in _PRICES}),
        "decision": _json([dict(line) for line in decision]),
        "code": _json(code_digests()),
    }
    if inputs.panel.benchmark is not None:
        found["benchmark"] = _frames({"level": inputs.panel.benchmark.to_frame("level")})
    return found


def unpack(stored: Mapping[str, bytes], strategy: AnyStrategy, reports: Iterable[CheckReport]) -> Inputs:
    """The inputs again. ``reports`` are the run's data checks: only they prove its markets.

    Raises: LedgerError when something is missing or cannot be read by this version of the program;
    ValueError (pydantic's) when the parameters are none of this version's strategy.
    """
    told = _read(stored, "strategy")
    frames = _read_frames(_need(stored, "panel"))
    benchmark = _read_frames(stored["benchmark"])["level"]["level"] if "benchmark" in stored else None
    panel = Panel(benchmark=benchmark, **{name: frames[name] for name in _PRICES})
    setting: Setting = _value(_read(stored, "setting"))
    proofs = {_proof_key(report): report for report in reports}
    return Inputs(
        setting=setting,
        strategy=StrategyName(told["name"]),
        params=type(strategy.params).model_validate(told["params"]),
        panel=panel,
        markets=tuple(_market_of(one, panel, setting.session, proofs) for one in _read(stored, "markets")),
        book=_value(_read(stored, "book")),
    )


def recorded_decision(stored: Mapping[str, bytes]) -> tuple[Line, ...]:
    """What was decided then."""
    return tuple(_read(stored, "decision"))


def recorded_code(stored: Mapping[str, bytes]) -> Mapping[str, str]:
    """Digests of the program's parts that decided then."""
    found: Mapping[str, str] = _read(stored, "code")
    return found


@cache
def code_digests() -> Mapping[str, str]:
    """Digest of every package that has a part in a decision, as this process runs it."""
    root = Path(__file__).parent
    rooms = ("domain", "strategies", "risk", "execution", "pricing", "market", "indicators.py", "decision.py")
    return {room: _digest_of(root / room) for room in rooms}


def _digest_of(path: Path) -> str:
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path.parent)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


# --- values ---


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is Decimal:
        return {"=": "Decimal", "v": str(value)}
    if kind is datetime or kind is date:
        return {"=": kind.__name__, "v": value.isoformat()}
    if kind is quotes.Provenance:
        return _provenance(value)
    if kind is tuple or kind is list:
        return [_plain(one) for one in value]
    if _CLASSES.get(kind.__name__) is kind:
        if isinstance(value, Enum):
            return {"=": kind.__name__, "v": value.value}
        return {"=": kind.__name__, **{name: _plain(getattr(value, name)) for name in _fields(kind.__name__)}}
    if isinstance(value, Mapping):
        return {"=": "map", "v": [[_plain(key), _plain(one)] for key, one in sorted(value.items())]}
    raise TypeError(f"{kind.__name__} is not among the classes that are recorded")


_AS_IT_IS = frozenset({type(None), bool, int, float, str})


@cache
def _fields(name: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(_CLASSES[name]))


@lru_cache(maxsize=1 << 12)
def _provenance(value: quotes.Provenance) -> Mapping[str, Any]:
    """All quotes of a chain have one."""
    return {"=": "Provenance", **{name: _plain(getattr(value, name)) for name in _fields("Provenance")}}


def _value(told: Any) -> Any:
    if isinstance(told, list):
        return tuple(_value(one) for one in told)
    if not isinstance(told, dict):
        return told
    kind = told["="]
    if kind in _MAKERS:
        return _MAKERS[kind](told["v"])
    if kind not in _CLASSES:
        raise LedgerError(f"recorded inputs hold a {kind}, which this version does not know")
    made = _CLASSES[kind]
    if issubclass(made, Enum):
        return made(told["v"])
    return made(**{name: _value(one) for name, one in told.items() if name != "="})


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "map": lambda pairs: {_value(key): _value(one) for key, one in pairs},
}


def _market(market: Market) -> Any:
    """A market without its bars, which are the panel's; its proofs by name."""
    return {
        "underlying": market.underlying,
        "as_of": _plain(market.as_of),
        "spot": _plain(market.spot),
        "chain": _plain(market.chain),
        "events": _plain(market.events),
        "iv_percentile": market.iv_percentile,
        "proofs": [[p.suite, p.digest, p.checked_at.isoformat()] for p in market.proofs],
    }


def _market_of(
    told: Mapping[str, Any], panel: Panel, session: date, reports: Mapping[tuple[str, ...], CheckReport]
) -> Market:
    missing = [proof for proof in told["proofs"] if tuple(proof) not in reports]
    if missing:
        raise LedgerError(
            f"market of {told['underlying']}: the check {missing[0][0]} of its run is not recorded"
        )
    proofs: tuple[Passed, ...] = tuple(reports[tuple(proof)].proof() for proof in told["proofs"])
    return build_market(
        Underlying(told["underlying"]),
        panel=panel,
        session=session,
        at=_value(told["as_of"]),
        spot=_value(told["spot"]),
        chain=_value(told["chain"]),
        events=_value(told["events"]),
        proofs=proofs,
        iv_percentile=told["iv_percentile"],
    )


def _proof_key(report: CheckReport) -> tuple[str, ...]:
    return report.suite, report.digest, report.checked_at.isoformat()


# --- bytes ---


def _squeezed(data: bytes) -> bytes:
    """Zstandard, behind the length that it has unpacked."""
    import pyarrow as pa

    return len(data).to_bytes(8, "big") + bytes(pa.compress(data, codec="zstd", asbytes=True))


def _whole(data: bytes) -> bytes:
    import pyarrow as pa

    size = int.from_bytes(data[:8], "big")
    return bytes(pa.decompress(data[8:], decompressed_size=size, codec="zstd", asbytes=True))


def _json(value: Any) -> bytes:
    return _squeezed(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _need(stored: Mapping[str, bytes], name: str) -> bytes:
    if name not in stored:
        raise LedgerError(
            f"the run's {name} is not recorded: only runs that got as far as deciding can be replayed"
        )
    return stored[name]


def _read(stored: Mapping[str, bytes], name: str) -> Any:
    return json.loads(_whole(_need(stored, name)))


def _frames(frames: Mapping[str, pd.DataFrame]) -> bytes:
    """Frames of one shape, sessions down: a line of JSON that says which, then their numbers row by row."""
    first = next(iter(frames.values()))
    if not all(f.index.equals(first.index) and f.columns.equals(first.columns) for f in frames.values()):
        raise ValueError("frames that are kept together have one index and the same columns")
    values = {name: frame.to_numpy() for name, frame in frames.items()}
    head = {
        "sessions": [int(stamp) for stamp in first.index.astype("int64")],
        "dtype": str(first.index.dtype),
        "names": [first.index.name, first.columns.name],
        "columns": [str(name) for name in first.columns],
        "frames": [[name, str(array.dtype)] for name, array in values.items()],
    }
    numbers = b"".join(array.tobytes() for array in values.values())
    return _squeezed(json.dumps(head).encode() + b"\n" + numbers)


def _read_frames(data: bytes) -> Mapping[str, pd.DataFrame]:
    import numpy as np
    import pandas as pd

    told, _, numbers = _whole(data).partition(b"\n")
    head = json.loads(told)
    index = pd.Index(np.array(head["sessions"], dtype="int64").astype(head["dtype"]), name=head["names"][0])
    columns = pd.Index(head["columns"], name=head["names"][1])
    shape, at = (len(index), len(columns)), 0
    found: dict[str, pd.DataFrame] = {}
    for name, dtype in head["frames"]:
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        array = np.frombuffer(numbers[at : at + size], dtype=dtype).reshape(shape)
        found[name] = pd.DataFrame(array.copy(), index=index, columns=columns)
        at += size
    return found

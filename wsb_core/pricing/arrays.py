"""Arguments of many shapes and types as float64 columns of one length, and the refusal of impossible ones.

A kernel reads blocks: what is already float64 and contiguous is passed as it is, one value for all rows
stays one value, and only the rest is converted, a block at a time, so that memory stays that of the
caller's own arrays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.int8]

ROWS_A_BLOCK = 65_536
_LAYOUT: Final = ("C_CONTIGUOUS", "ALIGNED")
PUT, CALL, NEITHER = 0, 1, 2
_POSITIVE = frozenset({"spot", "strike"})
_AT_LEAST_ZERO = frozenset({"years", "vol"})


class Block(NamedTuple):
    rows: slice
    """Where these rows stand in the flat outputs."""
    columns: tuple[Floats, ...]
    """In the order of ``Batch``'s names; each is as long as the block, or of length 1 for all rows."""
    is_call: Flags
    """``CALL``, ``PUT``, or ``NEITHER`` where it is not known; as long as the block, or 1."""


class Batch:
    """Named arguments broadcast to one shape.

    Numbers are bool, integer, floating or objects that are numbers; None and masked entries are NaN.
    ``is_call`` is bool, or 0 and 1, or NaN where it is not known.

    Raises: ValueError when an argument holds text or complex numbers, when ``is_call`` holds anything
    but 0 and 1, or when the shapes do not broadcast.
    """

    def __init__(self, is_call: ArrayLike, **numbers: ArrayLike) -> None:
        self.names = tuple(numbers)
        self._arrays = [_numbers(name, value) for name, value in numbers.items()]
        self._is_call = _flags(_numbers("is_call", is_call))
        shapes = [array.shape for array in (*self._arrays, self._is_call)]
        try:
            self.shape = np.broadcast_shapes(*shapes)
        except ValueError:
            told = ", ".join(f"{n} {s}" for n, s in zip((*self.names, "is_call"), shapes, strict=True))
            raise ValueError(
                f"shapes do not broadcast: {told}; give one value or arrays of one shape"
            ) from None
        self.size = math.prod(self.shape)

    def blocks(self, rows: int = ROWS_A_BLOCK) -> Iterator[Block]:
        """Every row once, in order; nothing when there are none."""
        for start in range(0, self.size, rows):
            part = slice(start, min(start + rows, self.size))
            columns = tuple(_part(array, self.shape, part, np.float64) for array in self._arrays)
            yield Block(part, columns, _part(self._is_call, self.shape, part, np.int8))

    def full(self) -> tuple[list[Floats], Flags]:
        """All columns and ``is_call`` (as in ``Block``), flat, of length ``size``; not to be written to."""

        def flat(array: NDArray[Any], kind: type) -> NDArray[Any]:
            return np.require(np.broadcast_to(array, self.shape), kind, _LAYOUT).reshape(-1)

        return [flat(array, np.float64) for array in self._arrays], flat(self._is_call, np.int8)

    def refuse_impossible(self) -> None:
        """Raise ValueError for the first number no option can have; NaN passes.

        A spot and strike are positive, years and vol at least 0, and nothing is infinite.
        """
        for block in self.blocks():
            for name, column in zip(self.names, block.columns, strict=True):
                wrong = _impossible(name, column)
                if wrong.any():
                    at = int(np.argmax(wrong))
                    self._refuse(name, float(column[at]), block.rows.start + at if column.size > 1 else None)

    def _refuse(self, name: str, value: float, row: int | None) -> None:
        low = "positive and " if name in _POSITIVE else "at least 0 and " if name in _AT_LEAST_ZERO else ""
        where = "" if row is None else f" at index {_index(row, self.shape)}"
        raise ValueError(
            f"{name} must be {low}finite, not {value}{where}; leave such rows out, or pass NaN for them"
        )


def _impossible(name: str, column: Floats) -> NDArray[np.bool_]:
    infinite = np.isinf(column)
    if name in _POSITIVE:
        return infinite | (column <= 0)
    if name in _AT_LEAST_ZERO:
        return infinite | (column < 0)
    return infinite


def _index(row: int, shape: tuple[int, ...]) -> int | tuple[int, ...]:
    index = tuple(int(i) for i in np.unravel_index(row, shape))
    return index[0] if len(index) == 1 else index


def _numbers(name: str, value: ArrayLike) -> NDArray[Any]:
    try:
        if isinstance(value, np.ma.MaskedArray):
            return np.where(np.ma.getmaskarray(value), np.nan, value.data.astype(np.float64))
        array = np.asarray(value)
        if array.dtype.kind == "O" and not any(isinstance(x, str | bytes | complex) for x in array.flat):
            return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}; convert it to floats first") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, not {array.dtype}; convert it to floats first")
    return array


def _flags(array: NDArray[Any]) -> Flags:
    if array.dtype == np.bool_:
        return array.view(np.int8)
    found: Flags = np.array(array == CALL, np.int8)
    other = (found == 0) & (array != PUT)
    if other.any():
        wrong = array[other][~np.isnan(array[other])]
        if wrong.size:
            raise ValueError(f"is_call must be True (1) or False (0), not {wrong[0]}")
        found[other] = NEITHER
    return found


def _part(array: NDArray[Any], shape: tuple[int, ...], rows: slice, kind: type) -> NDArray[Any]:
    if array.size == 1:
        found = array.reshape(1)
    elif array.shape != shape:
        found = np.broadcast_to(array, shape).flat[rows]
    elif array.ndim == 1:
        found = array[rows]
    else:
        found = array.reshape(-1)[rows] if array.flags.c_contiguous else array.flat[rows]
    ready = found.dtype == kind and found.flags.c_contiguous and found.flags.aligned
    return found if ready else np.require(found, kind, _LAYOUT)

"""European option prices, Greeks and implied volatility, a hundred thousand contracts in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import black_scholes
from .arrays import Batch
from .results import Greeks, ImpliedVol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .arrays import Block


def european(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    second_order: bool = False,
) -> Greeks:
    """Black-Scholes-Merton price and Greeks; arguments broadcast to one shape, which is returned.

    ``spot`` and ``strike`` in dollars, ``years`` act/365, ``rate`` and ``dividend_yield`` continuous
    (0.05 is 5%), ``vol`` annual (0.2 is 20%). Without time the price is the intrinsic value, without
    volatility the discounted intrinsic value of the forward; gamma and vega are 0 then.
    ``second_order`` adds vanna and volga. A row with a NaN is NaN throughout.

    Raises: ValueError naming argument, value and index when a spot or strike is not positive, years or
    vol is negative, or anything is infinite; and as ``arrays.Batch`` does.
    Source: Merton (1973).
    """
    # Imported late: numba takes half a second, and most commands never price an option.
    from .kernels.european import greeks

    batch = Batch(
        is_call, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield, vol=vol
    )
    out = np.empty((8 if second_order else 6, batch.size))
    for block in batch.blocks():
        left_out = greeks(
            *block.columns, block.is_call, out, block.rows.start, block.rows.stop - block.rows.start
        )
        if left_out:
            batch.refuse_impossible()
            _redo_extreme(block, out)
    return Greeks(*(row.reshape(batch.shape) for row in out))


def implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
) -> ImpliedVol:
    """Volatility that reprices a European option, and why where there is none (``IvStatus``).

    ``price`` in dollars, discounted; the rest as in ``european``; arguments broadcast to one shape,
    which is returned. No number in the data raises: it gets a status.

    Raises: ValueError as ``arrays.Batch`` does: text, or shapes that do not broadcast.
    """
    from .kernels.implied_vol import LEFT_OUT, implied

    batch = Batch(
        is_call, price=price, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield
    )
    vol, status = np.empty(batch.size), np.empty(batch.size, np.int8)
    for block in batch.blocks():
        rows = block.rows
        if implied(*block.columns, block.is_call, vol, status, rows.start, rows.stop - rows.start):
            extreme = status[rows] == LEFT_OUT
            vol[rows][extreme], status[rows][extreme] = black_scholes.implied_vol(*_those(block, extreme))
    return ImpliedVol(vol.reshape(batch.shape), status.reshape(batch.shape))


def _redo_extreme(block: Block, out: NDArray[np.float64]) -> None:
    """Price what the kernel left out as too extreme, such as a spot of 1e-200, by the textbook."""
    from .kernels.european import LEFT_OUT

    extreme = out[0, block.rows] == LEFT_OUT
    found = black_scholes.european(*_those(block, extreme), second_order=len(out) == 8)
    for row, values in zip(out, found, strict=False):
        row[block.rows][extreme] = values


def _those(block: Block, chosen: NDArray[np.bool_]) -> list[Any]:
    columns: list[NDArray[Any]] = [*block.columns, block.is_call]
    return [np.broadcast_to(column, chosen.shape)[chosen] for column in columns]

"""American option prices, Greeks and implied volatility on a spot that pays a continuous yield.

Cash dividends before expiry are another matter: ``american_discrete``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .american_discrete import DiscreteAmerican, american_discrete
from .american_scheme import Accuracy, scheme
from .arrays import CALL, Batch
from .european import european, implied_vol
from .results import DAYS_A_YEAR, Greeks, ImpliedVol, IvStatus

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import ArrayLike, NDArray

    from .kernels.american_vol import Search

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_LEAST_EXPIRY = 20
"""Contracts of one expiry from which boundaries between volatilities pay."""
_ROWS_A_TABLE = 4096
_MOST_VOL, _MOST_DEVIATION = 20.0, 12.0
"""Implied volatilities are looked for up to the larger of this and this over the root of the years."""


class Book(NamedTuple):
    """Contracts in columns of one length, as kernels take them."""

    spot: Floats
    strike: Floats
    years: Floats
    rate: Floats
    dividend_yield: Floats
    vol: Floats
    is_call: NDArray[np.int8]
    """``arrays.CALL``, ``PUT`` or ``NEITHER``."""


def american(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.FINE,
) -> Greeks:
    """American price and Greeks; arguments broadcast to one shape, which is returned.

    Units and policy for NaN as in ``european.european``. Where exercising now is best the price is the
    intrinsic value, delta 1 or -1, and gamma, vega, theta and rho are 0. Contracts that share years, rate
    and yield share their exercise boundaries, so a chain in one call is several times cheaper than in many.
    Where rate and yield are negative in the way that gives two boundaries, finite differences take over:
    errors of 1e-5 of the spot, and milliseconds a contract.

    Raises: ValueError as ``european.european`` does, and for numbers that leave no digits to price with: rate
    or yield above 10, either times years above 50, volatility times root years above 100, or spot and
    strike apart by more than e to the 300.
    Source: Andersen, Lake and Offengenden (2016); golden values in tests/golden/american_highprec.csv.
    """
    batch = Batch(
        is_call, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield, vol=vol
    )
    return _priced(batch, accuracy, one_expiry=False)


def american_slice(
    spot: float,
    strikes: ArrayLike,
    years: float,
    rate: float,
    dividend_yield: float,
    vols: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.FAST,
) -> Greeks:
    """``american`` for one expiry: arrays of strike, volatility and side, numbers for the rest.

    Raises: ValueError as ``american`` does, and when spot, years, rate or yield is not one number.
    """
    for name, value in (
        ("spot", spot), ("years", years), ("rate", rate), ("dividend_yield", dividend_yield)
    ):  # fmt: skip
        if np.ndim(value):
            raise ValueError(f"{name} must be one number, not of shape {np.shape(value)}; use american")
    batch = Batch(
        is_call, spot=spot, strike=strikes, years=years, rate=rate, dividend_yield=dividend_yield, vol=vols
    )
    return _priced(batch, accuracy, one_expiry=True)


def implied_vol_american(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.FAST,
) -> ImpliedVol:
    """Volatility that reprices an American option, and why where there is none (``IvStatus``).

    ``price`` in dollars; the rest as in ``american``; arguments broadcast to one shape, which is returned.
    An option in the money is worth its intrinsic value over a range of volatilities: within 1e-8 of the
    larger of spot and strike it is ``AT_INTRINSIC``, and so is what needs less than 0.001 of volatility.
    No number in the data raises: it gets a status.

    Raises: ValueError as ``arrays.Batch`` does: text, or shapes that do not broadcast.
    """
    batch = Batch(
        is_call, price=price, spot=spot, strike=strike, years=years, rate=rate, dividend_yield=dividend_yield
    )
    (paid, *columns), side = _columns(batch)
    vol = np.full(batch.size, np.nan)
    status = _status(paid, columns, side)
    rows = np.flatnonzero(status == IvStatus.OK)
    if rows.size:
        found = _inverted(paid[rows], [column[rows] for column in columns], side[rows], accuracy)
        vol[rows], status[rows] = np.where(found.status == IvStatus.OK, found.vol, np.nan), found.status
    return ImpliedVol(vol.reshape(batch.shape), status.reshape(batch.shape))


def _priced(batch: Batch, accuracy: Accuracy, *, one_expiry: bool) -> Greeks:
    kernel = _kernels()
    (s, k, t, r, q, v), side = _columns(batch)
    book = Book(s, k, t, r, q, v, side)
    kinds, out = np.empty(batch.size, dtype=np.int8), np.empty((6, batch.size))
    early = np.arange(batch.size)
    if kernel.classify(book, kinds):
        batch.refuse_impossible()
        _refuse_beyond(book, kinds == kernel.BEYOND)
        out[:, kinds == kernel.MISSING] = np.nan
        _price_unexercised(book, np.flatnonzero(kinds == kernel.EUROPEAN), out)
        _price_certain(book, np.flatnonzero(kinds == kernel.CERTAIN), out)
        _price_two_boundaries(book, np.flatnonzero(kinds == kernel.TWO_BOUNDARIES), out)
        early = np.flatnonzero(kinds == kernel.EARLY)
    for rows, shared in _expiries(book, early, one=one_expiry):
        _price_early(book, rows, accuracy, shared, out)
    return Greeks(*(row.reshape(batch.shape) for row in out))


def _price_early(book: Book, rows: Integers, accuracy: Accuracy, shared: bool, out: Floats) -> None:
    kernel, (boundary, nodes) = _kernels(), scheme(accuracy)
    if shared:
        plan = kernel.Plan(*kernel.plan_expiry(book, rows))
        kernel.price_expiry(book, rows, plan, kernel.solve_boundaries(plan.puts, boundary), nodes, out)
        return
    for part in _parts(rows):
        table = kernel.solve_boundaries(kernel.as_puts(book, part), boundary)
        kernel.price_each(book, part, table, nodes, out)


def _parts(rows: Integers) -> list[Integers]:
    """``rows`` in pieces whose boundaries take a few megabytes together."""
    return [rows[start : start + _ROWS_A_TABLE] for start in range(0, rows.size, _ROWS_A_TABLE)]


def _columns(batch: Batch) -> tuple[Floats, NDArray[np.int8]]:
    """Copies of the numbers, a row an argument, and of ``is_call``."""
    numbers, side = np.empty((len(batch.names), batch.size)), np.empty(batch.size, dtype=np.int8)
    for block in batch.blocks():
        for row, column in zip(numbers, block.columns, strict=True):
            row[block.rows] = column
        side[block.rows] = block.is_call
    return numbers, side


def _expiries(book: Book, rows: Integers, *, one: bool) -> list[tuple[Integers, bool]]:
    """``rows`` in groups, and whether a group shares its boundaries: one expiry does, if it is large."""
    if one or rows.size < _LEAST_EXPIRY:
        return [(rows, rows.size >= _LEAST_EXPIRY)] if rows.size else []
    keys = [column[rows] for column in (book.dividend_yield, book.rate, book.years)]
    order = np.lexsort(keys)
    changes = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    sizes = np.diff(starts, append=rows.size)
    ordered, many = rows[order], sizes >= _LEAST_EXPIRY
    shared = [(ordered[i : i + n], True) for i, n in zip(starts[many], sizes[many], strict=True)]
    alone = ordered[np.repeat(~many, sizes)]
    return [*shared, (alone, False)] if alone.size else shared


def _refuse_beyond(book: Book, beyond: NDArray[np.bool_]) -> None:
    """Raise ValueError for the first row whose numbers are finite but leave no digits to price with."""
    if beyond.any():
        row = int(np.argmax(beyond))
        told = ", ".join(f"{name} {getattr(book, name)[row]}" for name in book._fields)
        raise ValueError(
            f"too extreme to price, contract {row} of the flattened arguments: {told}; "
            f"check the source, leave such rows out, or pass NaN for them"
        )


def _price_unexercised(book: Book, rows: Integers, out: Floats) -> None:
    if rows.size:
        out[:, rows] = european(*(column[rows] for column in book))[:6]


def _price_certain(book: Book, rows: Integers, out: Floats) -> None:
    """Without time or volatility: exercised at the moment that pays most, known today."""
    s, k, t, r, q = (column[rows] for column in book[:5])
    sign = np.where(book.is_call[rows] == CALL, 1.0, -1.0)
    when, price = _best_moment(s, k, t, r, q, sign)
    pays = price > 0.0
    asset, cash = s * np.exp(-q * when), k * np.exp(-r * when)
    waits = pays & (when == t) & (t > 0.0)
    out[0, rows] = price
    out[1, rows] = np.where(pays, sign * asset / s, 0.0)
    out[2, rows] = out[3, rows] = 0.0
    out[4, rows] = np.where(waits, sign * (q * asset - r * cash) / DAYS_A_YEAR, 0.0)
    out[5, rows] = np.where(pays, 0.01 * sign * when * cash, 0.0)


def _best_moment(
    s: Floats, k: Floats, t: Floats, r: Floats, q: Floats, sign: Floats
) -> tuple[Floats, Floats]:
    """When, in years, exercise pays most if the spot only drifts, and what it pays (at least 0)."""
    with np.errstate(all="ignore"):
        turn = np.log(q * s / (r * k)) / (q - r)
        moments = np.stack([np.zeros_like(t), np.where(turn > 0.0, np.minimum(turn, t), 0.0), t])
        pays = sign * (s * np.exp(-q * moments) - k * np.exp(-r * moments))
    best = np.argmax(pays, axis=0)[None]
    return np.take_along_axis(moments, best, 0)[0], np.maximum(np.take_along_axis(pays, best, 0)[0], 0.0)


def _price_two_boundaries(book: Book, rows: Integers, out: Floats) -> None:
    """By finite differences, with vega and rho from bumps."""
    if not rows.size:
        return
    s, k, t, r, q, v = (column[rows] for column in book[:6])
    call = book.is_call[rows]

    def grid(r: Floats, v: Floats) -> DiscreteAmerican:
        return american_discrete(s, k, t, r, (), v, call, dividend_yield=q)

    found, bump = grid(r, v), 1e-3
    out[0, rows], out[1, rows], out[2, rows], out[4, rows] = found[:4]
    out[3, rows] = (grid(r, v * (1.0 + bump)).price - grid(r, v * (1.0 - bump)).price) / (200.0 * v * bump)
    out[5, rows] = (grid(r + bump, v).price - grid(r - bump, v).price) / (200.0 * bump)


def _status(paid: Floats, columns: list[Floats], side: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the price says by itself; ``OK`` where a volatility is to be looked for."""
    s, k, t, r, q = columns
    sign = np.where(side == CALL, 1.0, -1.0)
    with np.errstate(all="ignore"):
        finite = np.isfinite(paid + s + k + t + np.abs(r) + np.abs(q)) & (side <= CALL)
        good = finite & (paid >= 0.0) & (s > 0.0) & (k > 0.0) & (t >= 0.0)
        _, least = _best_moment(s, k, t, r, q, sign)
        most = np.where(
            side == CALL, s * np.exp(np.maximum(-q * t, 0.0)), k * np.exp(np.maximum(-r * t, 0.0))
        )
        near = np.where(least > 0.0, 1e-8 * np.maximum(s, k), 0.0)
        below = paid < least - near
    found = np.full(paid.size, IvStatus.OK, dtype=np.int8)
    found[paid >= most] = IvStatus.ABOVE_MAX
    found[paid <= least + near] = IvStatus.AT_INTRINSIC
    found[below] = IvStatus.BELOW_INTRINSIC
    found[t == 0.0] = IvStatus.EXPIRED
    found[~good] = IvStatus.BAD_INPUT
    return found


def _inverted(paid: Floats, columns: list[Floats], side: NDArray[np.int8], accuracy: Accuracy) -> ImpliedVol:
    """The search, started from the European volatility, which is never below the American one."""
    kernel = _kernels()
    s, k, t, r, q = columns
    plain = implied_vol(paid, s, k, t, r, q, side)
    most = np.maximum(_MOST_VOL, _MOST_DEVIATION / np.sqrt(t))
    start = np.where(plain.status == IvStatus.OK, plain.vol, 1.0)
    book = Book(s, k, t, r, q, np.clip(start, kernel.LEAST_VOL, most), side)
    kinds = np.empty(paid.size, dtype=np.int8)
    kernel.classify(book, kinds)
    target, low = paid / np.where(side == CALL, s, k), np.full(paid.size, kernel.LEAST_VOL)
    steps = np.zeros(paid.size, dtype=np.int64)
    search = kernel.Search(target, low, most.copy(), steps, kinds == kernel.EARLY)
    for rows, shared in _expiries(book, np.flatnonzero(search.moving), one=False):
        for part in [rows] if shared else _parts(rows):
            _search(book, part, search, accuracy, shared)
    found = np.where(kinds == kernel.EARLY, book.vol, plain.vol)
    _bisect(paid, book, np.flatnonzero(kinds == kernel.TWO_BOUNDARIES), kernel.LEAST_VOL, most, found)
    status = plain.status.copy()
    searched = (kinds == kernel.EARLY) | (kinds == kernel.TWO_BOUNDARIES)
    status[searched] = IvStatus.OK
    status[searched & (found <= kernel.LEAST_VOL * (1.0 + 1e-6))] = IvStatus.AT_INTRINSIC
    status[searched & (found >= most * (1.0 - 1e-6))] = IvStatus.ABOVE_MAX
    status[kinds == kernel.BEYOND] = IvStatus.BAD_INPUT
    return ImpliedVol(found, status)


def _search(book: Book, rows: Integers, search: Search, accuracy: Accuracy, shared: bool) -> None:
    """Move ``book.vol`` of ``rows`` to where the price is what was paid."""
    kernel, (boundary, nodes) = _kernels(), scheme(accuracy)
    if not shared:
        while rows.size:
            table = kernel.solve_boundaries(kernel.as_puts(book, rows), boundary)
            kernel.step_each(book, rows, search, table, nodes)
            rows = rows[search.moving[rows]]
        return
    panels = kernel.panels_above(float(search.high[rows].max()))
    table = np.empty((2 * panels, kernel.NODES, boundary.price_cosine.size, 3))
    ready = np.zeros(2 * panels, dtype=np.bool_)
    while rows.size:
        wanted = np.flatnonzero(kernel.step_expiry(book, rows, search, panels, ready, table, nodes))
        solved = kernel.solve_boundaries(kernel.panel_puts(book, rows, panels, wanted), boundary)
        table[wanted], ready[wanted] = solved.reshape(-1, *table.shape[1:]), True
        rows = rows[search.moving[rows]]


def _bisect(paid: Floats, book: Book, rows: Integers, least: float, most: Floats, found: Floats) -> None:
    """Volatilities of contracts with two boundaries, halving in the logarithm."""
    if not rows.size:
        return
    low, high = np.full(rows.size, least), most[rows]
    s, k, t, r, q = (column[rows] for column in book[:5])
    call = book.is_call[rows]
    for _ in range(40):
        middle = np.sqrt(low * high)
        above = american_discrete(s, k, t, r, (), middle, call, dividend_yield=q).price > paid[rows]
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    found[rows] = np.sqrt(low * high)


@cache
def _kernels() -> ModuleType:
    # Imported late: numba takes half a second, and most commands never price an option.
    from .kernels import american

    return american

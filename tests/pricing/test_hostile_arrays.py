"""What callers hand in by mistake, or in a shape of their own."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from wsb_core.pricing import black_scholes
from wsb_core.pricing.arrays import CALL, NEITHER, PUT, Batch
from wsb_core.pricing.european import european, implied_vol
from wsb_core.pricing.results import IvStatus

BOOK = {"spot": 100.0, "strike": 110.0, "years": 0.5, "rate": 0.04, "dividend_yield": 0.01, "vol": 0.3}
QUOTE = {"price": 5.0, **{name: value for name, value in BOOK.items() if name != "vol"}}
PRICERS = [european, black_scholes.european]


@pytest.mark.parametrize("price", PRICERS)
@pytest.mark.parametrize("name", [*BOOK, "is_call"])
def test_a_row_with_nan_is_nan_throughout_and_its_neighbours_are_not(
    price: Callable[..., object], name: str
) -> None:
    book = {**BOOK, "is_call": 1.0}

    found = np.array(price(**{**book, name: np.array([book[name], np.nan])}, second_order=True))

    assert found[:, 0].tolist() == [float(x) for x in price(**book, second_order=True)]
    assert np.isnan(found[:, 1]).all()


@pytest.mark.parametrize("price", PRICERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spot", 0.0),
        ("spot", -5.0),
        ("spot", np.inf),
        ("strike", 0.0),
        ("strike", -0.0),
        ("strike", np.inf),
        ("years", -1e-9),
        ("years", np.inf),
        ("vol", -0.2),
        ("vol", np.inf),
        ("rate", np.inf),
        ("dividend_yield", -np.inf),
    ],
)
def test_a_number_no_option_can_have_is_refused_by_name_value_and_place(
    price: Callable[..., object], name: str, value: float
) -> None:
    column = np.full((3, 4), BOOK[name])
    column[2, 1] = value

    with pytest.raises(ValueError, match=rf"{name} must be .*, not {value} at index \(2, 1\)"):
        price(**{**BOOK, name: column}, is_call=True)
    with pytest.raises(ValueError, match=rf"{name} must be .*, not {value};"):
        price(**{**BOOK, name: value}, is_call=True)


def test_the_place_of_a_refusal_is_right_beyond_the_first_block() -> None:
    strikes = np.full(200_000, 100.0)
    strikes[150_123] = -1.0

    with pytest.raises(ValueError, match=r"strike .* at index 150123"):
        european(**{**BOOK, "strike": strikes}, is_call=True)


@pytest.mark.parametrize("solve", [european, implied_vol])
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("strike", "110", "strike must hold numbers"),
        ("strike", np.array(["110"], dtype=object), "strike must hold numbers"),
        ("strike", 110 + 0j, "strike must hold numbers"),
        ("strike", np.array(["2026-01-01"], dtype="M8[D]"), "strike must hold numbers"),
        ("strike", [[1.0, 2.0], [3.0]], "strike must hold numbers"),
        ("strike", object(), "strike must hold numbers"),
        ("is_call", "C", "is_call must hold numbers"),
        ("is_call", -1, r"is_call must be True \(1\) or False \(0\), not -1"),
        ("is_call", [1.0, 0.5], r"is_call must be True \(1\) or False \(0\), not 0.5"),
        ("spot", [1.0, 2.0, 3.0], r"shapes do not broadcast: .*spot \(3,\), strike \(2,\)"),
    ],
)
def test_text_complex_dates_and_shapes_that_do_not_fit_are_refused_by_name(
    solve: Callable[..., object], name: str, value: object, told: str
) -> None:
    book = BOOK if solve is european else QUOTE
    shaped = {**book, "is_call": True, **({"strike": [90.0, 110.0]} if name == "spot" else {})}

    with pytest.raises(ValueError, match=told):
        solve(**{**shaped, name: value})


KINDS = [
    np.array([90, 110], dtype=np.int16),
    np.array([90, 110], dtype=np.uint64),
    np.array([90, 110], dtype=np.float32),
    np.array([90, 110], dtype=np.float16),
    np.array([90, 110], dtype=np.longdouble),
    np.array([90, 110], dtype=">f8"),
    np.array([90, 0, 110, 0], dtype=np.float64)[::2],
    np.array([110, 90], dtype=np.float64)[::-1],
    np.frombuffer(b"\0" + np.array([90.0, 110.0]).tobytes(), dtype=np.uint8)[1:].view(np.float64),
    [Decimal(90), Fraction(110)],
    (90, 110.0),
    pd.Series([90, 110], index=[7, 3]),
    range(90, 111, 20),
]


@pytest.mark.parametrize("strikes", KINDS, ids=lambda kind: f"{type(kind).__name__}-{np.asarray(kind).dtype}")
def test_every_kind_of_number_is_the_number_it_is(strikes: object) -> None:
    found = np.array(european(**{**BOOK, "strike": strikes}, is_call=[True, False])[:6])
    vols = implied_vol(**{**QUOTE, "price": [20.0, 15.0], "strike": strikes}, is_call=[1, 0]).vol

    plain = np.array([90.0, 110.0])
    assert (found == np.array(european(**{**BOOK, "strike": plain}, is_call=[True, False])[:6])).all()
    wanted = implied_vol(**{**QUOTE, "price": [20.0, 15.0], "strike": plain}, is_call=[True, False]).vol
    assert (vols == wanted).all()


def test_what_is_masked_or_none_is_not_known() -> None:
    masked = np.ma.array([90.0, 110.0], mask=[False, True])

    prices = [
        european(**{**BOOK, "strike": strikes}, is_call=True).price for strikes in (masked, [90.0, None])
    ]

    assert all(np.isfinite(price[0]) and np.isnan(price[1]) for price in prices)
    assert implied_vol(**{**QUOTE, "strike": masked}, is_call=True).status[1] == IvStatus.BAD_INPUT


def test_a_right_that_is_not_known_makes_the_row_unknown() -> None:
    found = european(**BOOK, is_call=[True, np.nan, None])

    assert np.isnan(found.gamma).tolist() == [False, True, True]
    assert Batch([1, 0, None], spot=1.0).full()[1].tolist() == [CALL, PUT, NEITHER]


@pytest.mark.parametrize(
    ("shape", "strike", "is_call"),
    [
        ((), 100.0, True),
        ((1,), [100.0], True),
        ((0,), [], True),
        ((0, 2), np.ones((0, 1)), [True, False]),
        ((2, 3), [90.0, 100.0, 110.0], [[True], [False]]),
        ((2, 3), np.asfortranarray(np.full((2, 3), 100.0)), True),
        ((3, 2), np.full((2, 3), 100.0).T, np.array([True, False])),
        ((2, 1, 3), np.array([90.0, 100.0, 110.0]), np.array([[[True]], [[False]]])),
    ],
)
def test_the_result_has_the_broadcast_shape_and_each_entry_is_its_own_contract(
    shape: tuple[int, ...], strike: object, is_call: object
) -> None:
    found = european(**{**BOOK, "strike": strike}, is_call=is_call, second_order=True)
    solved = implied_vol(**{**QUOTE, "price": found.price, "strike": strike}, is_call=is_call)

    assert all(isinstance(field, np.ndarray) and field.shape == shape for field in (*found, *solved))
    assert (found.price.dtype, solved.vol.dtype, solved.status.dtype) == (np.float64, np.float64, np.int8)
    strikes, rights = np.broadcast_arrays(strike, is_call)
    for index in np.ndindex(*shape):
        alone = european(**{**BOOK, "strike": strikes[index]}, is_call=bool(rights[index]))
        assert found.price[index] == alone.price
        assert solved.vol[index] == pytest.approx(0.3, rel=1e-12)


def test_a_transposed_array_is_read_in_its_own_order() -> None:
    strikes = np.linspace(80, 120, 12).reshape(3, 4)

    turned = european(**{**BOOK, "strike": strikes.T}, is_call=True).price

    assert (turned == european(**{**BOOK, "strike": strikes}, is_call=True).price.T).all()


def test_arguments_are_neither_changed_nor_handed_back() -> None:
    book = {name: np.full(5, value) for name, value in BOOK.items()}
    book["is_call"] = np.array([True, False, True, False, True])
    for column in book.values():
        column.flags.writeable = False
    before = {name: column.copy() for name, column in book.items()}

    found = european(**book)

    assert all((book[name] == before[name]).all() for name in book)
    assert not any(np.shares_memory(field, column) for field in found[:6] for column in book.values())
    assert all(field.flags.writeable for field in found[:6])


def test_denormal_numbers_are_numbers() -> None:
    tiny = 5e-324

    found = european([tiny, 100.0, 100.0, 100.0], [100.0, tiny, 100.0, 100.0], 0.5, 0.0, 0.0, 0.2, True)
    short = european(100.0, 100.0, [tiny, 0.5], 0.0, 0.0, [0.2, tiny], True)

    assert found.price[:2].tolist() == [0.0, 100.0]
    assert short.price == pytest.approx(0.0, abs=1e-150)
    assert np.isfinite(np.array([*found[:6]])).all()
    assert np.isfinite(np.array([*short[:6]])).all()


@pytest.mark.parametrize("solve", [european, implied_vol])
def test_ten_million_rows_take_half_as_much_memory_again_as_their_columns(
    solve: Callable[..., tuple],
) -> None:
    n = 10_000_000
    book = dict(BOOK if solve is european else QUOTE)
    book["strike"] = np.linspace(50, 200, n)
    if solve is european:
        book["vol"] = np.linspace(0.1, 0.5, n, dtype=np.float32)
    else:
        book["price"] = np.full(n, 60.0, dtype=np.float32)
    book["is_call"] = np.arange(n) % 2 == 0
    given = sum(column.nbytes for column in book.values() if isinstance(column, np.ndarray))

    solve(**{name: np.ravel(column)[:1] for name, column in book.items()})
    tracemalloc.start()
    found = solve(**book)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    handed_back = sum(field.nbytes for field in found if field is not None)
    assert handed_back >= n * 9
    assert given + peak <= 1.5 * (given + handed_back)

"""What ``from wsb_core.pricing import ...`` gives."""

from __future__ import annotations

import inspect

import pytest

from wsb_core import pricing

CONTRACT = ("strike", "years", "rate", "dividend_yield")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("european", ("spot", *CONTRACT, "vol", "is_call", "second_order")),
        ("implied_vol", ("price", "spot", *CONTRACT, "is_call")),
        ("american", ("spot", *CONTRACT, "vol", "is_call", "accuracy")),
        (
            "american_slice",
            ("spot", "strikes", "years", "rate", "dividend_yield", "vols", "is_call", "accuracy"),
        ),
        ("implied_vol_american", ("price", "spot", *CONTRACT, "is_call", "accuracy")),
        (
            "american_discrete",
            (
                "spot",
                "strike",
                "years",
                "rate",
                "dividends",
                "vol",
                "is_call",
                "dividend_yield",
                "model",
            ),
        ),
    ],
)
def test_the_functions_of_the_package_are_functions_whatever_is_imported_after(
    name: str, arguments: tuple[str, ...]
) -> None:
    found = getattr(pricing, name)

    assert callable(found)
    assert tuple(inspect.signature(found).parameters) == arguments
    assert inspect.getdoc(found)

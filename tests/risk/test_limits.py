from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from wsb_core.risk import RiskLimits


def test_limits_come_from_a_mapping_of_text_or_numbers():
    limits = RiskLimits.model_validate({"max_loss_per_trade": "0.005", "daily_loss_soft": 0.02})

    assert limits.max_loss_per_trade == Decimal("0.005")
    assert limits.daily_loss_soft == Decimal("0.02")
    assert limits.total_defined_risk == Decimal("0.20")


@pytest.mark.parametrize(
    "values",
    [
        {"max_loss_per_trade": "0.021"},
        {"max_loss_per_trade": "0"},
        {"total_defined_risk": "1.1"},
        {"daily_loss_soft": "0.06"},
        {"drawdown_reduce": "0.11"},
        {"max_los_per_trade": "0.01"},
        {"premium_at_risk": "nan"},
    ],
)
def test_limits_that_are_loose_contradictory_or_misspelt_are_refused(values):
    with pytest.raises(ValidationError):
        RiskLimits.model_validate(values)

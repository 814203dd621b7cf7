"""The limits every order is held to; a strategy may be stricter, never looser."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

HARD_CAP_PER_TRADE = Decimal("0.02")
"""No setting may let one structure lose more of the equity than this."""

Share = Annotated[Decimal, Field(gt=0, le=1)]


class RiskLimits(BaseModel):
    """Shares of equity, unless said otherwise: 0.01 is 1 %. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_loss_per_trade: Annotated[Decimal, Field(gt=0, le=HARD_CAP_PER_TRADE)] = Decimal("0.01")
    total_defined_risk: Share = Decimal("0.20")
    """Max losses of all structures of defined risk together."""
    premium_at_risk: Share = Decimal("0.10")
    """Debits of all long options together."""
    underlying_max_loss: Share = Decimal("0.05")
    sector_max_loss: Share = Decimal("0.30")
    collateral: Share = Decimal("0.50")
    """Cash set aside for short puts, which is no defined risk."""
    daily_loss_soft: Share = Decimal("0.03")
    """Loss since the open that stops entries."""
    daily_loss_hard: Share = Decimal("0.05")
    """Loss since the open at which the account has to be halted."""
    drawdown_reduce: Share = Decimal("0.05")
    """Fall from the equity's peak at which ``reduced_size`` applies."""
    drawdown_halve: Share = Decimal("0.10")
    drawdown_stop: Share = Decimal("0.15")
    reduced_size: Share = Decimal("0.75")
    halved_size: Share = Decimal("0.50")
    volatility_spike: Annotated[Decimal, Field(gt=1)] = Decimal(3)
    """Range of the market's day so far, in usual days' ranges, that stops entries."""
    unusual_volume: Annotated[Decimal, Field(gt=1)] = Decimal(3)
    """Volume of the market's day so far, in usual volumes at that time of day, that stops entries."""
    order_error_rate: Share = Decimal("0.05")
    """Share of a strategy's orders of the session, refused or without an answer, that stops its entries."""
    fees_per_contract: Annotated[Decimal, Field(ge=0)] = Decimal("0.10")
    """Dollars to open and close one contract, exchange and clearing fees included."""

    @model_validator(mode="after")
    def _ordered(self) -> RiskLimits:
        if self.daily_loss_soft > self.daily_loss_hard:
            raise ValueError(f"daily_loss_soft {self.daily_loss_soft} must not exceed {self.daily_loss_hard}")
        if not self.drawdown_reduce <= self.drawdown_halve <= self.drawdown_stop:
            steps = f"{self.drawdown_reduce}, {self.drawdown_halve}, {self.drawdown_stop}"
            raise ValueError(f"drawdown steps must rise, not {steps}")
        return self

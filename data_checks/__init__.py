"""Suites of expectations, one file per table, and the gate that reads their verdict."""

from __future__ import annotations

from collections.abc import Mapping

from . import (
    account,
    bars,
    chain_history,
    corporate_actions,
    earnings,
    iv_and_smile,
    option_chain,
    positions,
    quotes,
    rates,
    universe,
)
from .account import CheckedAccount, check_account
from .artifact import as_markdown, as_table
from .bars import BarBounds, CheckedBars, check_bars
from .chain_history import CheckedHistory, HistoryBounds, check_history
from .corporate_actions import ActionBounds, CheckedActions, check_actions
from .earnings import CheckedEarnings, EarningsBounds, check_earnings
from .gate import CheckFailed, Rule
from .iv_and_smile import CheckedSmiles, SmileBounds, check_smiles
from .option_chain import (
    HELD_CONTRACTS,
    ChainBounds,
    CheckedChain,
    CheckedChains,
    check_chain,
    check_chains,
)
from .positions import CheckedPositions, PositionBounds, check_positions
from .quotes import CheckedQuotes, QuoteBounds, check_quotes
from .rates import CheckedRates, RateBounds, check_rates
from .universe import CheckedTickers, UniverseBounds, check_universe

SUITES: Mapping[str, tuple[Rule, ...]] = {
    "account": account.RULES,
    "bars": bars.RULES,
    "chain_history": chain_history.RULES,
    "corporate_actions": corporate_actions.RULES,
    "earnings": earnings.RULES,
    "iv_and_smile": iv_and_smile.RULES,
    "option_chain": option_chain.RULES,
    "positions": positions.RULES,
    "quotes": quotes.RULES,
    "rates": rates.RULES,
    "universe": universe.RULES,
}
"""The row rules of every suite, in the order in which they are named as the reason."""

__all__ = [
    "HELD_CONTRACTS",
    "SUITES",
    "ActionBounds",
    "BarBounds",
    "ChainBounds",
    "CheckFailed",
    "CheckedAccount",
    "CheckedActions",
    "CheckedBars",
    "CheckedChain",
    "CheckedChains",
    "CheckedEarnings",
    "CheckedHistory",
    "CheckedPositions",
    "CheckedQuotes",
    "CheckedRates",
    "CheckedSmiles",
    "CheckedTickers",
    "EarningsBounds",
    "HistoryBounds",
    "PositionBounds",
    "QuoteBounds",
    "RateBounds",
    "SmileBounds",
    "UniverseBounds",
    "as_markdown",
    "as_table",
    "check_account",
    "check_actions",
    "check_bars",
    "check_chain",
    "check_chains",
    "check_earnings",
    "check_history",
    "check_positions",
    "check_quotes",
    "check_rates",
    "check_smiles",
    "check_universe",
]

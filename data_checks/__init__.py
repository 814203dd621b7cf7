"""Suites of expectations, one file per table, and the gate that reads their verdict."""

from __future__ import annotations

from collections.abc import Mapping

from . import account, bars, option_chain
from .account import CheckedAccount, check_account
from .artifact import as_markdown, as_table
from .bars import BarBounds, CheckedBars, check_bars
from .gate import CheckFailed, Rule
from .option_chain import (
    HELD_CONTRACTS,
    ChainBounds,
    CheckedChain,
    CheckedChains,
    check_chain,
    check_chains,
)

SUITES: Mapping[str, tuple[Rule, ...]] = {
    "account": account.RULES,
    "bars": bars.RULES,
    "option_chain": option_chain.RULES,
}
"""The row rules of every suite, in the order in which they are named as the reason."""

__all__ = [
    "HELD_CONTRACTS",
    "SUITES",
    "BarBounds",
    "ChainBounds",
    "CheckFailed",
    "CheckedAccount",
    "CheckedBars",
    "CheckedChain",
    "CheckedChains",
    "as_markdown",
    "as_table",
    "check_account",
    "check_bars",
    "check_chain",
    "check_chains",
]

"""The account and what it holds: one row, dollars as the broker reports them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from wsb_core.domain.checks import CheckReport, Passed
from wsb_core.domain.ids import AccountId
from wsb_core.domain.positions import AccountState, Holding

from .gate import Checked, Rule, Suite, check
from .measures import age_seconds, finite, numbers, recent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "account",
    "equity",
    "cash",
    "buying_power",
    "options_buying_power",
    "options_level",
    "blocked",
    "as_of",
    "holdings",
    "unreadable_holding",
    "repeated_holding",
)
_MONEY = ("equity", "cash", "buying_power")


@dataclass(frozen=True, slots=True)
class CheckedAccount:
    """The account that may be traded in, as it was read, and the proof for it."""

    state: AccountState
    holdings: tuple[Holding, ...]
    report: CheckReport
    proof: Passed


def check_account(
    state: AccountState,
    holdings: Sequence[Holding],
    *,
    account: AccountId,
    at: datetime,
    max_age_seconds: float = 60.0,
    min_options_level: int = 1,
) -> CheckedAccount:
    """The account, when it is the configured one, known in full and open for trading.

    ``min_options_level`` 0 lets through an account that trades shares only.

    Raises: CheckFailed naming every figure that is missing or wrong.
    """
    verdict = judge_account(
        state,
        holdings,
        account=account,
        at=at,
        max_age_seconds=max_age_seconds,
        min_options_level=min_options_level,
    )
    return CheckedAccount(state, tuple(holdings), verdict.report, verdict.proof())


def judge_account(
    state: AccountState,
    holdings: Sequence[Holding],
    *,
    account: AccountId,
    at: datetime,
    max_age_seconds: float = 60.0,
    min_options_level: int = 1,
) -> Checked:
    """``check_account`` without raising: the whole verdict on ``account_frame``, failed or not."""
    suite = account_suite(
        account=account, at=at, max_age_seconds=max_age_seconds, min_options_level=min_options_level
    )
    return check(account_frame(state, holdings), suite, at=at)


def account_suite(
    *, account: AccountId, at: datetime, max_age_seconds: float, min_options_level: int
) -> Suite:
    """What is expected of ``account_frame`` at one instant."""
    measure = partial(
        _measure, account=account, at=at, max_age=max_age_seconds, min_options_level=min_options_level
    )
    return Suite("account", COLUMNS, ("account",), measure, RULES)


def account_frame(state: AccountState, holdings: Sequence[Holding]) -> pd.DataFrame:
    """One row; ``unreadable_holding`` and ``repeated_holding`` name the first such instrument."""
    import pandas as pd

    unreadable = [h.instrument.symbol for h in holdings if not h.quantity.is_finite() or h.quantity == 0]
    times = Counter(holding.instrument for holding in holdings)
    repeated = [instrument.symbol for instrument, count in times.items() if count > 1]
    row = (
        state.account,
        float(state.equity),
        float(state.cash),
        float(state.buying_power),
        None if state.options_buying_power is None else float(state.options_buying_power),
        state.options_level,
        state.blocked,
        state.as_of,
        len(holdings),
        unreadable[0] if unreadable else None,
        repeated[0] if repeated else None,
    )
    return pd.DataFrame([row], columns=list(COLUMNS))


RULES: tuple[Rule, ...] = (
    Rule(
        "account_is_ours",
        "it is the account that is configured",
        lambda f: f["account"] == f["configured"],
        ("configured",),
    ),
    *(Rule(f"{name}_given", f"{name} is a finite number", finite(name), (name,)) for name in _MONEY),
    Rule("equity_not_negative", "equity is zero or more", lambda f: f["equity"] >= 0, ("equity",)),
    Rule(
        "buying_power_not_negative",
        "buying power is zero or more",
        lambda f: f["buying_power"] >= 0,
        ("buying_power",),
    ),
    Rule("not_blocked", "the broker lets it trade", lambda f: f["blocked"].eq(False), ("blocked",)),
    Rule(
        "options_level_enough",
        "the options level is known and enough",
        lambda f: f["options_level"] >= f["options_level_wanted"],
        ("options_level", "options_level_wanted"),
    ),
    Rule(
        "options_buying_power_given",
        "options buying power is known",
        lambda f: f["options_power_ok"],
        ("options_buying_power",),
    ),
    Rule("fresh", "it was read just now", lambda f: f["age_ok"], ("as_of", "age_seconds")),
    Rule(
        "holdings_readable",
        "every holding has a finite quantity that is not zero",
        lambda f: f["unreadable_holding"].isna(),
        ("unreadable_holding",),
    ),
    Rule(
        "holdings_unique",
        "every instrument is listed once",
        lambda f: f["repeated_holding"].isna(),
        ("repeated_holding",),
    ),
)


def _measure(
    frame: pd.DataFrame, *, account: AccountId, at: datetime, max_age: float, min_options_level: int
) -> pd.DataFrame:
    numbers(frame, (*_MONEY, "options_buying_power", "options_level"))
    frame["configured"] = account
    frame["options_level_wanted"] = min_options_level
    if min_options_level == 0:
        frame["options_level"] = frame["options_level"].fillna(0)
    power = frame["options_buying_power"]
    frame["options_power_ok"] = (power >= 0) & (power < float("inf")) | (min_options_level == 0)
    frame["age_seconds"] = age_seconds(frame["as_of"], at)
    frame["age_ok"] = recent(frame["age_seconds"], max_age)
    return frame

"""Corporate actions: one row per dividend, split or other change, beside the traded closes around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split, effective
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing

from .gate import Rule, Suite, check
from .measures import day_of, days, numbers, on_session

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "underlying",
    "kind",
    "ex_date",
    "amount",
    "ratio",
    "special",
    "pay_date",
    "becomes",
    "close_before",
    "close_on",
)
_NUMBERS = ("amount", "ratio", "close_before", "close_on")
_KINDS = ("dividend", "split", "renamed", "reorganised")
Actions = Mapping[Underlying, tuple[CorporateAction, ...] | Missing]
Closes = Callable[[Underlying, date], tuple[float | None, float | None]]
"""Traded (never adjusted) closes of the session before an ex-date and of the ex-date itself."""


@dataclass(frozen=True, slots=True)
class ActionBounds:
    """How far an action may be off before it is called wrong."""

    max_quarantined_share: float = 0.10
    largest_split: float = 50.0
    """New shares for one old, or old for one new."""
    regular_dividend: float = 0.10
    """Of the close before; a special one may be all of it."""
    price_room: float = 0.25
    """Relative, how far the move over a split may differ from its ratio: it is a trading day, too."""
    splits_apart_days: int = 20
    furthest_days: int = 366


@dataclass(frozen=True, slots=True)
class CheckedActions:
    """The actions of the companies that are left, and the proof for them."""

    actions: Mapping[Underlying, tuple[CorporateAction, ...]]
    report: CheckReport
    proof: Passed


def check_actions(
    actions: Actions,
    *,
    at: datetime,
    closes: Closes | None = None,
    bounds: ActionBounds | None = None,
) -> CheckedActions:
    """The actions by which prices and contracts may be adjusted; a faulty one takes out its company.

    ``closes`` gives the prices around an ex-date where they are known; a split that has passed must be
    seen in them.

    Raises: CheckFailed when more than ``bounds.max_quarantined_share`` of the companies is out, or when
    there is no action at all.
    """
    bounds = bounds or ActionBounds()
    verdict = check(
        action_frame(actions, closes or (lambda name, day: (None, None))),
        action_suite(at=at, bounds=bounds),
        at=at,
        key="underlying",
        absent={name: found.reason for name, found in actions.items() if isinstance(found, Missing)},
        max_quarantined=bounds.max_quarantined_share,
    )
    proof = verdict.proof()
    gone = {entry.ticker for entry in verdict.report.quarantined}
    left = {
        name: found for name, found in actions.items() if not isinstance(found, Missing) and name not in gone
    }
    return CheckedActions(left, verdict.report, proof)


def action_suite(*, at: datetime, bounds: ActionBounds) -> Suite:
    """What is expected of ``action_frame`` at one instant."""
    measure = partial(_measure, at=at, bounds=bounds)
    return Suite("corporate_actions", COLUMNS, ("underlying", "kind", "ex_date"), measure, RULES)


def action_frame(actions: Actions, closes: Closes) -> pd.DataFrame:
    """One row per action in the order given; what does not belong to its kind is NaN."""
    import pandas as pd

    rows = [
        (name, *_row(action), *closes(name, effective(action)))
        for name, found in actions.items()
        if not isinstance(found, Missing)
        for action in found
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("ex_date", "pay_date"):
        frame[column] = pd.to_datetime(frame[column])
    return frame.astype({**dict.fromkeys(_NUMBERS, "float64"), "special": object})


def _row(action: CorporateAction) -> tuple[Any, ...]:
    if isinstance(action, Split):
        return ("split", action.ex_date, None, action.ratio, None, None, None)
    if isinstance(action, CashDividend):
        return ("dividend", action.ex_date, action.amount, None, action.special, action.pay_date, None)
    if isinstance(action, Renamed):
        return ("renamed", action.day, None, None, None, None, action.new)
    return ("reorganised", action.day, None, None, None, None, None)


RULES: tuple[Rule, ...] = (
    Rule(
        "kind_known",
        "it is a dividend, a split, a renaming or another change",
        lambda f: f["kind"].isin(_KINDS),
    ),
    Rule("ex_date_given", "the ex-date is a day, without time and zone", lambda f: f["ex_date"].notna()),
    Rule("ex_date_trades", "the exchange trades on the ex-date", lambda f: f["ex_date_trades"]),
    Rule("not_too_far", "the ex-date is not too far ahead", lambda f: f["ex_date"] <= f["latest"]),
    Rule(
        "unique",
        "an action is listed once",
        lambda f: ~f.duplicated(["underlying", "kind", "ex_date"], keep=False) | f["two_dividends"],
        ("amount", "ratio"),
    ),
    Rule(
        "splits_apart",
        "a split is not listed again days later",
        lambda f: ~(f["split_gap_days"] < f["splits_apart_days"]),
        ("ratio", "split_gap_days"),
    ),
    Rule(
        "ratio_given",
        "a split has a ratio above zero that is not 1",
        lambda f: (f["ratio"] > 0) & (f["ratio"] != 1) | (f["kind"] != "split"),
        ("ratio",),
    ),
    Rule("ratio_plausible", "the ratio is one that splits have", lambda f: f["ratio_ok"], ("ratio",)),
    Rule(
        "seen_in_prices",
        "the price moved by the ratio over the ex-date",
        lambda f: f["seen"],
        ("ratio", "close_before", "close_on"),
    ),
    Rule(
        "amount_given",
        "a dividend is above zero",
        lambda f: (f["amount"] > 0) & (f["amount"] < float("inf")) | (f["kind"] != "dividend"),
        ("amount",),
    ),
    Rule(
        "dividend_plausible",
        "a dividend is a small part of the price, or special",
        lambda f: f["dividend_ok"],
        ("amount", "close_before", "special"),
    ),
    Rule(
        "paid_after_ex_date",
        "it is paid on or after the ex-date",
        lambda f: ~(f["pay_date"] < f["ex_date"]),
        ("pay_date",),
    ),
    Rule(
        "renamed_to_another",
        "a new name is given and is another",
        lambda f: f["becomes"].notna() & (f["becomes"] != f["underlying"]) | (f["kind"] != "renamed"),
        ("becomes",),
    ),
    Rule(
        "special_known",
        "it is known whether a dividend is special",
        lambda f: f["special"].notna() | (f["kind"] != "dividend"),
        ("amount",),
        Severity.WARNING,
    ),
)


def _measure(frame: pd.DataFrame, *, at: datetime, bounds: ActionBounds) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    numbers(frame, _NUMBERS)
    for column in ("ex_date", "pay_date"):
        frame[column] = days(frame[column])
    frame["ex_date_trades"] = on_session(frame["ex_date"])
    frame["latest"] = day_of(at) + pd.Timedelta(days=bounds.furthest_days)
    split, dividend = frame["kind"] == "split", frame["kind"] == "dividend"
    # A regular and a special dividend may go ex on one day; the same amount twice is one listed twice.
    same = frame.duplicated(["underlying", "ex_date", "amount"], keep=False)
    frame["two_dividends"] = dividend & ~same
    by_day = frame[split].sort_values(["underlying", "ex_date"], kind="stable")
    gaps = by_day.groupby("underlying", sort=False)["ex_date"].diff().dt.days
    frame["split_gap_days"] = gaps.reindex(frame.index)
    frame["splits_apart_days"] = bounds.splits_apart_days
    size = frame["ratio"].where(frame["ratio"] >= 1, 1 / frame["ratio"].where(frame["ratio"] != 0))
    frame["ratio_ok"] = (size <= bounds.largest_split) & _small_fraction(size) | ~split
    move = frame["close_before"] / frame["close_on"] / frame["ratio"]
    frame["seen"] = move.isna() | (np.abs(np.log(move.where(move > 0))) <= np.log1p(bounds.price_room))
    share = frame["amount"] / frame["close_before"]
    most = frame["special"].eq(True).map({True: 1.0, False: bounds.regular_dividend})
    frame["dividend_ok"] = ~dividend | share.isna() | (share <= most)
    return frame


def _small_fraction(size: pd.Series[float]) -> pd.Series[bool]:
    """Where a ratio of at least 1 is shares for shares: n for 1 to 20, like 3 for 2 or 11 for 10.

    Distributions of shares in another company are listed as odd ratios a little above 1; they pass.
    """
    import numpy as np

    near = np.zeros(len(size), dtype=bool)
    for old in range(1, 21):
        near |= (np.abs(size * old - np.round(size * old)) < 1e-3 * old).to_numpy()
    found: pd.Series[bool] = (size < 1.6) | near
    return found

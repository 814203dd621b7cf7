"""Positions as the broker lists them: one row for the cash and one per instrument, quantities signed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.contracts import STANDARD_MULTIPLIER, Instrument, OptionContract
from wsb_core.domain.ids import Cash
from wsb_core.domain.positions import Holding

from .gate import Rule, Suite, check
from .measures import day_of, days, finite, numbers

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("symbol", "kind", "quantity", "expiry", "multiplier", "standard", "expected")
_KINDS = ("cash", "share", "option")
_OCC_DATE = r"(\d{6})[CP]\d{8}$"
_NUMBERS = ("quantity", "multiplier", "expected")


@dataclass(frozen=True, slots=True)
class PositionBounds:
    """What positions may be before they are called wrong. Quantities are contracts or shares."""

    fractional_shares: bool = True
    short_shares: bool = False
    """Whether shares may be held short; if not, they mean an assignment that nobody has dealt with."""
    most_contracts: int = 10_000
    most_shares: int = 10_000_000


@dataclass(frozen=True, slots=True)
class CheckedPositions:
    """Holdings as they were read, whole, and the proof for them."""

    holdings: tuple[Holding, ...]
    report: CheckReport
    proof: Passed


def check_positions(
    holdings: Sequence[Holding],
    cash: Cash,
    *,
    at: datetime,
    known: Collection[str],
    expected: Mapping[Instrument, Decimal] | None = None,
    bounds: PositionBounds | None = None,
) -> CheckedPositions:
    """Every position, when each can be read and makes sense; one that does not fails them all.

    ``known`` are the symbols that exist, ``expected`` the ledger's quantities when it has any: a sign
    that differs from theirs is a fault, a quantity that differs is for reconciliation to settle. The cash
    (dollars) is a row as well, so that an account that holds nothing else is not an empty answer.

    Raises: CheckFailed naming each position that is wrong.
    """
    frame = position_frame(holdings, cash, expected or {})
    suite = position_suite(at=at, known=known, bounds=bounds or PositionBounds())
    verdict = check(frame, suite, at=at)
    return CheckedPositions(tuple(holdings), verdict.report, verdict.proof())


def position_suite(*, at: datetime, known: Collection[str], bounds: PositionBounds) -> Suite:
    """What is expected of ``position_frame`` at one instant."""
    measure = partial(_measure, at=at, known=frozenset(known), bounds=bounds)
    return Suite("positions", COLUMNS, ("symbol",), measure, RULES)


def position_frame(
    holdings: Sequence[Holding], cash: Cash, expected: Mapping[Instrument, Decimal]
) -> pd.DataFrame:
    """The cash in dollars, then one row per holding; ``expected`` is NaN where the ledger has nothing."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = [("USD", "cash", float(cash), None, 1, True, None)]
    for holding in holdings:
        held = holding.instrument
        option = isinstance(held, OptionContract)
        expiry = held.expiry if isinstance(held, OptionContract) else None
        standard = not isinstance(held, OptionContract) or held.standard
        kind = "option" if option else "share"
        wanted = expected.get(held)
        rows.append((held.symbol, kind, float(holding.quantity), expiry, held.multiplier, standard, wanted))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["expiry"] = pd.to_datetime(frame["expiry"])
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


RULES: tuple[Rule, ...] = (
    Rule("symbol_given", "the instrument is named", lambda f: f["symbol"].notna()),
    Rule("kind_known", "it is cash, a share or an option", lambda f: f["kind"].isin(_KINDS), ("kind",)),
    Rule("unique", "an instrument is listed once", lambda f: ~f.duplicated("symbol", keep=False)),
    Rule("known", "the instrument exists", lambda f: f["listed"] | (f["kind"] == "cash")),
    Rule("quantity_given", "the quantity is a finite number", finite("quantity"), ("quantity",)),
    Rule(
        "not_zero",
        "a position is not of nothing",
        lambda f: (f["quantity"] != 0) | (f["kind"] == "cash"),
        ("quantity",),
    ),
    Rule("integral", "contracts are whole", lambda f: f["whole"] | f["may_be_broken"], ("quantity",)),
    Rule(
        "size_plausible",
        "the quantity is no larger than allowed",
        lambda f: f["quantity"].abs() <= f["most"],
        ("quantity", "most"),
    ),
    Rule(
        "expiry_given", "an option has an expiry", lambda f: f["expiry"].notna() | ~f["option"], ("expiry",)
    ),
    Rule("not_expired", "the expiry is not past", lambda f: ~(f["expiry"] < f["today"]), ("expiry",)),
    Rule(
        "symbol_matches_expiry",
        "the symbol says the same expiry",
        lambda f: f["symbol_expiry"].eq(f["expiry"]) | ~f["option"],
        ("expiry", "symbol_expiry"),
    ),
    Rule(
        "multiplier_plausible",
        "100 shares to a standard contract, 1 to a share",
        lambda f: f["multiplier_ok"],
        ("multiplier",),
    ),
    Rule(
        "shares_not_short",
        "shares are not short",
        lambda f: (f["kind"] != "share") | (f["quantity"] > 0) | f["short_shares"],
        ("quantity",),
    ),
    Rule(
        "sign_as_expected",
        "it is on the side that the ledger has",
        lambda f: ~(f["quantity"] * f["expected"] < 0),
        ("quantity", "expected"),
    ),
    Rule(
        "standard_contract",
        "the deliverable is standard",
        lambda f: f["standard"].eq(True),
        ("multiplier",),
        Severity.WARNING,
    ),
)


def _measure(
    frame: pd.DataFrame, *, at: datetime, known: frozenset[str], bounds: PositionBounds
) -> pd.DataFrame:
    import pandas as pd

    numbers(frame, _NUMBERS)
    frame["expiry"] = days(frame["expiry"])
    frame["today"] = day_of(at)
    frame["listed"] = frame["symbol"].isin(known)
    frame["option"] = frame["kind"] == "option"
    frame["whole"] = frame["quantity"] % 1 == 0
    frame["may_be_broken"] = (frame["kind"] == "cash") | (frame["kind"] == "share") & bounds.fractional_shares
    frame["most"] = float("inf")
    frame.loc[frame["kind"] == "share", "most"] = bounds.most_shares
    frame.loc[frame["option"], "most"] = bounds.most_contracts
    written = frame["symbol"].astype("str").str.extract(_OCC_DATE, expand=False)
    frame["symbol_expiry"] = pd.to_datetime(written, format="%y%m%d", errors="coerce")
    usual = frame["option"].map({True: float(STANDARD_MULTIPLIER), False: 1.0})
    adjusted = frame["option"] & ~frame["standard"].eq(True) & (frame["multiplier"] > 0)
    frame["multiplier_ok"] = (frame["multiplier"] == usual) | adjusted
    frame["short_shares"] = bounds.short_shares
    return frame

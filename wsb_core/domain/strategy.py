"""What a strategy is: a few pure functions, and when they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from .calendar import Session
from .contracts import Right
from .ids import StrategyName, Underlying
from .orders import Proposal, Refusal
from .positions import Book, Position
from .quotes import Market

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd


class StrategyParams(BaseModel):
    """Base of every strategy's ``Params``: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "default"


P = TypeVar("P", bound=StrategyParams)


@dataclass(frozen=True, slots=True)
class ChainWindow:
    """Which part of a chain a strategy reads: calendar days to expiry, inclusive, and sides."""

    min_dte: int
    max_dte: int
    rights: tuple[Right, ...] = (Right.CALL, Right.PUT)


@dataclass(frozen=True, slots=True)
class Needs:
    """The data a strategy has to be fed."""

    bars: int
    """Completed daily sessions of history, with no hole in them."""
    chain: ChainWindow
    benchmark: Underlying | None = None
    benchmark_bars: int = 0
    """Completed sessions of the benchmark's history."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Daily bars of many tickers: wide frames, sessions down (ascending), tickers across, all alike.

    ``close`` and the rest are adjusted for splits and dividends. The last row may be a session in
    progress: then ``close`` is the last price and ``volume`` is scaled to the time of day.
    ``benchmark`` is the index's close on these sessions and, where it has a longer history, before.
    """

    open: pd.DataFrame
    high: pd.DataFrame
    low: pd.DataFrame
    close: pd.DataFrame
    volume: pd.DataFrame
    benchmark: pd.Series[float] | None = None

    def upto(self, session: date) -> Panel:
        """The panel as it stood on ``session``, that row included."""
        last = _stamp(session)
        return Panel(
            self.open.loc[:last],
            self.high.loc[:last],
            self.low.loc[:last],
            self.close.loc[:last],
            self.volume.loc[:last],
            None if self.benchmark is None else self.benchmark.loc[:last],
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One screening rule over all sessions: what was measured, and whether it held (False on NaN)."""

    name: str
    value: pd.DataFrame
    bound: str
    holds: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Screen:
    """The verdict on every session and ticker. ``rules`` are in the order in which they refuse."""

    rules: tuple[Rule, ...]
    score: pd.DataFrame
    """Ranks those that hold, higher first; NaN where it cannot be computed."""
    candidates: pd.DataFrame
    """Tickers worth a line in the decision record: where the strategy's trigger fired."""

    def selected(self, session: date) -> tuple[Underlying, ...]:
        """Tickers that pass every rule on ``session``, best score first, ties by name."""
        day = _stamp(session)
        ok = self.candidates.loc[day].copy()
        for rule in self.rules:
            ok &= rule.holds.loc[day]
        names = [str(name) for name in ok.index[ok]]
        scores = self.score.loc[day]
        return tuple(Underlying(name) for name in sorted(names, key=lambda n: (-float(scores[n]), n)))

    def refusals(self, session: date) -> tuple[Refusal, ...]:
        """For every candidate of ``session`` that is not selected, the first rule that refused it."""
        day = _stamp(session)
        row = self.candidates.loc[day]
        found = []
        for name in row.index[row]:
            rule = next((r for r in self.rules if not bool(r.holds.at[day, name])), None)
            if rule is not None:
                value = rule.value.at[day, name]
                found.append(Refusal(Underlying(str(name)), "screen", rule.name, f"{value:.4g}", rule.bound))
        return tuple(found)


def _stamp(session: date) -> pd.Timestamp:
    import pandas as pd

    return pd.Timestamp(session)


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep it. ``nearest`` says which exit rule is closest, with its numbers."""

    nearest: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """Close ``quantity`` units (all when None) because ``rule`` fired.

    ``urgent`` may cross the spread. ``confirm`` asks for a second read after that long, and the
    close happens only when the same rule fires again.
    """

    rule: str
    detail: str
    quantity: int | None = None
    urgent: bool = False
    confirm: timedelta | None = None


Decision = Hold | Close


@dataclass(frozen=True, slots=True)
class Slot:
    """A moment of the session at which a strategy decides, in exchange terms.

    Either ``minutes`` after the open (positive) or before the close (negative); the decision is
    good for ``window``. Half days move it with their close.
    """

    name: str
    minutes: int
    window: timedelta

    def starts(self, session: Session) -> datetime:
        return session.after_open(self.minutes) if self.minutes >= 0 else session.before_close(-self.minutes)

    def is_open(self, session: Session, at: datetime) -> bool:
        start = self.starts(session)
        return start <= at < start + self.window


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a strategy decides."""

    slots: tuple[Slot, ...]

    def slot_at(self, session: Session, at: datetime) -> Slot | None:
        """The slot whose window ``at`` is in; None outside every window."""
        return next((slot for slot in self.slots if slot.is_open(session, at)), None)


@dataclass(frozen=True, slots=True)
class Strategy(Generic[P]):
    """A strategy, whole. It does not size, check cash, know a broker or read a clock."""

    name: StrategyName
    title: str
    summary: str
    params: P
    presets: Mapping[str, P]
    universe: tuple[Underlying, ...]
    needs: Callable[[P], Needs]
    screen: Callable[[Panel, P], Screen]
    propose: Callable[[Market, Book, P], Sequence[Proposal | Refusal]]
    manage: Callable[[Position, Market, P], Decision]
    cadence: Cadence
    risk_tier: str = "medium"
    max_risk_per_trade: float = 0.01
    """Share of equity that one structure may lose; risk may lower it, never raise it."""
    max_open: int = 4
    max_per_sector: int = 2
    max_total_risk: float = 0.03
    """Share of equity that all open structures of this strategy may lose together."""
    max_new_per_session: int = 2
    notes: Callable[[P], str] = field(default=lambda params: "")


AnyStrategy = Strategy[Any]

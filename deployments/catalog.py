"""Every deployment as data. ``deployments/render.py`` turns this into ``prefect.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from wsb_core.domain.calendar import Session, session_on
from wsb_core.domain.strategy import AnyStrategy
from wsb_core.strategies import STRATEGIES

WORK_POOL = "trading"
TIMEZONE = "America/New_York"
START_LAG_MINUTES = 1
"""Runs are created a little into their window: a worker needs some seconds to start one."""
DATA = ("data",)
CONTROL = ("control",)
_FULL_DAY, _HALF_DAY = date(2025, 11, 26), date(2025, 11, 28)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One cron line in New York time. Cron knows no holidays: every flow checks the calendar itself."""

    slug: str
    cron: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A flow with its schedules, or with none when people start it.

    A second run of one that goes ``alone`` is cancelled while the first is going, never queued behind it.
    """

    name: str
    entrypoint: str
    description: str
    schedules: tuple[Schedule, ...]
    tags: tuple[str, ...] = ("trading",)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = True


def strategy_deployment(strategy: AnyStrategy) -> Deployment:
    """The deployment of one strategy: its slots on full days, and where they fall on half days."""
    schedules = []
    for slot in strategy.cadence.slots:
        for day, suffix in ((_FULL_DAY, ""), (_HALF_DAY, "-half-day")):
            schedules.append(Schedule(slot.name + suffix, _cron(slot.starts(_session(day)))))
    unique = {schedule.cron: schedule for schedule in reversed(schedules)}
    return Deployment(
        name=strategy.name.replace("_", "-"),
        entrypoint=f"flows/run_strategy.py:{strategy.name}",
        description=f"{strategy.title}. {strategy.summary}",
        schedules=tuple(reversed(unique.values())),
        tags=("trading", "strategy"),
    )


def _session(day: date) -> Session:
    session = session_on(day)
    if session is None:
        raise ValueError(f"{day} is not a session")
    return session


def _cron(at: Any) -> str:
    minute = at.hour * 60 + at.minute + START_LAG_MINUTES
    return f"{minute % 60} {minute // 60} * * 1-5"


# Minutes are staggered: starting several runs at once costs more than a minute on two cores.
SYSTEM = (
    Deployment(
        "manage-positions",
        "flows/manage_positions.py:manage_positions",
        "Exits for every strategy, every five minutes while the market is open.",
        (Schedule("session", "*/5 9-15 * * 1-5"),),
    ),
    Deployment(
        "reconcile",
        "flows/reconcile.py:reconcile",
        "Ledger against broker: before the open, through the session, after the close.",
        (
            Schedule("early", "0 8 * * 1-5"),
            Schedule("pre-open", "26 9 * * 1-5"),
            Schedule("session", "3,18,33,48 9-15 * * 1-5"),
            Schedule("post-close", "20 16 * * 1-5"),
        ),
    ),
    Deployment(
        "halt",
        "flows/control.py:halt",
        "Stop entries and cancel those that are working, of one strategy or all; flatten closes everything.",
        (),
        tags=CONTROL,
        alone=False,
    ),
    Deployment(
        "resume",
        "flows/control.py:resume",
        "Lift the halts of a strategy or of all; a hard one asks a person first.",
        (),
        tags=CONTROL,
        alone=False,
    ),
    Deployment(
        "drill",
        "flows/drill.py:drill",
        "The kill switch, tried on an exchange and a ledger of its own.",
        (Schedule("morning", "50 6 * * 1-5"),),
        tags=CONTROL,
    ),
    Deployment(
        "corporate-actions",
        "flows/corporate_actions.py:corporate_actions",
        "Dividends, splits, new tickers and reorganisations into the history store, before the open.",
        (Schedule("morning", "40 6 * * 1-5"),),
        tags=DATA,
    ),
    Deployment(
        "earnings-calendar-refresh",
        "flows/earnings_calendar_refresh.py:earnings_calendar_refresh",
        "When companies report, from every source, and what changed; before the open and after the close.",
        (Schedule("morning", "0 7 * * 1-5"), Schedule("evening", "0 17 * * 1-5")),
        tags=DATA,
    ),
    Deployment(
        "iv-history",
        "flows/iv_history.py:iv_history",
        "The 30-day volatility of every name into the history store.",
        (Schedule("close", "46 15 * * 1-5"), Schedule("close-half-day", "46 12 * * 1-5")),
        tags=DATA,
    ),
    Deployment(
        "record-chains",
        "flows/record_chains.py:record_chains",
        "One snapshot of every option chain into the history store.",
        (Schedule("close", "52 15 * * 1-5"), Schedule("close-half-day", "52 12 * * 1-5")),
        tags=DATA,
    ),
    Deployment(
        "ingest-bars",
        "flows/ingest_bars.py:ingest_bars",
        "Daily bars as traded into the history store.",
        (Schedule("evening", "15 18 * * 1-5"),),
        tags=DATA,
    ),
)


def catalog() -> tuple[Deployment, ...]:
    """All deployments: one for each registered strategy, then the flows that serve all of them."""
    return (*(strategy_deployment(strategy) for strategy in STRATEGIES.values()), *SYSTEM)

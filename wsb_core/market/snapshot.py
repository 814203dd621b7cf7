"""Checked frames in, panels and markets out."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from wsb_core.domain.calendar import Session
from wsb_core.domain.checks import Passed
from wsb_core.domain.ids import Underlying
from wsb_core.domain.quotes import Chain, Events, Market, Quote
from wsb_core.domain.strategy import Panel

if TYPE_CHECKING:
    import pandas as pd

# Share of a full day's volume done by each tenth of the session. An assumed U shape (heavy first and
# last half hour), not a measured profile: relative volume built on it is a coarse figure.
_CUMULATIVE = (0.0, 0.15, 0.26, 0.36, 0.45, 0.53, 0.60, 0.67, 0.75, 0.85, 1.0)


def volume_fraction(session: Session, at: datetime) -> float:
    """Share of the day's volume that is usually done by ``at``: 0 before the open, 1 after the close.

    Half days stretch the same shape over their shorter session.
    """
    elapsed = (at - session.opens) / (session.closes - session.opens)
    position = min(max(elapsed, 0.0), 1.0) * (len(_CUMULATIVE) - 1)
    index = min(int(position), len(_CUMULATIVE) - 2)
    low, high = _CUMULATIVE[index], _CUMULATIVE[index + 1]
    return low + (high - low) * (position - index)


def build_panel(
    history: pd.DataFrame,
    benchmark: pd.DataFrame | None,
    today: pd.DataFrame,
    *,
    session: Session,
    at: datetime,
) -> Panel:
    """Wide frames from long ones, the session in progress as the last row.

    ``history`` and ``benchmark`` hold completed sessions before ``session`` only; ``today`` the
    session so far, its volume scaled up to a full day by the usual share done by ``at``. Tickers that
    did not come today have NaN in the last row.

    Raises: ValueError when a history reaches into ``session`` or beyond.
    """
    import pandas as pd

    stamp = pd.Timestamp(session.day)
    for frame in (history, benchmark):
        if frame is not None and len(frame) and frame["session"].max() >= stamp:
            raise ValueError(f"history reaches {frame['session'].max():%Y-%m-%d}, not before {session.day}")
    done = max(volume_fraction(session, at), 0.01)
    scaled = today.assign(session=stamp, volume=today["volume"] / done)
    whole = pd.concat([history, scaled[scaled["symbol"].isin(set(history["symbol"]))]], ignore_index=True)
    columns = ("open", "high", "low", "close", "volume")
    wide = {c: whole.pivot(index="session", columns="symbol", values=c).sort_index() for c in columns}
    index = None
    if benchmark is not None:
        name = benchmark["symbol"].iloc[0]
        level = pd.concat([benchmark, scaled[scaled["symbol"] == name]], ignore_index=True)
        index = level.set_index("session")["close"].sort_index()
    return Panel(benchmark=index, **wide)


def build_market(
    underlying: Underlying,
    *,
    panel: Panel,
    session: date,
    at: datetime,
    spot: Quote,
    chain: Chain,
    events: Events,
    proofs: tuple[Passed, ...],
    iv_percentile: float | None,
) -> Market:
    """One underlying's market out of the checked panel and chain."""
    import pandas as pd

    columns = {name: getattr(panel, name)[underlying] for name in ("open", "high", "low", "close", "volume")}
    bars = pd.DataFrame(columns).dropna()
    stamp = pd.Timestamp(session)
    today = bars.loc[stamp] if stamp in bars.index else None
    return Market(
        underlying=underlying,
        as_of=at,
        session=session,
        spot=spot,
        bars=bars.loc[bars.index < stamp],
        today=today,
        chain=chain,
        events=events,
        proofs=proofs,
        iv_percentile=iv_percentile,
    )

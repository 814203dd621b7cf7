"""Bars, chains, volatilities and corporate actions into the history store, checked before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from prefect import task
from prefect.artifacts import create_table_artifact

import data_checks
from tasks.checks import CHECK, judge_chains, keep, kept
from tasks.desk import Collection, held
from tasks.market import Quoted, read_chains
from tasks.notify import notify
from tasks.retry import ONCE, READ
from tasks.wiring import wiring
from wsb_core.domain.calendar import last_session_on_or_before, shift
from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split, effective
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Bars, Missing
from wsb_core.domain.quotes import Chain, Quote
from wsb_core.domain.strategy import ChainWindow
from wsb_core.market.history import Whole
from wsb_core.market.recording import chain_rows, dividend_rows, identity_rows, split_rows
from wsb_core.market.volatility import iv_rows, iv_standing, thirty_day_iv

FIRST_LOAD, OVERLAP = 400, 30
"""Sessions that a name's first bars go back, and those read again each time, as corrections come late."""
ACTIONS_BACK, ACTIONS_AHEAD = timedelta(days=10), timedelta(days=45)
BEGINNING = date(1990, 1, 1)
"""The first day of a ticker whose own first day nobody told."""
CHAINS = ChainWindow(0, 120)
AROUND_THIRTY = ChainWindow(7, 65)

Actions = Mapping[Underlying, tuple[CorporateAction, ...]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Chains that passed their check, each with its spot; what did not, with the reason."""

    chains: Mapping[Underlying, Chain]
    spots: Mapping[Underlying, Quote]
    refused: Mapping[Underlying, str]


# Bars


@task(**READ)
def fetch_raw_bars(run: Collection, symbols: Sequence[Underlying]) -> tuple[Bars, ...]:
    """Completed sessions as traded: a year and a half of names that are new, the last weeks of the others."""
    w = wiring()
    last = last_session_on_or_before(run.day)
    known = w.history.coverage("daily", symbols, run.as_of)
    new = [name for name in symbols if not known[name]]
    parts = [(new, FIRST_LOAD), ([name for name in symbols if known[name]], OVERLAP)]
    return tuple(w.data.raw_bars(names, shift(last, -back), last) for names, back in parts if names)


@task(**CHECK)
def check_raw_bars(run: Collection, fetched: Sequence[Bars], actions: Actions) -> tuple[Bars, ...]:
    """Bars that may be kept. A faulty ticker is taken out by name; splits explain their own jumps.

    Raises: CheckFailed when too many tickers are faulty.
    """
    good = []
    for bars in fetched:
        newest = bars.frame["session"].max()
        session = shift(newest.date(), 1) if len(bars.frame) else run.day
        with kept(run):
            checked = data_checks.check_bars(
                bars,
                session=session,
                lookback=min(OVERLAP, bars.frame["session"].nunique()),
                at=run.as_of,
                actions=_jumps(actions),
                known_gaps=wiring().settings.known_gaps,
                bounds=data_checks.BarBounds(require_adjusted=False),
            )
        keep(run, checked.report)
        good.append(Bars(checked.frame, bars.adjusted, bars.provenance, bars.missing, bars.others))
    return tuple(good)


@task(**ONCE)
def keep_bars(run: Collection, good: Sequence[Bars]) -> str:
    """New and corrected bars into the store, and how many there were."""
    added, names = 0, 0
    for bars in good:
        by = {name: provenance.source for name, provenance in bars.others.items()}
        source = bars.frame["symbol"].map(by).fillna(bars.provenance.source)
        frame = bars.frame[["symbol", "session", "open", "high", "low", "close", "volume"]]
        added += wiring().history.write("daily", frame.assign(source=source), run.as_of, called_on=run.day)
        names += bars.frame["symbol"].nunique()
    missing = [each for bars in good for each in bars.missing]
    gone = f"; missing: {', '.join(str(each.underlying) for each in missing)}" if missing else ""
    return f"{added} new bars of {names} names{gone}"


def _jumps(actions: Actions) -> Mapping[Underlying, Mapping[date, float | None]]:
    """The factor that each split puts on the price."""
    return {
        name: {one.ex_date: 1 / float(one.ratio) for one in found if isinstance(one, Split)}
        for name, found in actions.items()
    }


# Chains and volatilities


@task(**READ)
def fetch_recorded(run: Collection, symbols: Sequence[Underlying], window: ChainWindow) -> Quoted:
    """Quotes and chains of every name."""
    return read_chains(symbols, window, run.day)


@task(**CHECK)
def check_recorded(run: Collection, quoted: Quoted) -> Recorded:
    """Chains that may be kept. Raises: CheckFailed when more than half of them are bad."""
    judged = judge_chains(run, quoted)
    return Recorded(judged.chains, judged.spots, {each.underlying: each.rule for each in judged.refused})


@task(**CHECK)
def check_volatilities(run: Collection, found: Recorded) -> Recorded:
    """Chains whose volatilities fit their prices, each other and parity.

    Raises: CheckFailed when more than half of them do not.
    """
    if not found.chains:
        return found
    with kept(run):
        checked = data_checks.check_smiles(found.chains, found.spots, at=run.as_of)
    keep(run, checked.report)
    out = {Underlying(each.ticker): each.expectation for each in checked.report.quarantined}
    return Recorded(checked.chains, found.spots, {**found.refused, **out})


@task(**ONCE)
def keep_chains(run: Collection, found: Recorded) -> str:
    """One snapshot of every chain into the store, in one write."""
    import pandas as pd

    if not found.chains:
        return f"no chain passed its check: {_reasons(found.refused)}"
    rows = [chain_rows(chain, run.day, run.as_of) for chain in found.chains.values()]
    added = wiring().history.write("chain", pd.concat(rows, ignore_index=True), run.as_of)
    return f"{added} contracts of {len(found.chains)} names{_left_out(found)}"


@task(**ONCE)
def keep_volatilities(run: Collection, found: Recorded) -> str:
    """Today's 30-day volatility of every name into the store, and a table of where each stands."""
    store = wiring().history
    vols, shown = {}, []
    for name, chain in found.chains.items():
        mid = found.spots[name].mid
        iv = None if mid is None else thirty_day_iv(chain, float(mid), run.as_of)
        standing = iv_standing(store, name, run.day, iv, run.as_of)
        shown.append(
            {
                "name": str(name),
                "30-day volatility": "unknown" if iv is None else f"{iv:.1%}",
                "rank": _figure(standing.rank),
                "percentile": _figure(standing.percentile),
                "stored sessions": standing.days,
                "standing": str(standing.status),
                "feed": str(chain.provenance.feed),
            }
        )
        if iv is not None:
            vols[name] = (iv, chain.provenance.source)
    if vols:
        store.write("iv", iv_rows(vols, run.day, run.as_of), run.as_of)
    create_table_artifact(shown, key="iv-history", description=f"30-day volatility, {run.day}")
    return f"30-day volatility of {len(vols)} names{_left_out(found)}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _left_out(found: Recorded) -> str:
    return f"; left out: {_reasons(found.refused)}" if found.refused else ""


def _reasons(refused: Mapping[Underlying, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in refused.items())


# Corporate actions


@task(**READ)
def fetch_actions(run: Collection, symbols: Sequence[Underlying]) -> Actions:
    """What has happened lately and what is announced, of the names that a source covers."""
    told = wiring().data.corporate_actions(symbols, *_span(run))
    return {name: found for name, found in told.items() if not isinstance(found, Missing)}


@task(**CHECK)
def check_actions(run: Collection, actions: Actions) -> Actions:
    """Actions by which prices may be adjusted. A faulty company is taken out by name.

    Raises: CheckFailed when too many are faulty.
    """
    if not any(actions.values()):
        return actions
    with kept(run):
        checked = data_checks.check_actions(actions, at=run.as_of)
    keep(run, checked.report)
    return checked.actions


@task(**ONCE)
def keep_actions(run: Collection, actions: Actions) -> str:
    """Dividends, splits and new tickers into the store, a table of them, and word of changed contracts."""
    store, (first, last) = wiring().history, _span(run)
    every = [one for found in actions.values() for one in found]
    source = wiring().data.name
    whole = Whole(tuple(sorted(actions)), first, last, source)
    store.write("dividends", dividend_rows(every, source), run.as_of, whole=whole)
    store.write("splits", split_rows(every, source), run.as_of, whole=whole)
    for one in every:
        if isinstance(one, Renamed) and one.day <= run.day:
            _rename(run, one, source)
    create_table_artifact(
        [_action_row(name, one) for name, found in actions.items() for one in found],
        key="corporate-actions",
        description=f"{first} to {last}",
    )
    _tell(run, actions)
    return f"{len(every)} actions of {len(actions)} names"


def _rename(run: Collection, one: Renamed, source: str) -> None:
    """The identity table learns a new ticker, unless it knows it already."""
    store = wiring().history
    names = store.names(run.as_of)
    if any(span.symbol == one.old for span in names.trail(str(one.new), one.day)):
        return
    before = names.trail(str(one.old), one.day - timedelta(days=1))[-1:]
    instrument, began = (before[0].instrument, before[0].first) if before else (str(one.old), BEGINNING)
    store.write("identity", identity_rows(one, instrument, max(began, BEGINNING), source), run.as_of)


def _tell(run: Collection, actions: Actions) -> None:
    """One message for what will change contracts that are held."""
    ours = held()
    upset = [
        (name, one)
        for name, found in actions.items()
        for one in found
        if name in ours
        and effective(one) >= run.day
        and not (isinstance(one, CashDividend) and not one.special)
    ]
    if not upset:
        return
    notify(
        key=f"actions:{run.day}:{','.join(sorted({str(name) for name, _ in upset}))}",
        severity="critical",
        title=f"Contracts will change: {', '.join(sorted({str(name) for name, _ in upset}))}",
        what="\n".join(_in_words(name, one) for name, one in upset),
        did="Stored. Nothing was traded on it.",
        do="Close before the day, or be ready for adjusted contracts: they are tracked and never opened.",
    )


def _in_words(name: Underlying, one: CorporateAction) -> str:
    row = _action_row(name, one)
    return f"{row['name']}: {row['what']} on {row['day']}"


def _action_row(name: Underlying, one: CorporateAction) -> dict[str, str]:
    return {"name": str(name), "day": str(effective(one)), "what": _what(one)}


def _what(one: CorporateAction) -> str:
    if isinstance(one, CashDividend):
        return f"{'special ' if one.special else ''}dividend of ${one.amount}"
    if isinstance(one, Split):
        return f"split, {one.ratio:g} new for 1 old"
    return f"becomes {one.new}" if isinstance(one, Renamed) else one.kind.replace("_", " ")


def _span(run: Collection) -> tuple[date, date]:
    return run.day - ACTIONS_BACK, run.day + ACTIONS_AHEAD

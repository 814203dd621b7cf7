"""The data checks as tasks: each leaves its verdict in the ledger and in the run's artifacts.

They are called directly, never submitted: a check whose failure nobody awaits is no check. What
passes comes back as a type that only a passed check can make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import task
from prefect.artifacts import create_markdown_artifact

import data_checks
from data_checks import CheckFailed
from tasks.desk import Collection, Desk
from tasks.market import Fetched, Quoted
from tasks.retry import ONCE
from tasks.wiring import wiring
from wsb_core.domain.checks import CheckReport, Passed
from wsb_core.domain.ids import Underlying
from wsb_core.domain.orders import Refusal
from wsb_core.domain.ports import Bars
from wsb_core.domain.positions import Book
from wsb_core.domain.quotes import Chain, Market, Quote
from wsb_core.domain.strategy import Needs, Panel
from wsb_core.market.snapshot import build_market, build_panel
from wsb_core.market.volatility import iv_standing, thirty_day_iv

CHECK = {**ONCE, "timeout_seconds": 120}
MAX_QUOTE_AGE_SECONDS = 30.0
MAX_QUARANTINED_SHARE = 0.5
"""Of the candidates' chains; beyond it the source is at fault, not a ticker."""


@dataclass(frozen=True, slots=True)
class CheckedUniverse:
    """Bars that passed, as the strategy's panel. Who was taken out is in the report."""

    panel: Panel
    report: CheckReport
    proof: Passed


@dataclass(frozen=True, slots=True)
class CheckedMarkets:
    """One market for each candidate whose chain passed; the others with the first reason against them."""

    markets: tuple[Market, ...]
    refused: tuple[Refusal, ...]
    report: CheckReport | None


@dataclass(frozen=True, slots=True)
class Judged:
    """Chains that passed, with the proof that goes with them."""

    spots: Mapping[Underlying, Quote]
    chains: Mapping[Underlying, Chain]
    proof: Passed | None
    report: CheckReport | None
    refused: tuple[Refusal, ...]

    def market(self, before: Market) -> Market | Refusal:
        """``before`` with the quotes read and checked now, or why there are none."""
        underlying = before.underlying
        if underlying not in self.chains or self.proof is None:
            return next(
                (r for r in self.refused if r.underlying == underlying),
                Refusal(underlying, "gate", "quote_recheck", "no chain", "a checked chain"),
            )
        kept = tuple(proof for proof in before.proofs if proof.suite != self.proof.suite)
        return Market(
            underlying=underlying,
            as_of=self.proof.checked_at,
            session=before.session,
            spot=self.spots[underlying],
            bars=before.bars,
            today=before.today,
            chain=self.chains[underlying],
            events=before.events,
            proofs=(*kept, self.proof),
            iv_percentile=before.iv_percentile,
        )


@task(**CHECK)
def check_account(desk: Desk, book: Book) -> None:
    """The account's own figures: there, finite, fresh, and of this account.

    Raises: CheckFailed.
    """
    w = wiring()
    with kept(desk):
        checked = data_checks.check_account(
            book.account, w.ledger.holdings(desk.account), account=desk.account, at=w.clock.now()
        )
    keep(desk, checked.report)


@task(**CHECK)
def check_bars(desk: Desk, fetched: Fetched, needs: Needs) -> CheckedUniverse:
    """The bars that screening may read. A bad ticker is taken out by name.

    Raises: CheckFailed when too many tickers are bad, or the benchmark is.
    """
    checked = _judge_bars(desk, fetched.history, needs.bars, None)
    index = None
    if fetched.benchmark is not None:
        index = _judge_bars(desk, fetched.benchmark, needs.benchmark_bars, needs.benchmark)
    panel = build_panel(
        checked.frame,
        None if index is None else index.frame,
        fetched.today.frame,
        session=desk.session,
        at=desk.as_of,
    )
    return CheckedUniverse(panel, checked.report, checked.proof)


def _judge_bars(
    desk: Desk, bars: Bars, lookback: int, benchmark: Underlying | None
) -> data_checks.CheckedBars:
    w = wiring()
    with kept(desk):
        checked = data_checks.check_bars(
            bars,
            session=desk.session.day,
            lookback=lookback,
            at=w.clock.now(),
            benchmark=benchmark,
            known_gaps=w.settings.known_gaps,
        )
    keep(desk, checked.report)
    return checked


@task(**CHECK)
def check_chains(desk: Desk, quoted: Quoted, universe: CheckedUniverse) -> CheckedMarkets:
    """The candidates' quotes and chains, made into markets. A bad chain takes out its ticker by name.

    Raises: CheckFailed when more than the allowed share of the candidates is bad.
    """
    w = wiring()
    judged = judge_chains(desk, quoted)
    if judged.proof is None:
        return CheckedMarkets((), judged.refused, None)
    markets = tuple(
        build_market(
            underlying,
            panel=universe.panel,
            session=desk.session.day,
            at=judged.proof.checked_at,
            spot=judged.spots[underlying],
            chain=chain,
            events=w.events.events(underlying, desk.session.day),
            proofs=(universe.proof, judged.proof),
            iv_percentile=_iv_percentile(desk, underlying, chain, judged.spots[underlying]),
        )
        for underlying, chain in judged.chains.items()
    )
    return CheckedMarkets(markets, judged.refused, judged.report)


@task(**CHECK)
def check_held(desk: Desk, book: Book, quoted: Quoted) -> CheckedMarkets:
    """The quotes of what is held, made into markets; no history is asked for, so none can block an exit."""
    return judge_held(desk, book, quoted)


def judge_held(desk: Desk, book: Book, quoted: Quoted) -> CheckedMarkets:
    """Markets of the held names whose quotes passed."""
    import pandas as pd

    judged = judge_chains(desk, quoted, held=True)
    if judged.proof is None:
        return CheckedMarkets((), judged.refused, None)
    w = wiring()
    empty = pd.DataFrame(columns=["open", "high", "low", "close", "volume"], dtype=float)
    markets = tuple(
        Market(
            underlying=underlying,
            as_of=judged.proof.checked_at,
            session=desk.session.day,
            spot=judged.spots[underlying],
            bars=empty,
            today=None,
            chain=chain,
            events=w.events.events(underlying, desk.session.day),
            proofs=(judged.proof,),
        )
        for underlying, chain in judged.chains.items()
    )
    return CheckedMarkets(markets, judged.refused, judged.report)


def judge_chains(desk: Desk | Collection, quoted: Quoted, *, held: bool = False) -> Judged:
    """Check all chains in one validation. For what is held, one bad chain never blocks another's exit.

    Raises: CheckFailed when more than the allowed share is bad (entries only).
    """
    missing = tuple(
        Refusal(m.underlying, "check", "quote_missing", "none", "a quote", m.reason) for m in quoted.missing
    )
    if not quoted.chains:
        return Judged({}, {}, None, None, missing)
    w = wiring()
    with kept(desk):
        checked = data_checks.check_chains(
            quoted.chains,
            quoted.spots,
            at=w.clock.now(),
            max_age_seconds=MAX_QUOTE_AGE_SECONDS,
            required_feed=w.required_feed,
            bounds=data_checks.HELD_CONTRACTS if held else None,
            max_quarantined_share=1.0 if held else MAX_QUARANTINED_SHARE,
        )
    keep(desk, checked.report)
    refused = tuple(
        Refusal(Underlying(q.ticker), "check", q.expectation, "failed", "hold", q.detail)
        for q in checked.report.quarantined
    )
    spots = {name: quoted.spots[name] for name in checked.chains}
    return Judged(spots, checked.chains, checked.proof, checked.report, (*missing, *refused))


def _iv_percentile(desk: Desk, underlying: Underlying, chain: Chain, spot: Quote) -> float | None:
    """Where today's 30-day volatility stands in the stored history; None while that is insufficient."""
    if spot.mid is None:
        return None
    w = wiring()
    now = thirty_day_iv(chain, float(spot.mid), desk.as_of)
    return iv_standing(w.history, underlying, desk.session.day, now, desk.as_of).percentile


@contextmanager
def kept(desk: Desk | Collection) -> Iterator[None]:
    """A failed check's report is kept and shown too, and then the failure goes on its way."""
    try:
        yield
    except CheckFailed as failed:
        keep(desk, failed.report)
        raise


def keep(desk: Desk | Collection, report: CheckReport) -> None:
    """Into the ledger and the run's artifacts."""
    wiring().ledger.record_check(desk.run_id, report)
    key = f"check-{report.suite.replace('_', '-')}"
    create_markdown_artifact(
        data_checks.as_markdown(report), key=key, description=f"{report.suite}: {report.rows} rows"
    )

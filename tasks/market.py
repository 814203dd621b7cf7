"""Prices in: bars, quotes, chains. Reads only, retried on transient errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from prefect import task

from tasks.desk import Desk
from tasks.retry import READ
from tasks.wiring import wiring
from wsb_core.domain.calendar import shift
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Bars, Missing
from wsb_core.domain.positions import Book
from wsb_core.domain.quotes import Chain, Quote
from wsb_core.domain.strategy import ChainWindow, Needs


@dataclass(frozen=True, slots=True)
class Fetched:
    """Daily history up to yesterday, the benchmark's longer one, and the session so far."""

    history: Bars
    benchmark: Bars | None
    today: Bars


@dataclass(frozen=True, slots=True)
class Quoted:
    """Spot quotes and chains of some underlyings; what did not come is named with its reason."""

    spots: Mapping[Underlying, Quote]
    chains: Mapping[Underlying, Chain]
    missing: tuple[Missing, ...]


@task(**READ)
def fetch_bars(desk: Desk, universe: Sequence[Underlying], needs: Needs) -> Fetched:
    """Completed sessions before today's and the session so far, for the universe and its benchmark."""
    data = wiring().data
    day, names = desk.session.day, list(universe)
    last = shift(day, -1)
    history = data.bars(names, shift(day, -needs.bars), last)
    index = None
    if needs.benchmark is not None:
        index = data.bars([needs.benchmark], shift(day, -max(needs.benchmark_bars, 1)), last)
        names.append(needs.benchmark)
    return Fetched(history, index, data.today(names))


@task(**READ)
def fetch_chains(desk: Desk, underlyings: Sequence[Underlying], needs: Needs) -> Quoted:
    """Spot quotes and option chains of the candidates. One chain that cannot be read fails the task."""
    return read_chains(underlyings, needs.chain, desk.session.day, entry=True)


@task(**READ)
def fetch_held(desk: Desk, book: Book) -> Quoted:
    """Spot quotes and the chains that cover every held contract."""
    return read_held(desk, book)


def read_held(desk: Desk, book: Book) -> Quoted:
    """Spot quotes and chains of what is held, read now, before anybody else's requests."""
    contracts = [contract for position in book.positions for contract in position.structure.contracts]
    dtes = [contract.dte(desk.session.day) for contract in contracts]
    window = ChainWindow(min(dtes, default=0), max(dtes, default=0))
    names = sorted({position.underlying for position in book.positions})
    with wiring().data.urgent():
        return read_chains(names, window, desk.session.day)


def read_chains(
    underlyings: Sequence[Underlying], window: ChainWindow, on: date, *, entry: bool = False
) -> Quoted:
    """Spot quotes and chains, read now; those for an entry are held against a second source.

    Raises: Transient or Terminal when anything asked for could not be read whole.
    """
    data = wiring().data
    spots: dict[Underlying, Quote] = {}
    chains: dict[Underlying, Chain] = {}
    missing = []
    answers: Mapping[Underlying, Quote | Missing] = {}
    if underlyings:
        # Shares with options that are traded here are liquid: two sources may hardly differ.
        answers = data.confirmed_quotes(underlyings, underlyings) if entry else data.quotes(underlyings)
    for underlying in underlyings:
        answer = answers[underlying]
        if isinstance(answer, Missing):
            missing.append(answer)
            continue
        spots[underlying] = answer
        chains[underlying] = data.chain(underlying, window, on)
    return Quoted(spots, chains, tuple(missing))

"""Small worlds for tests: each builder hides what the test at hand is not about.

The default session is an ordinary Wednesday, seen at 15:40 New York time, with AAPL at 100 and one call that
the card of the dip bot would buy: 30 days, delta 0.35, 3.96 to 4.04.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from wsb_core.domain.calendar import NEW_YORK, sessions_between, shift
from wsb_core.domain.checks import CheckReport, Finding, Passed, Severity
from wsb_core.domain.contracts import Instrument, OptionContract, Right, Share
from wsb_core.domain.events import Announcement, ReportTime
from wsb_core.domain.ids import AccountId, Cash, ClientOrderId, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, IntentKey, OrderState, Proposal
from wsb_core.domain.positions import AccountState, Book, OpenOrder, Position
from wsb_core.domain.quotes import Chain, Events, FeedClass, Market, OptionQuote, Provenance, Quote
from wsb_core.domain.strategy import Panel
from wsb_core.domain.structures import Structure, single

AAPL = Underlying("AAPL")
ACCOUNT = AccountId("PRACTICE-1")
DIP_BOT = StrategyName("wsb_dip_bot")
SESSION = date(2024, 5, 15)
EXPIRY = date(2024, 6, 14)
AS_OF = datetime(2024, 5, 15, 15, 40, tzinfo=NEW_YORK)
BAR_FIELDS = ("open", "high", "low", "close", "volume")
PROVENANCE = Provenance("builder", FeedClass.REALTIME, AS_OF)


def at(session: date, hour: int, minute: int = 0) -> datetime:
    """An instant of ``session`` on the exchange's clock."""
    return datetime(session.year, session.month, session.day, hour, minute, tzinfo=NEW_YORK)


def a_call(
    strike: str = "105", expiry: date = EXPIRY, underlying: str = "AAPL", **more: Any
) -> OptionContract:
    return OptionContract(underlying, expiry, Right.CALL, Decimal(strike), Underlying(underlying), **more)


def a_put(strike: str = "95", expiry: date = EXPIRY, underlying: str = "AAPL", **more: Any) -> OptionContract:
    return OptionContract(underlying, expiry, Right.PUT, Decimal(strike), Underlying(underlying), **more)


def a_two_sided(
    instrument: Instrument, bid: str | None, ask: str | None, provenance: Provenance = PROVENANCE
) -> Quote:
    """A plain quote; a side given as None was not quoted."""
    sides = [None if side is None else Price(Decimal(side)) for side in (bid, ask)]
    return Quote(instrument, sides[0], sides[1], 10, 10, provenance)


def a_quote(
    contract: OptionContract | None = None,
    *,
    bid: str | None = "3.96",
    ask: str | None = "4.04",
    iv: float | None = 0.35,
    delta: float | None = 0.35,
    gamma: float | None = 0.03,
    theta: float | None = -0.06,
    vega: float | None = 0.11,
    open_interest: int | None = 2000,
    volume: int | None = 400,
    provenance: Provenance = PROVENANCE,
) -> OptionQuote:
    """One line of a chain, liquid unless told otherwise; pass None for what the vendor did not give."""
    quote = a_two_sided(contract or a_call(), bid, ask, provenance)
    return OptionQuote(quote, iv, delta, gamma, theta, vega, open_interest, volume)


def a_chain(*quotes: OptionQuote, underlying: str = "AAPL") -> Chain:
    return Chain(Underlying(underlying), tuple(quotes), PROVENANCE)


def a_proof(suite: str) -> Passed:
    """Proof of a passed check, made the only way there is."""
    finding = Finding("rows are there", True, Severity.CRITICAL, "1 row")
    return CheckReport(suite, "digest", AS_OF, 1, (finding,)).proof()


@lru_cache(maxsize=32)
def sessions_up_to(last: date, count: int) -> tuple[date, ...]:
    """``count`` trading days ending at ``last``."""
    return sessions_between(shift(last, -(count - 1)), last)


def some_bars(closes: Sequence[float], last: date, volume: float = 50e6) -> pd.DataFrame:
    """Daily bars that end at session ``last``: each opens at the close before and ranges 0.5 % beyond."""
    close = np.asarray(closes, dtype=float)
    opened = np.concatenate([close[:1], close[:-1]])
    frame = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.005,
        "low": np.minimum(opened, close) * 0.995,
        "close": close,
        "volume": np.full(len(close), volume),
    }
    index = pd.DatetimeIndex([pd.Timestamp(day) for day in sessions_up_to(last, len(close))], name="session")
    return pd.DataFrame(frame, index=index)


def a_dip(quiet: int = 250, level: float = 85.28, run: float = 0.25, fall: float = 0.06) -> list[float]:
    """Closes of a quiet stretch, a ten-session run of ``run`` and, last, a day that falls by ``fall``."""
    wiggle = level * (1 + 0.002 * np.array([(-1) ** i for i in range(quiet)]))
    climb = wiggle[-1] * (1 + run) ** (np.arange(1, 11) / 10)
    return [*wiggle, *climb, climb[-1] * (1 - fall)]


def a_panel(closes: Mapping[str, Sequence[float]] | None = None, last: date = SESSION, **more: Any) -> Panel:
    """A panel whose last row is ``last``; ``volume`` and ``benchmark`` (closes) may be given.

    The benchmark climbs gently unless told otherwise; ``benchmark=None`` leaves it out.
    """
    bars = {
        name: some_bars(series, last, more.get("volume", 50e6))
        for name, series in (closes or {"AAPL": a_dip()}).items()
    }
    wide = {field: pd.DataFrame({n: b[field] for n, b in bars.items()}) for field in BAR_FIELDS}
    index = wide["close"].index
    rising = 400.0 * 1.0004 ** np.arange(len(index))
    closes_of_index = more.get("benchmark", rising)
    benchmark = (
        None if closes_of_index is None else pd.Series(np.asarray(closes_of_index, float), index=index)
    )
    return Panel(**wide, benchmark=benchmark)


def a_report(
    on: date | Announcement,
    underlying: str = "AAPL",
    time: ReportTime = ReportTime.DURING,
    *,
    last: date | None = None,
    confirmed: bool | None = True,
    sources: tuple[str, ...] = ("one", "other"),
) -> Announcement:
    """A report on a day, certain unless told otherwise; an announcement is handed back as it is."""
    if isinstance(on, Announcement):
        return on
    return Announcement(Underlying(underlying), on, last or on, time, confirmed, sources)


def a_market(
    *quotes: OptionQuote,
    underlying: str = "AAPL",
    spot: str = "100",
    session: date = SESSION,
    as_of: datetime | None = None,
    closes: Sequence[float] | None = None,
    today: Mapping[str, float] | None = None,
    no_today: bool = False,
    earnings: tuple[date | Announcement, ...] | None = (),
    known_from: date = date.min,
    ex_dividend: date | None = None,
    iv_percentile: float | None = 50.0,
) -> Market:
    """A checked market. ``closes`` are sessions before ``session``, ``today`` is the one so far."""
    name, middle = Underlying(underlying), Decimal(spot)
    reports = None if earnings is None else tuple(a_report(day, underlying) for day in earnings)
    when = as_of or at(session, 15, 40)
    seen = replace(PROVENANCE, as_of=when)
    share = Quote(Share(name), Price(middle - Decimal("0.01")), Price(middle + Decimal("0.01")), 5, 5, seen)
    history = some_bars(closes if closes is not None else a_dip()[:-1], shift(session, -1))
    price = float(middle)
    high, low = price * 1.06, price * 0.99
    bar = today or {"open": price * 1.05, "high": high, "low": low, "close": price, "volume": 9e7}
    return Market(
        underlying=name,
        as_of=when,
        session=session,
        spot=share,
        bars=history,
        today=None if no_today else pd.Series(dict(bar), dtype=float),
        chain=Chain(name, tuple(quotes), seen),
        events=Events(reports, known_from, ex_dividend),
        proofs=(a_proof("bars"), a_proof("option_chain")),
        iv_percentile=iv_percentile,
    )


def a_position(
    structure: Structure | OptionContract | None = None,
    *,
    quantity: int = 2,
    entry: str = "-4.00",
    opened: date = SESSION,
    strategy: str = DIP_BOT,
    opened_quantity: int | None = 2,
    **facts: str,
) -> Position:
    """Units of a structure bought at 4.00 near the close of ``opened``; a contract is held long."""
    held = structure if isinstance(structure, Structure) else single(structure or a_call())
    paid = Price(Decimal(entry))
    when = at(opened, 15, 45)
    return Position(
        ACCOUNT, StrategyName(strategy), held, quantity, paid, when, opened, facts, opened_quantity
    )


def an_open_order(
    structure: Structure | OptionContract | None = None,
    *,
    quantity: int = 1,
    strategy: str | None = DIP_BOT,
    opening: bool = True,
    state: OrderState = OrderState.WORKING,
    max_loss: str = "400",
    client_order_id: str = "wsb-elsewhere-1",
) -> OpenOrder:
    held = structure if isinstance(structure, Structure) else single(structure or a_call())
    owner = None if strategy is None else StrategyName(strategy)
    loss = Cash(Decimal(max_loss))
    return OpenOrder(ClientOrderId(client_order_id), owner, held, opening, quantity, state, loss)


def an_account(equity: str = "100000", **more: Any) -> AccountState:
    """An account at rest: all cash, level 3, not blocked."""
    dollars = Cash(Decimal(equity))
    figures: dict[str, Any] = {
        "equity": dollars,
        "cash": dollars,
        "buying_power": dollars,
        "options_buying_power": dollars,
        "options_level": 3,
        "blocked": False,
        "as_of": AS_OF.astimezone(UTC),
    }
    return AccountState(ACCOUNT, **{**figures, **more})


def a_book(
    *positions: Position, orders: Sequence[OpenOrder] = (), equity: str = "100000", **more: Any
) -> Book:
    """A book whose equity is where it opened and where it peaked; ``account`` replaces the whole account."""
    account = more.pop("account", None) or an_account(equity)
    figures = {"equity_at_open": account.equity, "peak_equity": account.equity, "as_of": AS_OF, **more}
    return Book(account, tuple(positions), tuple(orders), **figures)


def a_proposal(
    structure: Structure | OptionContract | None = None,
    *,
    limit: str = "-4.00",
    effect: Effect = Effect.OPEN,
    quantity: int | None = None,
    **facts: str,
) -> Proposal:
    held = structure if isinstance(structure, Structure) else single(structure or a_call())
    return Proposal(held, effect, Price(Decimal(limit)), "because the test says so", facts, quantity)


def a_key(proposal: Proposal, session: date = SESSION, strategy: str = DIP_BOT) -> IntentKey:
    """The key of a proposal decided near the close of ``session``."""
    action = "open" if proposal.effect is Effect.OPEN else f"close {proposal.structure.symbol}"
    return IntentKey(ACCOUNT, StrategyName(strategy), session, "close-25m", proposal.underlying, action)

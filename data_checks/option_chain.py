"""Option chains: one row per contract, in dollars per share, beside the quote of the underlying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain import calendar
from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.contracts import STANDARD_MULTIPLIER
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.quotes import Chain, FeedClass, Quote

from .gate import Checked, Rule, Suite, check
from .measures import age_seconds, feed_serves, numbers, on_session, recent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "underlying",
    "occ_symbol",
    "root",
    "right",
    "strike",
    "expiry",
    "multiplier",
    "standard",
    "bid",
    "ask",
    "iv",
    "delta",
    "open_interest",
    "quoted_at",
    "snapshot_at",
    "feed",
    "spot_bid",
    "spot_ask",
    "spot_at",
    "spot_feed",
)
_NUMBERS = ("strike", "multiplier", "bid", "ask", "iv", "delta", "open_interest", "spot_bid", "spot_ask")
_MOST_IV = 5.0
_MOST_DEVIATION = 2.0
"""Volatility times root of years, up to which more than ``_MOST_IV`` is believed in the last week."""
_OCC = r"[A-Z0-9]{1,6} *\d{6}[CP]\d{8}"


@dataclass(frozen=True, slots=True)
class ChainBounds:
    """How far a chain may be off before it is called wrong.

    ``max_rate`` and ``max_carry`` (continuous, per year) widen the put-call band by what interest, and
    dividends or borrowing, can at most explain; ``parity_share`` (of spot) and ``cents`` are the room
    left for quotes that were not taken at one instant.
    """

    max_quote_age_seconds: float = 900.0
    min_two_sided: int = 4
    around_spot: bool = True
    """Strikes have to lie on both sides of the spot."""
    cents: float = 0.05
    parity_share: float = 0.001
    max_rate: float = 0.07
    max_carry: float = 0.05
    contract_faults: float = 0.05
    """Share of a chain's contracts that may be faulty (and are removed) before it is quarantined."""


HELD_CONTRACTS = ChainBounds(min_two_sided=0, around_spot=False, contract_faults=1.0)
"""For a chain cut down to what is held: a bad quote takes out its contract, and never its neighbour."""


@dataclass(frozen=True, slots=True)
class CheckedChain:
    """One chain without its faulty contracts, and the proof for it."""

    chain: Chain
    report: CheckReport
    proof: Passed


@dataclass(frozen=True, slots=True)
class CheckedChains:
    """The chains that are left, without their faulty contracts, and the proof for all of them."""

    chains: Mapping[Underlying, Chain]
    report: CheckReport
    proof: Passed


def check_chain(
    chain: Chain,
    *,
    spot: Quote,
    at: datetime,
    max_age_seconds: float,
    required_feed: FeedClass | None,
    bounds: ChainBounds | None = None,
) -> CheckedChain:
    """One chain, judged as ``check_chains`` judges many.

    Raises: CheckFailed when the chain is not fit to choose a contract from.
    """
    name = chain.underlying
    found = check_chains(
        {name: chain},
        {name: spot},
        at=at,
        max_age_seconds=max_age_seconds,
        required_feed=required_feed,
        bounds=bounds,
    )
    return CheckedChain(found.chains[name], found.report, found.proof)


def check_chains(
    chains: Mapping[Underlying, Chain | Missing],
    spots: Mapping[Underlying, Quote | Missing],
    *,
    at: datetime,
    max_age_seconds: float,
    required_feed: FeedClass | None,
    bounds: ChainBounds | None = None,
    max_quarantined_share: float = 0.5,
) -> CheckedChains:
    """The chains from which a contract may be chosen at ``at``, judged in one validation.

    Single bad contracts are removed; a chain with too many of them, or one that is late, one-sided, of
    a worse feed than ``required_feed`` (None: any) or not around its spot, is quarantined by name.

    Raises: CheckFailed when more than ``max_quarantined_share`` of the chains are out.
    """
    verdict = judge_chains(
        chains,
        spots,
        at=at,
        max_age_seconds=max_age_seconds,
        required_feed=required_feed,
        bounds=bounds,
        max_quarantined_share=max_quarantined_share,
    )
    proof = verdict.proof()
    quotes = [quote for chain in chains.values() if isinstance(chain, Chain) for quote in chain]
    left = {}
    for name, rows in verdict.frame.groupby("underlying", sort=False).groups.items():
        chain = chains[Underlying(str(name))]
        if isinstance(chain, Chain):
            left[chain.underlying] = chain.only(quotes[row] for row in rows)
    return CheckedChains(left, verdict.report, proof)


def judge_chains(
    chains: Mapping[Underlying, Chain | Missing],
    spots: Mapping[Underlying, Quote | Missing],
    *,
    at: datetime,
    max_age_seconds: float,
    required_feed: FeedClass | None,
    bounds: ChainBounds | None = None,
    max_quarantined_share: float = 0.5,
) -> Checked:
    """``check_chains`` without raising: the whole verdict on ``chain_frame``, failed or not."""
    suite = chain_suite(
        at=at, max_age_seconds=max_age_seconds, required_feed=required_feed, bounds=bounds or ChainBounds()
    )
    absent: dict[str, str] = {}
    for name, chain in chains.items():
        if isinstance(chain, Missing):
            absent[name] = chain.reason
        elif not chain.quotes:
            absent[name] = "the chain has no contract"
    return check(
        chain_frame(chains, spots),
        suite,
        at=at,
        key="underlying",
        absent=absent,
        max_quarantined=max_quarantined_share,
    )


def chain_suite(
    *, at: datetime, max_age_seconds: float, required_feed: FeedClass | None, bounds: ChainBounds
) -> Suite:
    """What is expected of ``chain_frame`` at one instant."""
    measure = partial(_measure, at=at, max_age=max_age_seconds, required=required_feed, bounds=bounds)
    return Suite(
        "option_chain",
        COLUMNS,
        ("underlying", "occ_symbol"),
        measure,
        RULES,
        tolerance=bounds.contract_faults,
    )


def chain_frame(
    chains: Mapping[Underlying, Chain | Missing], spots: Mapping[Underlying, Quote | Missing]
) -> pd.DataFrame:
    """One row per contract in the order of the chains; what was not given is NaN or NaT."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for name, chain in chains.items():
        if isinstance(chain, Missing):
            continue
        spot = spots.get(name)
        beside = _spot(spot if isinstance(spot, Quote) else None)
        rows.extend((*_row(quote, chain), *beside) for quote in chain)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("quoted_at", "snapshot_at", "spot_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    frame["expiry"] = pd.to_datetime(frame["expiry"])
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


def _row(entry: Any, chain: Chain) -> tuple[Any, ...]:
    contract, quote = entry.contract, entry.quote
    return (
        chain.underlying,
        contract.occ_symbol,
        contract.root,
        contract.right.value,
        contract.strike,
        contract.expiry,
        contract.multiplier,
        contract.standard,
        quote.bid,
        quote.ask,
        entry.iv,
        entry.delta,
        entry.open_interest,
        quote.provenance.as_of,
        chain.provenance.as_of,
        chain.provenance.feed.value,
    )


def _spot(quote: Quote | None) -> tuple[Any, ...]:
    if quote is None:
        return (None, None, None, None)
    return (quote.bid, quote.ask, quote.provenance.as_of, quote.provenance.feed.value)


RULES: tuple[Rule, ...] = (
    Rule(
        "feed_good_enough",
        "chain and spot come from a feed good enough",
        lambda f: f["feed_ok"],
        ("feed", "spot_feed"),
    ),
    Rule(
        "taken_in_a_session",
        "the exchange trades on the day the chain was taken",
        lambda f: f["taken_in_session"],
        ("snapshot_at",),
    ),
    Rule(
        "snapshot_fresh", "the chain is no older than allowed", lambda f: f["snapshot_ok"], ("snapshot_age",)
    ),
    Rule(
        "spot_two_sided",
        "the underlying has a bid and an ask, not crossed",
        lambda f: (f["spot_bid"] > 0) & (f["spot_ask"] >= f["spot_bid"]),
        ("spot_bid", "spot_ask"),
    ),
    Rule(
        "spot_fresh", "the underlying's quote is no older than allowed", lambda f: f["spot_ok"], ("spot_age",)
    ),
    Rule(
        "spot_inside_strikes",
        "strikes lie on both sides of the spot",
        lambda f: (f["lowest_strike"] <= f["spot"]) & (f["spot"] <= f["highest_strike"]) | ~f["around_spot"],
        ("spot", "lowest_strike", "highest_strike"),
    ),
    Rule(
        "enough_two_sided",
        "enough contracts are quoted on both sides",
        lambda f: f["two_sided_in_chain"] >= f["two_sided_wanted"],
        ("two_sided_in_chain", "two_sided_wanted"),
    ),
    Rule("symbol_well_formed", "occ_symbol is an OCC symbol", lambda f: f["occ_symbol"].str.fullmatch(_OCC)),
    Rule("unique", "one row per contract", lambda f: ~f.duplicated(["underlying", "occ_symbol"], keep=False)),
    Rule("right_known", "right is C or P", lambda f: f["right"].isin(["C", "P"]), ("right",)),
    Rule("strike_positive", "strike is above zero", lambda f: f["strike"] > 0, ("strike",)),
    Rule("expiry_trades", "the expiry is a trading day", lambda f: f["expiry_trades"], ("expiry",)),
    Rule("not_expired", "the expiry is not past", lambda f: f["expiry"] >= f["today"], ("expiry",)),
    Rule("bid_positive", "a bid is above zero", lambda f: f["bid"].isna() | (f["bid"] > 0), ("bid",)),
    Rule("ask_positive", "an ask is above zero", lambda f: f["ask"].isna() | (f["ask"] > 0), ("ask",)),
    Rule("not_crossed", "bid <= ask", lambda f: ~(f["bid"] > f["ask"]), ("bid", "ask")),
    Rule(
        "open_interest_not_negative",
        "open interest is zero or more",
        lambda f: ~(f["open_interest"] < 0),
        ("open_interest",),
    ),
    Rule(
        "delta_has_the_right_sign",
        "delta is 0 to 1 on calls and -1 to 0 on puts",
        lambda f: f["delta"].isna() | (f["signed_delta"] >= 0) & (f["signed_delta"] <= 1),
        ("right", "delta"),
    ),
    Rule(
        "no_vertical_arbitrage",
        "no spread of neighbouring strikes can be sold for a sure gain",
        lambda f: f["vertical_ok"],
        ("bid", "ask", "neighbour"),
    ),
    Rule(
        "parity_in_band",
        "call and put agree with the spot within costs",
        lambda f: f["parity_ok"],
        ("bid", "ask", "spot", "parity_gap"),
    ),
    Rule(
        "standard_contract",
        "100 shares, standard deliverable",
        lambda f: (f["multiplier"] == STANDARD_MULTIPLIER) & f["standard"].eq(True),
        ("root", "multiplier"),
        counts=False,
    ),
    Rule(
        "quote_fresh",
        "a quote is no older than allowed",
        lambda f: f["quote_ok"],
        ("quote_age",),
        counts=False,
    ),
    Rule(
        "iv_plausible",
        "implied volatility is 1 to 500 %, more in the last days",
        lambda f: f["iv"].isna() | (f["iv"] >= 0.01) & (f["iv"] <= f["most_iv"]),
        ("iv",),
        counts=False,
    ),
    Rule(
        "bid_given",
        "somebody bids",
        lambda f: f["bid"].notna() | f["ask"].isna(),
        ("bid", "ask"),
        Severity.WARNING,
    ),
    Rule("not_locked", "bid below ask", lambda f: ~(f["bid"] == f["ask"]), ("bid", "ask"), Severity.WARNING),
)


def _measure(
    frame: pd.DataFrame, *, at: datetime, max_age: float, required: FeedClass | None, bounds: ChainBounds
) -> pd.DataFrame:
    import pandas as pd

    numbers(frame, _NUMBERS)
    frame["expiry"] = pd.to_datetime(frame["expiry"], errors="coerce")
    frame["occ_symbol"] = frame["occ_symbol"].astype("str")
    today = at.astimezone(calendar.NEW_YORK).date()
    frame["today"] = pd.Timestamp(today)
    taken = pd.to_datetime(frame["snapshot_at"], utc=True, errors="coerce").dt.tz_convert(calendar.NEW_YORK)
    taken = taken.dt.tz_localize(None).dt.normalize()
    frame["taken_in_session"] = on_session(taken)
    frame["expiry_trades"] = on_session(frame["expiry"])
    frame["feed_ok"] = feed_serves(frame["feed"], required) & feed_serves(frame["spot_feed"], required)
    _measure_ages(frame, at, max_age, bounds)
    frame["spot"] = (frame["spot_bid"] + frame["spot_ask"]) / 2
    by = frame.groupby("underlying", sort=False)
    frame["lowest_strike"] = by["strike"].transform("min")
    frame["highest_strike"] = by["strike"].transform("max")
    usable = frame["quote_ok"] & (frame["bid"] > 0) & (frame["ask"] >= frame["bid"])
    frame["two_sided_in_chain"] = usable.groupby(frame["underlying"]).transform("sum")
    frame["two_sided_wanted"] = bounds.min_two_sided
    frame["around_spot"] = bounds.around_spot
    frame["signed_delta"] = frame["delta"].where(frame["right"] == "C", -frame["delta"])
    # Far out of the money in the last days a cent is worth thousands of percent.
    left = (frame["expiry"] - frame["today"]).dt.days.clip(lower=1)
    frame["most_iv"] = (_MOST_DEVIATION / (left / 365) ** 0.5).clip(lower=_MOST_IV).where(left <= 7, _MOST_IV)
    _measure_verticals(frame, bounds)
    _measure_parity(frame, today, bounds)
    return frame


def _measure_ages(frame: pd.DataFrame, at: datetime, max_age: float, bounds: ChainBounds) -> None:
    """Seconds since each time stamp. A contract without a quote has none to be stale."""
    for name, column in (("snapshot", "snapshot_at"), ("spot", "spot_at"), ("quote", "quoted_at")):
        most = bounds.max_quote_age_seconds if name == "quote" else max_age
        frame[f"{name}_age"] = age_seconds(frame[column], at)
        frame[f"{name}_ok"] = recent(frame[f"{name}_age"], most)
    frame["quote_ok"] |= frame["bid"].isna() & frame["ask"].isna()


def _measure_verticals(frame: pd.DataFrame, bounds: ChainBounds) -> None:
    """Marks both contracts of a spread of neighbours that pays at least zero and could be had for less.

    Per right, expiry and root: the option nearer the money may not be bought (ask) for less than the
    one further out is sold (bid), nor sold for more than the further one and the strikes' distance.
    """
    import pandas as pd

    quoted = frame[(frame["bid"] > 0) & (frame["ask"] >= frame["bid"])]
    ordered = quoted.sort_values(["underlying", "root", "right", "expiry", "strike"])
    by = ordered.groupby(["underlying", "root", "right", "expiry"], sort=False)
    before = pd.DataFrame({name: by[name].shift() for name in ("bid", "ask", "strike", "occ_symbol")})
    call = ordered["right"] == "C"
    # The near one of a pair is the lower call and the higher put.
    near_bid, far_bid = before["bid"].where(call, ordered["bid"]), ordered["bid"].where(call, before["bid"])
    near_ask, far_ask = before["ask"].where(call, ordered["ask"]), ordered["ask"].where(call, before["ask"])
    width = ordered["strike"] - before["strike"]
    wrong = (far_bid - near_ask > bounds.cents) | (near_bid - far_ask > width + bounds.cents)
    blamed = wrong | wrong.groupby([ordered[c] for c in ("underlying", "root", "right", "expiry")]).shift(
        -1, fill_value=False
    )
    frame["vertical_ok"] = ~blamed.reindex(frame.index, fill_value=False)
    frame["neighbour"] = before["occ_symbol"].reindex(frame.index)


def _measure_parity(frame: pd.DataFrame, today: date, bounds: ChainBounds) -> None:
    """``parity_gap``: dollars by which a call and its put leave the band, 0 inside it.

    American options: S e^(-carry T) - K <= C - P <= S - K e^(-rate T); European ones lie within, too.
    Source: Hull, Options, Futures, and Other Derivatives, section 11.4.
    """
    import numpy as np
    import pandas as pd

    quoted = frame[(frame["bid"] > 0) & (frame["ask"] >= frame["bid"]) & (frame["spot"] > 0)]
    pair = ["underlying", "root", "expiry", "strike"]
    both = pd.merge(
        quoted[quoted["right"] == "C"].reset_index(names="call_row"),
        quoted[quoted["right"] == "P"].reset_index(names="put_row"),
        on=pair,
        suffixes=("", "_put"),
    )
    years = (both["expiry"] - pd.Timestamp(today)).dt.days.clip(lower=0) / 365
    room = bounds.cents + bounds.parity_share * both["spot"]
    most = both["spot_ask"] - both["strike"] * np.exp(-bounds.max_rate * years) + room
    least = both["spot_bid"] * np.exp(-bounds.max_carry * years) - both["strike"] - room
    dear = (both["bid"] - both["ask_put"]) - most
    cheap = least - (both["ask"] - both["bid_put"])
    gap = np.maximum(0.0, np.maximum(dear, cheap)).round(4)
    found = pd.concat(
        [pd.Series(gap.to_numpy(), both["call_row"]), pd.Series(gap.to_numpy(), both["put_row"])]
    )
    frame["parity_gap"] = found.groupby(level=0).max().reindex(frame.index)
    frame["parity_ok"] = ~(frame["parity_gap"] > 0)

"""Implied volatilities and smiles: one row per contract, judged against the prices beside them.

What volatilities say is compared with what the quotes say: the forward is read from put-call parity,
and from there each volatility must give back its own price.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain import calendar
from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.contracts import ExerciseStyle, Settlement
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.quotes import Chain, Quote

from .gate import Rule, Suite, check
from .measures import days, numbers
from .option_chain import chain_frame

if TYPE_CHECKING:
    import pandas as pd

_FROM_CHAIN = (
    "underlying",
    "occ_symbol",
    "root",
    "right",
    "strike",
    "expiry",
    "bid",
    "ask",
    "iv",
    "delta",
    "spot_bid",
    "spot_ask",
)
COLUMNS = (*_FROM_CHAIN, "european", "am_settled")
_NUMBERS = ("strike", "bid", "ask", "iv", "delta", "spot_bid", "spot_ask")
_SLICE = ["underlying", "root", "expiry"]
_DAY = 1 / 365
_LAST_DAYS = 2.5 / 365
"""To settlement: within these, the instants of quotes and spot matter more than any volatility."""
_NEAREST = 5


@dataclass(frozen=True, slots=True)
class SmileBounds:
    """How far volatilities may be off before they are called wrong.

    ``near`` is how many standard deviations of the expiry around the forward are looked at closely:
    further out a cent of price is many points of volatility. Rates and carry are continuous, per year.
    """

    max_quarantined_share: float = 0.5
    near: float = 1.5
    lowest_iv: float = 0.01
    highest_iv: float = 5.0
    highest_deviation: float = 2.0
    """Volatility times root of years, up to which more than ``highest_iv`` is believed in the last week."""
    least_of_scale: float = 0.3
    """Of the volatility at the money, which no strike is so far below."""
    price_off: float = 0.10
    """Of the mid, how far a volatility's own price may lie outside the quote."""
    smile_off: float = 0.15
    """Of the neighbours' volatility, how far one may stand out."""
    pair_off: float = 0.15
    instant_share: float = 0.0015
    """Of spot, by which a vendor's spot may have moved between its own reading and that of the quotes."""
    delta_off: float = 0.08
    cents: float = 0.05
    parity_share: float = 0.0007
    """Of spot: how far mids of a call and its put may be off the line of their expiry."""
    parity_window: float = 0.10
    max_rate: float = 0.07
    max_carry: float = 0.10
    contract_faults: float = 0.05


@dataclass(frozen=True, slots=True)
class CheckedSmiles:
    """The chains whose volatilities may be used, without the faulty contracts, and the proof."""

    chains: Mapping[Underlying, Chain]
    report: CheckReport
    proof: Passed


def check_smiles(
    chains: Mapping[Underlying, Chain | Missing],
    spots: Mapping[Underlying, Quote | Missing],
    *,
    at: datetime,
    bounds: SmileBounds | None = None,
) -> CheckedSmiles:
    """The chains from whose volatilities a surface may be made at ``at``.

    Single bad contracts are removed; a chain with too many is quarantined by name.

    Raises: CheckFailed when more than ``bounds.max_quarantined_share`` of the chains are out.
    """
    bounds = bounds or SmileBounds()
    verdict = check(
        smile_frame(chains, spots),
        smile_suite(at=at, bounds=bounds),
        at=at,
        key="underlying",
        absent={name: chain.reason for name, chain in chains.items() if isinstance(chain, Missing)},
        max_quarantined=bounds.max_quarantined_share,
    )
    proof = verdict.proof()
    quotes = [quote for chain in chains.values() if isinstance(chain, Chain) for quote in chain]
    left = {}
    for name, rows in verdict.frame.groupby("underlying", sort=False).groups.items():
        chain = chains[Underlying(str(name))]
        if isinstance(chain, Chain):
            left[chain.underlying] = chain.only(quotes[row] for row in rows)
    return CheckedSmiles(left, verdict.report, proof)


def smile_suite(*, at: datetime, bounds: SmileBounds) -> Suite:
    """What is expected of ``smile_frame`` at one instant."""
    measure = partial(_measure, at=at, bounds=bounds)
    return Suite(
        "iv_and_smile",
        COLUMNS,
        ("underlying", "occ_symbol"),
        measure,
        RULES,
        tolerance=bounds.contract_faults,
    )


def smile_frame(
    chains: Mapping[Underlying, Chain | Missing], spots: Mapping[Underlying, Quote | Missing]
) -> pd.DataFrame:
    """One row per contract in the order of the chains; what was not given is NaN."""
    contracts = [q.contract for chain in chains.values() if isinstance(chain, Chain) for q in chain]
    return chain_frame(chains, spots)[list(_FROM_CHAIN)].assign(
        european=[contract.style is ExerciseStyle.EUROPEAN for contract in contracts],
        am_settled=[contract.settlement is Settlement.AM for contract in contracts],
    )


RULES: tuple[Rule, ...] = (
    Rule("not_settled", "the contract has not settled yet", lambda f: f["years_left"] > 0, ("expiry",)),
    Rule("iv_positive", "a volatility is above zero", lambda f: ~(f["iv"] <= 0), ("iv",)),
    Rule("iv_plausible", "a volatility is 1 to 500 %, more in the last days", lambda f: f["iv_ok"], ("iv",)),
    Rule(
        "iv_in_scale",
        "no volatility is a small part of that at the money",
        lambda f: ~(f["iv"] < f["least_iv"]),
        ("iv", "least_iv"),
        counts=False,
    ),
    Rule(
        "iv_given",
        "a two-sided quote near the money has a volatility",
        lambda f: f["iv"].notna() | ~f["looked_at"],
        ("bid", "ask", "iv"),
    ),
    Rule(
        "forward_near_spot",
        "the forward that parity gives is within rates and dividends of the spot",
        lambda f: f["forward_ok"],
        ("spot", "forward"),
    ),
    Rule(
        "iv_gives_its_price",
        "a volatility gives back the quote it was made of",
        lambda f: ~(f["price_gap"] > 0),
        ("bid", "ask", "iv", "iv_price"),
    ),
    Rule(
        "delta_matches_iv",
        "delta is that of the volatility",
        lambda f: ~(f["delta_gap"] > f["most_delta_gap"]),
        ("iv", "delta", "delta_gap"),
    ),
    Rule(
        "smile_smooth",
        "no volatility stands out among its neighbours",
        lambda f: ~(f["smile_gap"] > f["most_smile_gap"]),
        ("iv", "neighbours_iv"),
    ),
    Rule(
        "call_and_put_iv_agree",
        "call and put of a strike have one volatility",
        lambda f: ~(f["pair_gap"] > f["most_pair_gap"]),
        ("iv", "pair_gap"),
    ),
    Rule(
        "no_butterfly_arbitrage",
        "no butterfly can be had for a sure gain",
        lambda f: ~(f["butterfly_gain"] > 0),
        ("bid", "ask", "butterfly_gain"),
    ),
    Rule(
        "no_calendar_arbitrage",
        "no later expiry can be had for less than an earlier one",
        lambda f: ~(f["calendar_gain"] > 0),
        ("bid", "ask", "calendar_gain"),
    ),
    Rule(
        "parity_residual",
        "call and put lie on their expiry's line",
        lambda f: ~(f["residual"].abs() > f["most_residual"]),
        ("bid", "ask", "residual", "most_residual"),
        counts=False,
    ),
    Rule(
        "forward_found",
        "parity gives a forward for the expiry",
        lambda f: f["forward"].notna() | ~(f["years_left"] > 0),
        ("expiry",),
        Severity.WARNING,
    ),
    Rule(
        "iv_computed",
        "a contract with a bid has a volatility",
        lambda f: f["iv"].notna() | ~f["two_sided"],
        ("bid", "ask"),
        Severity.WARNING,
    ),
)


def _measure(frame: pd.DataFrame, *, at: datetime, bounds: SmileBounds) -> pd.DataFrame:
    import numpy as np

    numbers(frame, _NUMBERS)
    frame["expiry"] = days(frame["expiry"])
    frame["years_left"] = _years(frame, at)
    frame["years"] = frame["years_left"].clip(lower=_DAY / 24)
    frame["spot"] = (frame["spot_bid"] + frame["spot_ask"]) / 2
    frame["two_sided"] = (frame["bid"] > 0) & (frame["ask"] >= frame["bid"]) & np.isfinite(frame["ask"])
    frame["mid"] = ((frame["bid"] + frame["ask"]) / 2).where(frame["two_sided"])
    frame["call"] = frame["right"] == "C"
    frame["slice"] = frame.groupby(_SLICE, sort=False, dropna=False).ngroup()
    _measure_forwards(frame, bounds)
    center = frame["forward"].fillna(frame["spot"])
    frame["k"] = np.log(frame["strike"].where(frame["strike"] > 0) / center.where(center > 0))
    otm = frame["call"] & (frame["k"] >= 0) | ~frame["call"] & (frame["k"] < 0)
    lasting = frame["two_sided"] & (frame["years_left"] > _LAST_DAYS)
    near = lasting & (frame["k"].abs() <= bounds.near * frame["sd"])
    frame["near"] = near
    frame["at_money"] = lasting & (frame["k"].abs() <= 0.5 * bounds.near * frame["sd"])
    frame["looked_at"] = near & otm & frame["forward"].notna()
    _measure_scale(frame, bounds)
    _measure_prices(frame, bounds)
    _measure_neighbours(frame, bounds)
    _measure_pairs(frame, bounds)
    _measure_butterflies(frame, bounds)
    _measure_calendars(frame, bounds)
    return frame


def _years(frame: pd.DataFrame, at: datetime) -> pd.Series[float]:
    """Act/365 to settlement: 16:00 in New York, or 9:30 where the opening prices count."""
    import pandas as pd

    hours = frame["am_settled"].eq(True).map({True: 9.5, False: 16.0})
    settles = (frame["expiry"] + pd.to_timedelta(hours, unit="h")).dt.tz_localize(calendar.NEW_YORK)
    found: pd.Series[float] = (settles - pd.Timestamp(at)).dt.total_seconds() / 86400.0 / 365.0
    return found


def _measure_forwards(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """Forward, discount factor and standard deviation (by the straddle) of each root and expiry."""
    import numpy as np

    # Imported late: it pulls what prices options, which no other suite needs.
    from wsb_core.pricing.forward import ExpiryQuotes, implied_forward

    found = np.full((int(frame["slice"].max()) + 1, 3), np.nan)
    columns = [frame[name].to_numpy() for name in ("strike", "bid", "ask", "call")]
    for number, rows in frame.groupby("slice").indices.items():
        if not frame["years_left"].iat[rows[0]] > 0:
            continue
        quotes = ExpiryQuotes(*(column[rows] for column in columns))
        line = implied_forward(quotes, float(frame["years"].iat[rows[0]]))
        found[number] = (line.forward, line.discount, _deviation(quotes, line.forward))
    frame[["forward", "discount", "sd"]] = found[frame["slice"].to_numpy()]
    room = bounds.cents / frame["spot"] + 0.01
    carried = np.log(frame["forward"] / frame["spot"])
    low, high = -bounds.max_carry * frame["years"] - room, bounds.max_rate * frame["years"] + room
    frame["forward_ok"] = frame["forward"].isna() | (carried >= low) & (carried <= high)


def _deviation(quotes: Any, forward: float) -> float:
    """Standard deviation to expiry from the straddle nearest the forward: 1.25 straddle / forward."""
    import numpy as np

    total = 0.0
    for side in (quotes.is_call, ~quotes.is_call):
        at = np.flatnonzero(side & quotes.two_sided)
        if not len(at) or not forward > 0:
            return float("nan")
        nearest = at[np.argmin(np.abs(quotes.strike[at] - forward))]
        total += (quotes.bid[nearest] + quotes.ask[nearest]) / 2
    return 1.25 * total / forward


def _measure_scale(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """Bounds of a single volatility: by itself, and by what the chain has at the money."""
    import numpy as np

    iv = frame["iv"]
    short = iv * np.sqrt(frame["years"].clip(lower=_DAY)) <= bounds.highest_deviation
    short &= frame["years"] <= 7 * _DAY
    frame["iv_ok"] = iv.isna() | (iv >= bounds.lowest_iv) & ((iv <= bounds.highest_iv) | short)
    given = frame[(iv > 0) & frame["k"].notna()]
    nearest = given.loc[given["k"].abs().groupby(given["slice"]).rank(method="first") <= _NEAREST]
    at_money = nearest.groupby(["underlying", "slice"])["iv"].median().groupby("underlying").median()
    frame["least_iv"] = frame["underlying"].map(at_money) * bounds.least_of_scale


def _measure_prices(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """What Black (1976) makes of each volatility near the money, against its quote.

    In the money an American price is above this one; the room there, a share of the price, covers it.
    """
    import numpy as np
    from scipy.special import ndtr

    sign = np.where(frame["call"], 1.0, -1.0)
    deviation = (frame["iv"] * np.sqrt(frame["years"])).where(frame["iv"] > 0)
    above = -frame["k"] / deviation + deviation / 2
    price = frame["forward"] * ndtr(sign * above) - frame["strike"] * ndtr(sign * (above - deviation))
    frame["iv_price"] = (sign * price * frame["discount"]).where(frame["near"])
    hedge = ndtr(sign * above) * frame["spot"]
    room = bounds.cents + bounds.price_off * frame["mid"] + bounds.instant_share * hedge
    outside = np.maximum(frame["bid"] - frame["iv_price"], frame["iv_price"] - frame["ask"])
    frame["price_gap"] = outside - room
    given = frame["discount"] * frame["forward"] / frame["spot"] * sign * ndtr(sign * above)
    frame["delta_gap"] = (frame["delta"] - given).abs().where(frame["looked_at"])
    frame["most_delta_gap"] = bounds.delta_off


def _measure_neighbours(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """How far each volatility is from the middle of the five around it, out of the money."""
    seen = frame[frame["looked_at"] & frame["iv"].notna()].sort_values(["slice", "strike"])
    around = seen.groupby("slice", sort=False)["iv"].rolling(_NEAREST, center=True, min_periods=_NEAREST)
    middle = around.median().droplevel(0)
    frame["neighbours_iv"] = middle.reindex(frame.index)
    frame["smile_gap"] = (frame["iv"] - frame["neighbours_iv"]).abs()
    frame["most_smile_gap"] = bounds.smile_off * frame["neighbours_iv"] + 0.01


def _measure_pairs(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """Parity residual in dollars and difference of volatility of every call and its put."""
    import numpy as np
    import pandas as pd

    columns = ["mid", "iv", "slice", "strike", "call"]
    quoted = frame.loc[frame["two_sided"], columns].reset_index(names="row")
    both = pd.merge(
        quoted[quoted["call"]], quoted[~quoted["call"]], on=["slice", "strike"], suffixes=("", "_put")
    )
    rows = both["row"].to_numpy()
    beside = frame.loc[rows, ["discount", "forward", "spot", "years", "years_left", "at_money"]]
    line = beside["discount"].to_numpy() * (beside["forward"].to_numpy() - both["strike"].to_numpy())
    window = np.abs(both["strike"].to_numpy() / beside["spot"].to_numpy() - 1) <= bounds.parity_window
    window &= beside["years_left"].to_numpy() > _DAY
    residual = pd.Series(np.where(window, both["mid"] - both["mid_put"] - line, np.nan))
    apart = pd.Series(np.where(beside["at_money"], (both["iv"] - both["iv_put"]).abs(), np.nan))
    for name, values in (("residual", residual), ("pair_gap", apart)):
        told = pd.concat([values.set_axis(both["row"]), values.set_axis(both["row_put"])])
        frame[name] = told[~told.index.duplicated()].reindex(frame.index)
    # What early exercise can be worth is not on the line: at most interest or dividends to expiry.
    early = (bounds.max_rate * frame["years"]).where(~frame["european"].eq(True), 0.0)
    frame["most_residual"] = bounds.cents + (bounds.parity_share + early) * frame["spot"]
    # At the money a dollar is 1 / (0.4 spot sqrt(years)) of volatility.
    moved = bounds.instant_share / 0.4 / np.sqrt(frame["years"])
    frame["most_pair_gap"] = bounds.pair_off * frame["iv"] + 0.02 + 2 * moved


def _measure_butterflies(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """Dollars by which the middle one of three neighbours is bid above what the outer two cost."""
    ordered = frame[frame["two_sided"]].sort_values(["slice", "call", "strike"])
    by = ordered.groupby(["slice", "call"], sort=False)
    below, above = by["strike"].shift(), by["strike"].shift(-1)
    part = (above - ordered["strike"]) / (above - below)
    cost = part * by["ask"].shift() + (1 - part) * by["ask"].shift(-1)
    gain = ordered["bid"] - cost - bounds.cents
    frame["butterfly_gain"] = gain.reindex(frame.index)


def _measure_calendars(frame: pd.DataFrame, bounds: SmileBounds) -> None:
    """Dollars by which an option is bid above what the next expiry's costs at the same moneyness.

    In units of the forward's present value an option at one moneyness gains with time; asks between
    listed strikes are interpolated, which can be bought and is never worth less.
    """
    import numpy as np

    gain = np.full(len(frame), np.nan)
    unit = (frame["discount"] * frame["forward"]).to_numpy()
    lasting = (frame["two_sided"] & frame["forward"].notna() & (frame["years_left"] > _DAY)).to_numpy()
    k, bid, ask = (frame[name].to_numpy() for name in ("k", "bid", "ask"))
    for together in frame.groupby(["underlying", "root", "call"], sort=False).indices.values():
        rows = together[lasting[together]]
        years, number = frame["years"].to_numpy()[rows], frame["slice"].to_numpy()[rows]
        rows = rows[np.lexsort((k[rows], number, years))]
        slices = np.split(rows, np.flatnonzero(np.diff(frame["slice"].to_numpy()[rows])) + 1)
        for first, later in itertools.pairwise(slices):
            cost = np.interp(k[first], k[later], ask[later] / unit[later], left=np.nan, right=np.nan)
            gain[first] = bid[first] - cost * unit[first] - bounds.cents
    frame["calendar_gain"] = np.where(frame["looked_at"], gain, np.nan)

"""WSB dip bot: after a strong run in a mega-cap, buy about 30-day calls on a hard red day.

The decision is made shortly before the close, on the price of that moment as a stand-in for the
close. A screen's row t is therefore the session in progress: runs, highs, volatility and usual
volumes are measured on the completed sessions before it (so ``run`` ends at yesterday's close) and
only the dip itself on row t. Ways to define the dip are named variants; every one is followed by the
same rules, contract and exits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from math import exp, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from wsb_core.domain.calendar import session_on, shift
from wsb_core.domain.contracts import STANDARD_MULTIPLIER, Right
from wsb_core.domain.ids import CENT, Price, StrategyName, Underlying
from wsb_core.domain.orders import Effect, Proposal, Refusal
from wsb_core.domain.positions import Book, Position
from wsb_core.domain.quotes import Market, OptionQuote
from wsb_core.domain.strategy import (
    Cadence,
    ChainWindow,
    Close,
    Decision,
    Hold,
    Needs,
    Panel,
    Rule,
    Screen,
    Slot,
    Strategy,
    StrategyParams,
)
from wsb_core.domain.structures import single
from wsb_core.indicators import (
    SESSIONS_A_YEAR,
    average_true_range,
    bollinger_position,
    moving_average,
    realised_vol,
    relative_volume,
    rise_to_high,
    wilder_rsi,
)
from wsb_core.pricing.black_scholes import european
from wsb_core.universes import load_universe

if TYPE_CHECKING:
    import pandas as pd

NAME = StrategyName("wsb_dip_bot")
BOLLINGER_SESSIONS = 20
SMOOTHING_WINDOWS = 8
"""Of Wilder's smoothing, after which its seed weighs (1 - 1/14) to the 112th: a fortieth of a percent."""
USUAL_VOLUME_SESSIONS = 20
REFERENCE_VOL = 0.35
# Names of facts that the exits read back.
DIP_DAY_LOW = "dip_day_low"
ATR = "atr"
VOL = "realised_vol"
UNKNOWN = "unknown"


class Params(StrategyParams):
    """What a dip is, which call to buy on it, and when to sell. Shares are fractions: 0.05 is 5 %."""

    variant: Literal["classic", "drawdown", "scored"] = Field(
        "classic", description="classic: red day after a run; drawdown: pullback from a high; scored: points"
    )
    # classic
    run_sessions: int = Field(10, ge=2, le=60, description="classic: completed sessions of the run")
    min_run: float = Field(0.10, gt=0, le=2, description="classic: smallest run")
    run_sigmas: float = Field(
        1.5, ge=0, le=10, description="classic: run in deviations of that many sessions"
    )
    min_fall: float = Field(0.03, gt=0, lt=1, description="classic: smallest fall today")
    fall_sigmas: float = Field(1.5, ge=0, le=10, description="classic: today's fall in daily deviations")
    vol_window: int = Field(60, ge=10, le=252, description="sessions of realised volatility")
    # drawdown and scored
    min_rise: float = Field(0.20, gt=0, le=5, description="drawdown, scored: rise into the high")
    min_pullback: float = Field(0.05, gt=0, lt=1, description="drawdown, scored: fall from the high")
    max_pullback: float = Field(0.15, gt=0, lt=1, description="drawdown: deepest fall from the high")
    min_relative_volume: float = Field(
        1.5, ge=0, le=50, description="drawdown, scored: today's volume over the usual at this time of day"
    )
    rise_sessions: int = Field(
        15, ge=3, le=120, description="drawdown: completed sessions searched for the rise"
    )
    high_sessions: int = Field(5, ge=1, le=60, description="scored: completed sessions of the recent high")
    base_sessions: int = Field(10, ge=1, le=60, description="scored: sessions before those, for the base")
    deep_pullback: float = Field(0.08, gt=0, lt=1, description="scored: a fall that earns two points")
    rsi_window: int = Field(14, ge=2, le=100, description="scored: sessions of Wilder's RSI")
    oversold_rsi: float = Field(30, ge=0, le=100, description="scored: RSI below this earns a point")
    low_band: float = Field(
        0.2, ge=-1, le=1, description="scored: Bollinger position below this earns a point"
    )
    min_score: int = Field(4, ge=0, le=6, description="scored: points to enter")
    # every variant
    min_dollar_volume: float = Field(500e6, ge=0, description="dollars a day, mean of 20 completed sessions")
    trend_sessions: int | None = Field(
        50, ge=2, le=400, description="close must be above this average; None: off"
    )
    benchmark: str = Field("SPY", min_length=1, description="index that shows the market's trend")
    benchmark_sessions: int | None = Field(
        200, ge=2, le=400, description="benchmark must not be below this average; None: off"
    )
    max_market_fall: float = Field(
        0.07, gt=0, lt=1, description="no entries when the benchmark falls this much (circuit-breaker day)"
    )
    quiet_after_earnings: int = Field(2, ge=0, le=20, description="sessions after earnings without entries")
    quiet_before_earnings: int = Field(5, ge=0, le=40, description="sessions before earnings without entries")
    allow_unknown_earnings: bool = Field(False, description="practice only: enter though no source knows")
    max_iv_percentile: float = Field(
        90, ge=0, le=100, description="highest percentile of 30-day IV in a year"
    )
    allow_unknown_iv_percentile: bool = Field(False, description="practice only: enter without IV history")
    # contract
    min_dte: int = Field(21, ge=1, le=365, description="calendar days to expiry, at least")
    target_dte: int = Field(30, ge=1, le=365, description="calendar days to expiry, nearest to")
    max_dte: int = Field(45, ge=1, le=365, description="calendar days to expiry, at most")
    strike_by: Literal["delta", "moneyness"] = Field("delta", description="how the strike is chosen")
    min_delta: float = Field(0.30, gt=0, lt=1, description="delta: at least")
    target_delta: float = Field(0.35, gt=0, lt=1, description="delta: nearest to")
    max_delta: float = Field(0.40, gt=0, lt=1, description="delta: at most")
    target_otm: float = Field(0.05, ge=0, le=1, description="moneyness: strike this far above spot")
    otm_tolerance: float = Field(0.02, gt=0, le=1, description="moneyness: strike off its target, at most")
    max_relative_spread: float = Field(
        0.08, gt=0, le=2, description="spread over mid; 2 lets any spread pass"
    )
    min_open_interest: int = Field(500, ge=0, description="contracts; 0 switches the gate off")
    min_volume: int = Field(100, ge=0, description="contracts today; 0 switches the gate off")
    min_bid: float = Field(0.01, gt=0, description="dollars per share")
    # exits
    stop_share: float = Field(
        0.50, gt=0, lt=1, description="sell all when the bid is this share of the entry"
    )
    confirm_seconds: int = Field(30, ge=0, le=600, description="second look before the stop sells")
    target_multiple: float = Field(3.0, gt=1, le=100, description="sell all at this multiple of the entry")
    calm_target_multiple: float | None = Field(
        None, gt=1, le=100, description="target instead when volatility at entry was at most calm_volatility"
    )
    calm_volatility: float = Field(0.30, gt=0, le=5, description="annual realised volatility")
    delta_exit: float = Field(0.60, gt=0, le=1, description="sell when delta reaches this")
    delta_exit_half: bool = Field(
        False, description="at delta_exit sell half, once, while two or more are left"
    )
    half_multiple: float | None = Field(
        2.0, gt=1, le=100, description="sell half, once, at this multiple of the entry; None: off"
    )
    low_buffer_atr: float | None = Field(
        0.5, ge=0, le=10, description="sell on a close below the dip day's low less this many ATR; None: off"
    )
    atr_window: int = Field(14, ge=2, le=100, description="sessions of Wilder's average true range")
    hold_sessions: int | None = Field(
        2, ge=1, le=60, description="sell near the close of this session after entry; None: off"
    )
    sell_before_earnings: bool = Field(
        True, description="sell near the close before a report that was moved into the holding time"
    )
    exit_minutes: int = Field(15, ge=1, le=120, description="minutes before the close that count as near it")
    decay_dte: int | None = Field(
        None, ge=0, le=60, description="with this many days left sell unless decay_profit is made; None: off"
    )
    decay_profit: float = Field(0.20, ge=0, le=10, description="profit that lets it run on, of the entry")
    expiry_dte: int = Field(
        1, ge=0, le=30, description="sell with this many days left: shares are not wanted"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Params:
        if not self.min_dte <= self.target_dte <= self.max_dte:
            raise ValueError(f"dte must rise: {self.min_dte}, {self.target_dte}, {self.max_dte}")
        if not self.min_delta <= self.target_delta <= self.max_delta:
            raise ValueError(f"delta must rise: {self.min_delta}, {self.target_delta}, {self.max_delta}")
        if self.min_pullback >= self.max_pullback:
            raise ValueError(f"pullback must rise: {self.min_pullback}, {self.max_pullback}")
        if self.expiry_dte >= self.min_dte:
            raise ValueError(f"expiry_dte {self.expiry_dte} must be below min_dte {self.min_dte}")
        targets = [m for m in (self.calm_target_multiple, self.target_multiple) if m is not None]
        if self.half_multiple is not None and self.half_multiple >= min(targets):
            raise ValueError(f"half_multiple {self.half_multiple} must be below the target {min(targets)}")
        return self


# The thresholds the trade became known with. Its run and dip are measured from intraday extremes of
# completed sessions, volumes at the time of day, prices at the bid; a bid above 0.05 and more than 10
# contracts are written as the first penny and contract that pass.
ORIGINAL = Params(
    preset="original",
    variant="scored",
    trend_sessions=None,
    min_dte=25,
    max_dte=35,
    strike_by="moneyness",
    max_relative_spread=2.0,
    min_open_interest=0,
    min_volume=11,
    min_bid=0.06,
    calm_target_multiple=2.5,
    half_multiple=None,
    low_buffer_atr=None,
    hold_sessions=None,
    decay_dte=7,
)


def needs(params: Params) -> Needs:
    """Bars for the slowest average and for Wilder's smoothing to forget its seed; calls in the window."""
    slowest = max(
        params.trend_sessions or 0,
        params.vol_window + 2,
        params.run_sessions + 2,
        params.rise_sessions + 1,
        params.high_sessions + params.base_sessions + 1,
        SMOOTHING_WINDOWS * params.rsi_window,
        SMOOTHING_WINDOWS * params.atr_window,
    )
    window = ChainWindow(params.min_dte, params.max_dte, (Right.CALL,))
    return Needs(slowest, window, Underlying(params.benchmark), (params.benchmark_sessions or 0) + 1)


# --- screen ---


@dataclass(frozen=True, slots=True)
class _Dip:
    """What a variant sees: ``triggers`` make a candidate, ``rules`` may still refuse it."""

    triggers: tuple[Rule, ...]
    rules: tuple[Rule, ...]
    score: pd.DataFrame


def screen(panel: Panel, params: Params) -> Screen:
    """Candidates are where run and dip meet; the rest of the rules may refuse them, in order.

    ``score`` is, higher first: classic, today's fall over its bound; drawdown, the rise into the
    high; scored, the points plus the dip.
    """
    dip = _VARIANTS[params.variant](panel, params)
    rules = (*dip.triggers, *dip.rules, *_market_rules(panel, params))
    fired = dip.triggers[0].holds
    for trigger in dip.triggers[1:]:
        fired = fired & trigger.holds
    return Screen(rules, dip.score, fired)


def _classic(panel: Panel, params: Params) -> _Dip:
    close, yesterday = panel.close, panel.close.shift(1)
    vol = realised_vol(close, params.vol_window).shift(1)
    run = yesterday / close.shift(1 + params.run_sessions) - 1
    run_bound = (params.run_sigmas * vol * sqrt(params.run_sessions / SESSIONS_A_YEAR)).clip(
        lower=params.min_run
    )
    fall = close / yesterday - 1
    fall_bound = (params.fall_sigmas * vol / sqrt(SESSIONS_A_YEAR)).clip(lower=params.min_fall)
    run_text = f">= {params.min_run:g} and {params.run_sigmas:g} deviations in {params.run_sessions} sessions"
    fall_text = f"<= -{params.min_fall:g} and -{params.fall_sigmas:g} daily deviations"
    triggers = (
        Rule("run", run, run_text, run >= run_bound),
        Rule("dip", fall, fall_text, fall <= -fall_bound),
    )
    return _Dip(triggers, (), -fall / fall_bound)


def _drawdown(panel: Panel, params: Params) -> _Dip:
    rise, top = (f.shift(1) for f in rise_to_high(panel.high, panel.low, params.rise_sessions))
    pullback = 1 - panel.close / top
    volume = relative_volume(panel.volume, USUAL_VOLUME_SESSIONS)
    shallow, deep = params.min_pullback, params.max_pullback
    triggers = (
        Rule(
            "run", rise, f">= {params.min_rise:g} in {params.rise_sessions} sessions", rise >= params.min_rise
        ),
        Rule("dip", pullback, f"{shallow:g} to {deep:g}", (pullback >= shallow) & (pullback <= deep)),
    )
    bound = params.min_relative_volume
    return _Dip(triggers, (Rule("relative_volume", volume, f">= {bound:g}", volume >= bound),), rise)


def _scored(panel: Panel, params: Params) -> _Dip:
    high = panel.high.shift(1).rolling(params.high_sessions).max()
    base = panel.low.shift(1 + params.high_sessions).rolling(params.base_sessions).min()
    run, dip = high / base - 1, 1 - panel.close / high
    volume = relative_volume(panel.volume, USUAL_VOLUME_SESSIONS)
    rsi = wilder_rsi(panel.close, params.rsi_window)
    band = bollinger_position(panel.close, BOLLINGER_SESSIONS)
    points = (
        2.0 * (dip >= params.deep_pullback)
        + 2.0 * (volume >= params.min_relative_volume)
        + 1.0 * (rsi < params.oversold_rsi)
        + 1.0 * (band < params.low_band)
    )
    # Points that could not be counted are not zero points.
    points = points.where(dip.notna() & volume.notna() & rsi.notna() & band.notna())
    triggers = (
        Rule("run", run, f">= {params.min_rise:g} from base to high", run >= params.min_rise),
        Rule("dip", dip, f">= {params.min_pullback:g} from the high", dip >= params.min_pullback),
    )
    enough = Rule("score", points, f">= {params.min_score}", points >= params.min_score)
    return _Dip(triggers, (enough,), points + dip)


_VARIANTS: Mapping[str, Callable[[Panel, Params], _Dip]] = {
    "classic": _classic,
    "drawdown": _drawdown,
    "scored": _scored,
}


def _market_rules(panel: Panel, params: Params) -> tuple[Rule, ...]:
    """Liquidity, the name's trend, the market's trend and a calm enough market, in that order."""
    traded = moving_average(panel.close * panel.volume, USUAL_VOLUME_SESSIONS).shift(1)
    floor = params.min_dollar_volume
    rules = [Rule("dollar_volume", traded, f">= {floor:g}", traded >= floor)]
    if params.trend_sessions is not None:
        above = panel.close / moving_average(panel.close, params.trend_sessions) - 1
        rules.append(Rule("trend", above, f"> 0 over {params.trend_sessions} sessions", above > 0))
    if params.benchmark_sessions is not None:
        length = params.benchmark_sessions
        above = _benchmark(panel, lambda level: level / moving_average(level, length) - 1)
        text = f">= 0 for {params.benchmark} over {length} sessions"
        rules.append(Rule("benchmark_trend", above, text, above >= 0))
    day = _benchmark(panel, lambda level: level / level.shift(1) - 1)
    bound = -params.max_market_fall
    rules.append(Rule("market_fall", day, f"> {bound:g} for {params.benchmark} today", day > bound))
    return tuple(rules)


def _benchmark(panel: Panel, measure: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """A figure of the index under every ticker; NaN, which no rule lets pass, where there is none."""
    # Imported late: pandas takes a good part of a second, and most commands never screen.
    import pandas as pd

    index, columns = panel.close.index, panel.close.columns
    if panel.benchmark is None:
        return pd.DataFrame(float("nan"), index=index, columns=columns)
    level = measure(panel.benchmark.to_frame()).reindex(index).to_numpy(dtype=float)
    return pd.DataFrame(np.broadcast_to(level, panel.close.shape), index=index, columns=columns)


# --- propose ---


def propose(market: Market, book: Book, params: Params) -> Sequence[Proposal | Refusal]:
    """Buy one call on the candidate ``market``, limit at mid; or the first rule that says no.

    Refuses while the name is held or pending in this strategy, around earnings and when they are
    unknown, on high or unknown IV percentile, and when no call passes the gates of the contract.
    A number the vendor did not give refuses; it never passes.
    """
    refusal = _occupied(market, book) or _events(market, params) or _iv_percentile(market, params)
    if refusal is not None:
        return (refusal,)
    if market.today is None:
        return (_no(market, "dip_day_low", "unknown", "today's bar", "the session so far was not fetched"),)
    found = _pick(market, params)
    if isinstance(found, Refusal):
        return (found,)
    mid = found.mid
    if mid is None:
        return (_no(market, "relative_spread", "unknown", "a two-sided quote"),)
    # Rounded toward zero: a limit at mid that does not pay more than mid.
    limit = Price((-mid).quantize(CENT, rounding=ROUND_CEILING))
    facts = _facts(market, found, params)
    reason = (
        f"{market.underlying} fell {facts['dip']} after a run of {facts['run']} ({params.variant}): "
        f"{found.contract.strike} call of {found.contract.expiry}, delta {facts['delta']}, mid {mid}"
    )
    return (Proposal(single(found.contract), Effect.OPEN, limit, reason, facts),)


def _no(market: Market, rule: str, value: str, bound: str, detail: str = "") -> Refusal:
    return Refusal(market.underlying, "propose", rule, value, bound, detail)


def _occupied(market: Market, book: Book) -> Refusal | None:
    held = len(book.held(NAME, market.underlying))
    pending = len(book.pending(NAME, market.underlying))
    if held + pending == 0:
        return None
    return _no(market, "one_per_name", f"{held} held, {pending} pending", "none held, none pending")


def _events(market: Market, params: Params) -> Refusal | None:
    before, after = params.quiet_before_earnings, params.quiet_after_earnings
    bound = f"none in the last {after} or next {before} sessions"
    first, last = shift(market.session, -after), shift(market.session, before)
    for report in market.events.earnings or ():
        earliest, latest = report.reactions
        if earliest <= last and latest >= first:
            return _no(market, "earnings", f"{report.first} ({report.time})", bound)
    known = market.events.earnings is not None and market.events.since <= first
    if known or params.allow_unknown_earnings:
        return None
    why = "no source could say" if market.events.earnings is None else f"known since {market.events.since}"
    return _no(market, "earnings", "unknown", bound, f"{why}, which counts as an event")


def _iv_percentile(market: Market, params: Params) -> Refusal | None:
    bound = f"<= {params.max_iv_percentile:g}"
    if market.iv_percentile is None:
        if params.allow_unknown_iv_percentile:
            return None
        return _no(market, "iv_percentile", "insufficient history", bound)
    if market.iv_percentile <= params.max_iv_percentile:
        return None
    return _no(market, "iv_percentile", f"{market.iv_percentile:.1f}", bound)


@dataclass(frozen=True, slots=True)
class _Gate:
    """A number a contract must have, and its bounds, both included."""

    name: str
    measure: Callable[[OptionQuote], float | None]
    low: float = float("-inf")
    high: float = float("inf")

    def passes(self, quote: OptionQuote) -> bool:
        value = self.measure(quote)
        return value is not None and self.low <= value <= self.high

    def nearest(self, quotes: Sequence[OptionQuote]) -> str:
        """The measured value that came closest; "unknown" when none was given."""
        values = [value for value in map(self.measure, quotes) if value is not None]
        if not values:
            return "unknown"
        return f"{min(values, key=lambda v: max(self.low - v, v - self.high)):.4g}"

    @property
    def bound(self) -> str:
        if self.high == float("inf"):
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if self.low == float("-inf") else f"{self.low:g} to {self.high:g}"


def _gates(spot: float, params: Params) -> tuple[_Gate, ...]:
    """What a contract must show, in the order in which it refuses."""
    if params.strike_by == "delta":
        strike = _Gate("delta", lambda quote: quote.delta, params.min_delta, params.max_delta)
    else:
        tolerance = params.otm_tolerance
        strike = _Gate("strike", lambda quote: _off_target(quote, spot, params), -tolerance, tolerance)
    gates = [
        strike,
        _Gate("relative_spread", lambda quote: quote.relative_spread, high=params.max_relative_spread),
    ]
    if params.min_open_interest:
        gates.append(_Gate("open_interest", lambda quote: quote.open_interest, params.min_open_interest))
    if params.min_volume:
        gates.append(_Gate("option_volume", lambda quote: quote.volume, params.min_volume))
    gates.append(_Gate("bid", lambda quote: None if quote.bid is None else float(quote.bid), params.min_bid))
    return tuple(gates)


def _off_target(quote: OptionQuote, spot: float, params: Params) -> float:
    return float(quote.contract.strike) / (spot * (1 + params.target_otm)) - 1


def _pick(market: Market, params: Params) -> OptionQuote | Refusal:
    """The call to buy, of the one expiry nearest the target; or the first gate no call of it passes."""
    calls = [
        quote
        for quote in market.chain.calls()
        if quote.contract.standard
        and quote.contract.multiplier == STANDARD_MULTIPLIER
        and params.min_dte <= quote.contract.dte(market.session) <= params.max_dte
    ]
    if not calls:
        bound = f"a standard call with {params.min_dte} to {params.max_dte} days"
        return _no(market, "expiry", "none", bound, f"{len(market.chain)} contracts in the chain")
    expiry = min(
        {quote.contract.expiry for quote in calls},
        key=lambda day: (abs((day - market.session).days - params.target_dte), day),
    )
    left = [quote for quote in calls if quote.contract.expiry == expiry]
    spot = float(market.spot_mid)
    for gate in _gates(spot, params):
        passing = [quote for quote in left if gate.passes(quote)]
        if not passing:
            detail = f"of {len(left)} calls expiring {expiry} that came this far"
            return _no(market, gate.name, gate.nearest(left), gate.bound, detail)
        left = passing
    return min(left, key=lambda quote: _preference(quote, spot, params))


def _preference(quote: OptionQuote, spot: float, params: Params) -> tuple[float, float, Decimal]:
    """Smallest is best: by delta the nearest to target, by moneyness the narrowest spread."""
    spread = quote.relative_spread if quote.relative_spread is not None else float("inf")
    if params.strike_by == "moneyness":
        return spread, abs(_off_target(quote, spot, params)), quote.contract.strike
    off = float("inf") if quote.delta is None else abs(quote.delta - params.target_delta)
    return off, spread, quote.contract.strike


def _facts(market: Market, quote: OptionQuote, params: Params) -> dict[str, str]:
    """The numbers the entry stands on, as text; what is not known says so."""
    panel = _one_name(market)
    dip = _VARIANTS[params.variant](panel, params)
    values = {rule.name: float(rule.value.iloc[-1, 0]) for rule in (*dip.triggers, *dip.rules)}
    atr = average_true_range(panel.high, panel.low, panel.close, params.atr_window).shift(1).iloc[-1, 0]
    vol = realised_vol(panel.close, params.vol_window).shift(1).iloc[-1, 0]
    spot, strike = float(market.spot_mid), float(quote.contract.strike)
    mid = float(quote.mid) if quote.mid is not None else None
    daily = None
    if quote.theta is not None and quote.delta:
        daily = abs(quote.theta) / (quote.delta * spot)
    return {
        "variant": params.variant,
        "preset": params.preset,
        "run": _text(values["run"], ".4f"),
        "dip": _text(values["dip"], ".4f"),
        DIP_DAY_LOW: _text(float(panel.low.iloc[-1, 0]), ".4f"),
        ATR: _text(float(atr), ".4f"),
        VOL: _text(float(vol), ".4f"),
        "spot": str(market.spot_mid),
        "mid": str(quote.mid),
        "dte": str(quote.contract.dte(market.session)),
        "delta": _text(quote.delta, ".4f"),
        "iv": _text(quote.iv, ".4f"),
        "iv_percentile": _text(market.iv_percentile, ".1f"),
        "otm": f"{strike / spot - 1:.4f}",
        "relative_spread": _text(quote.relative_spread, ".4f"),
        "break_even_at_expiry": _text(None if mid is None else (strike + mid) / spot - 1, ".4f"),
        "break_even_move_per_day": _text(daily, ".5f"),
        "quote_source": quote.quote.provenance.source,
        "quote_feed": quote.quote.provenance.feed.value,
        "quote_as_of": quote.quote.provenance.as_of.isoformat(),
    }


def _text(value: float | None, form: str) -> str:
    return UNKNOWN if value is None or value != value else format(value, form)


def _one_name(market: Market) -> Panel:
    """The market's bars as a panel whose last row is the session so far."""
    import pandas as pd

    if market.today is None:
        raise ValueError(f"{market.underlying}: the session so far was not fetched")
    today = market.today.to_frame(pd.Timestamp(market.session)).T
    return _wide(pd.concat([market.bars, today]))


def _wide(bars: pd.DataFrame) -> Panel:
    """Bars of one name as a panel of one column."""
    fields = ("open", "high", "low", "close", "volume")
    return Panel(*(bars[[field]].astype(float).set_axis(["name"], axis=1) for field in fields))


# --- manage ---


@dataclass(frozen=True, slots=True)
class _Held:
    """An open position as its exits see it: ``bid`` and ``paid`` in dollars per share."""

    position: Position
    market: Market
    params: Params
    bid: Decimal
    paid: Decimal
    delta: float | None

    @property
    def multiple(self) -> float:
        """What a sale at the bid brings back of the entry: 1 is break-even."""
        return float(self.bid / self.paid)

    @property
    def dte(self) -> int:
        return self.position.structure.contracts[0].dte(self.market.session)

    @property
    def near_close(self) -> bool:
        session = session_on(self.market.session)
        return session is not None and self.market.as_of >= session.before_close(self.params.exit_minutes)

    @property
    def half(self) -> int | None:
        """Units to sell for half; None when one is left, half went already, or that is not known."""
        left = self.position.quantity
        return left // 2 if left >= 2 and left == self.position.opened_quantity else None

    @property
    def target(self) -> float:
        calm = self.params.calm_target_multiple
        if calm is None:
            return self.params.target_multiple
        # Without a volatility on record the card's own target stands: unknown is not calm.
        vol = _number(self.position.facts.get(VOL))
        return self.params.target_multiple if vol is None or vol > self.params.calm_volatility else calm


def manage(position: Position, market: Market, params: Params) -> Decision:
    """Hold, or the first exit that fires: stop, target, delta, half, low of the dip day, time,
    earnings that were moved into the holding time.

    Values are what a sale at the bid would bring. Without a two-sided quote nothing is decided.

    Raises: ValueError when the position is not one long call that was paid for.
    """
    contracts = position.structure.contracts
    legs = position.structure.legs
    if len(legs) != 1 or legs[0].ratio < 0 or [c.right for c in contracts] != [Right.CALL]:
        raise ValueError(f"{position.structure.symbol}: {NAME} holds single long calls only")
    if position.entry >= 0:
        raise ValueError(f"{position.structure.symbol}: entry {position.entry} must be a debit (negative)")
    quote = market.chain.get(contracts[0])
    if quote is None or quote.bid is None or not quote.quote.two_sided:
        return Hold(f"no valid quote for {contracts[0].symbol.strip()}: exits need a bid and an ask")
    held = _Held(position, market, params, quote.bid, -position.entry, quote.delta)
    fired = (rule(held) for rule in _EXITS)
    return next((close for close in fired if close is not None), None) or Hold(_nearest(held))


def _stop(held: _Held) -> Close | None:
    share = held.params.stop_share
    if held.multiple > share:
        return None
    confirm = timedelta(seconds=held.params.confirm_seconds) if held.params.confirm_seconds else None
    return Close("premium_stop", f"{_worth(held)} <= {share:g}", urgent=True, confirm=confirm)


def _target(held: _Held) -> Close | None:
    return Close("target", f"{_worth(held)} >= {held.target:g}") if held.multiple >= held.target else None


def _deep(held: _Held) -> Close | None:
    if held.delta is None or held.delta < held.params.delta_exit:
        return None
    detail = f"delta {held.delta:.2f} >= {held.params.delta_exit:g}"
    if not held.params.delta_exit_half or held.position.quantity == 1:
        return Close("delta", detail)
    return None if held.half is None else Close("delta_half", detail, quantity=held.half)


def _half(held: _Held) -> Close | None:
    bound = held.params.half_multiple
    if bound is None or held.half is None or held.multiple < bound:
        return None
    return Close("half", f"{_worth(held)} >= {bound:g}", quantity=held.half)


def _low(held: _Held) -> Close | None:
    """A close below the level: the last completed one since entry, or the price near today's close.

    Where the market comes without bars only the price near the close can fire it.
    """
    level = _level(held)
    if level is None:
        return None
    last = held.market.bars.index[-1].date() if len(held.market.bars) else None
    if last is not None and last >= held.position.opened_session:
        close = float(held.market.bars["close"].iloc[-1])
        if close < level:
            return Close("dip_low", f"closed at {close:.2f} on {last} < {level:.2f}", urgent=True)
    spot = float(held.market.spot_mid)
    if held.near_close and spot < level:
        return Close("dip_low", f"{spot:.2f} near the close < {level:.2f}", urgent=True)
    return None


def _time(held: _Held) -> Close | None:
    due = _due(held)
    today = held.market.session
    if due is None or today < due or (today == due and not held.near_close):
        return None
    return Close("time_stop", f"{held.params.hold_sessions} sessions after {held.position.opened_session}")


def _earnings(held: _Held) -> Close | None:
    """Near the last close before a report that may come while the call is held.

    None was due when it was bought, so the date has moved. An unknown date sells nothing.
    """
    reports = held.market.events.earnings
    if not held.params.sell_before_earnings or reports is None or not held.near_close:
        return None
    tomorrow, due = shift(held.market.session, 1), _due(held)
    for report in reports:
        earliest, latest = report.reactions
        if earliest <= tomorrow <= latest and (due is None or due >= tomorrow):
            return Close("earnings", f"reports {report.first} ({report.time}), before {due or 'the exit'}")
    return None


def _decay(held: _Held) -> Close | None:
    bound, enough = held.params.decay_dte, 1 + held.params.decay_profit
    if bound is None or held.dte > bound or held.multiple >= enough:
        return None
    return Close("decay", f"{held.dte} days <= {bound} and {_worth(held)} < {enough:g}")


def _expiry(held: _Held) -> Close | None:
    bound = held.params.expiry_dte
    return Close("expiry", f"{held.dte} days <= {bound}", urgent=True) if held.dte <= bound else None


_EXITS: tuple[Callable[[_Held], Close | None], ...] = (
    _stop,
    _target,
    _deep,
    _half,
    _low,
    _time,
    _earnings,
    _decay,
    _expiry,
)


def _worth(held: _Held) -> str:
    return f"bid {held.bid} is {held.multiple:.2f} of {held.paid}"


def _due(held: _Held) -> date | None:
    sessions = held.params.hold_sessions
    return None if sessions is None else shift(held.position.opened_session, sessions)


def _level(held: _Held) -> float | None:
    """Dip-day low less the buffer in dollars; from the bars when the entry did not record them."""
    buffer = held.params.low_buffer_atr
    if buffer is None:
        return None
    low = _number(held.position.facts.get(DIP_DAY_LOW))
    atr = _number(held.position.facts.get(ATR))
    bars, opened = held.market.bars, held.position.opened_session
    if low is None:
        low = _low_on(held.market, opened)
    if atr is None and len(bars):
        known = _wide(bars.loc[: str(opened - timedelta(days=1))])
        ranges = average_true_range(known.high, known.low, known.close, held.params.atr_window)
        atr = None if ranges.empty else float(ranges.iloc[-1, 0])
    return None if low is None or atr is None or atr != atr else low - buffer * atr


def _low_on(market: Market, session: date) -> float | None:
    """The low of ``session``, so far when it is today's; None when the bars do not reach it."""
    if session == market.session:
        return None if market.today is None else float(market.today["low"])
    if market.bars.empty:
        return None
    lows = market.bars.loc[str(session) : str(session), "low"]
    return None if lows.empty else float(lows.iloc[-1])


def _number(text: str | None) -> float | None:
    return None if text is None or text == UNKNOWN else float(text)


def _nearest(held: _Held) -> str:
    """The price exit that is closest in relative terms, and when time runs out."""
    params, spot = held.params, float(held.market.spot_mid)
    distances = [
        (held.multiple / params.stop_share - 1, f"premium_stop at {params.stop_share:g} of the entry"),
        (held.target / held.multiple - 1, f"target at {held.target:g} of the entry"),
    ]
    if held.delta is not None:
        distances.append((params.delta_exit / max(held.delta, 0.01) - 1, f"delta at {params.delta_exit:g}"))
    if params.half_multiple is not None and held.half is not None:
        distances.append((params.half_multiple / held.multiple - 1, f"half at {params.half_multiple:g}"))
    level = _level(held)
    if level is not None:
        distances.append((spot / level - 1, f"dip_low at {level:.2f}, spot {spot:.2f}"))
    delta = "unknown" if held.delta is None else f"{held.delta:.2f}"
    parts = [f"nearest {min(distances)[1]}", _worth(held), f"delta {delta}"]
    if params.low_buffer_atr is not None and level is None:
        parts.append("dip_low not watched: the dip day's low or ATR is unknown")
    due = _due(held)
    if due is not None:
        parts.append(f"time stop {due} {params.exit_minutes} minutes before the close")
    return "; ".join(parts)


# --- notes ---


def notes(params: Params) -> str:
    """What to expect, in words and numbers, for the artifact of a run.

    The numbers are risk-neutral: a lognormal spot without drift at ``REFERENCE_VOL`` and a constant
    implied volatility. They are a yardstick, not a forecast.
    """
    odds = expectation(params)
    text = (
        "Long out-of-the-money calls lose more often than they win: the usual trade gives back part of its "
        "premium, a few pay several times it, and after costs the expected return is negative. "
        f"At {REFERENCE_VOL:.0%} volatility the spot has to rise {odds.break_even_per_day:.2%} a calendar "
        "day to pay for time."
    )
    if params.hold_sessions is None:
        return text
    return (
        f"{text} Within {params.hold_sessions} sessions about {odds.stopped:.0%} reach the premium stop, "
        f"{odds.target:.0%} the target or the delta exit, and {odds.timed_out:.0%} end at the time stop."
    )


@dataclass(frozen=True, slots=True)
class Expectation:
    """Shares of outcomes; 0.05 is 5 %. ``timed_out`` also holds those that sell on the dip day's low."""

    break_even_per_day: float
    stopped: float
    target: float
    timed_out: float


def expectation(params: Params, vol: float = REFERENCE_VOL) -> Expectation:
    """How a typical entry ends: touch probabilities of the spot levels at which an exit fires.

    Source: reflection principle, P(touch) = 2 N(-|ln(level/spot)| / (vol sqrt(t))), each side alone.
    Levels are where the call, half way through the holding time, is worth the exit's multiple.
    """
    normal, years = NormalDist(), params.target_dte / 365
    deviation = vol * sqrt(years)
    strike = 100 * (1 + params.target_otm)
    if params.strike_by == "delta":
        strike = 100 * exp(deviation * (deviation / 2 - normal.inv_cdf(params.target_delta)))
    held = (params.hold_sessions or 1) / SESSIONS_A_YEAR
    spots = 100 * np.exp(np.linspace(-0.6, 0.6, 2401))
    start = european(100.0, strike, years, 0.0, 0.0, vol, True)
    later = european(spots, strike, max(years - held / 2, 1e-6), 0.0, 0.0, vol, True)
    sold = (later.price >= params.target_multiple * start.price) | (later.delta >= params.delta_exit)
    lower = spots[later.price <= params.stop_share * start.price]
    upper = spots[sold]

    def touch(level: float) -> float:
        return min(1.0, 2 * normal.cdf(-abs(log(level / 100)) / (vol * sqrt(held))))

    stopped = touch(float(lower[-1])) if lower.size else 0.0
    target = touch(float(upper[0])) if upper.size else 0.0
    per_day = float(-start.theta / (start.delta * 100))
    return Expectation(per_day, stopped, target, max(0.0, 1 - stopped - target))


PRESETS = {"default": Params(), "original": ORIGINAL}

STRATEGY: Strategy[Params] = Strategy(
    name=NAME,
    title="WSB dip bot",
    summary="Buys about 30-day calls on a hard red day after a strong run; out within two sessions.",
    params=PRESETS["default"],
    presets=PRESETS,
    universe=load_universe(NAME).tickers,
    needs=needs,
    screen=screen,
    propose=propose,
    manage=manage,
    cadence=Cadence((Slot("close-25m", -25, timedelta(minutes=15)),)),
    risk_tier="high",
    max_risk_per_trade=0.01,
    max_open=4,
    max_per_sector=2,
    max_total_risk=0.03,
    max_new_per_session=2,
    notes=notes,
)

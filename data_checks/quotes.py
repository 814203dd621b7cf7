"""Quotes of shares: one row per symbol, dollars per share, beside its last close and a second source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wsb_core.domain.checks import CheckReport, Passed, Severity
from wsb_core.domain.ids import Underlying
from wsb_core.domain.ports import Missing
from wsb_core.domain.quotes import FeedClass, Quote

from .gate import Rule, Suite, check
from .measures import age_seconds, feed_serves, finite, numbers, recent

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "symbol",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "quoted_at",
    "feed",
    "close_before",
    "second_bid",
    "second_ask",
)
_NUMBERS = ("bid", "ask", "bid_size", "ask_size", "close_before", "second_bid", "second_ask")


@dataclass(frozen=True, slots=True)
class QuoteBounds:
    """How far a quote may be off before it is called wrong; shares are fractions of the mid."""

    max_quarantined_share: float = 0.10
    spread: float = 0.05
    from_close: float = 0.25
    """Move since the last close that stands without a second source to confirm it."""
    sources_apart: float = 0.01
    """Between the mids of two sources, beyond half of either's spread."""


@dataclass(frozen=True, slots=True)
class CheckedQuotes:
    """The quotes that may be used, and the proof for them."""

    quotes: Mapping[Underlying, Quote]
    report: CheckReport
    proof: Passed


def check_quotes(
    quotes: Mapping[Underlying, Quote | Missing],
    *,
    at: datetime,
    max_age_seconds: float,
    required_feed: FeedClass | None,
    closes: Mapping[Underlying, float] | None = None,
    second: Mapping[Underlying, Quote | Missing] | None = None,
    bounds: QuoteBounds | None = None,
) -> CheckedQuotes:
    """The quotes fit to trade on. A bad one takes out its symbol by name.

    ``closes`` are the last closes on today's share basis and ``second`` another source's quotes, where
    there are any: without them nothing is held against a quote for want of comparison.

    Raises: CheckFailed when more than ``bounds.max_quarantined_share`` of the symbols is out.
    """
    bounds = bounds or QuoteBounds()
    suite = quote_suite(at=at, max_age_seconds=max_age_seconds, required_feed=required_feed, bounds=bounds)
    verdict = check(
        quote_frame(quotes, closes or {}, second or {}),
        suite,
        at=at,
        key="symbol",
        absent={name: quote.reason for name, quote in quotes.items() if isinstance(quote, Missing)},
        max_quarantined=bounds.max_quarantined_share,
    )
    proof = verdict.proof()
    left = {name: quotes[Underlying(name)] for name in verdict.frame["symbol"]}
    found = {Underlying(name): quote for name, quote in left.items() if isinstance(quote, Quote)}
    return CheckedQuotes(found, verdict.report, proof)


def quote_suite(
    *, at: datetime, max_age_seconds: float, required_feed: FeedClass | None, bounds: QuoteBounds
) -> Suite:
    """What is expected of ``quote_frame`` at one instant."""
    measure = partial(_measure, at=at, max_age=max_age_seconds, required=required_feed, bounds=bounds)
    return Suite("quotes", COLUMNS, ("symbol",), measure, RULES)


def quote_frame(
    quotes: Mapping[Underlying, Quote | Missing],
    closes: Mapping[Underlying, float],
    second: Mapping[Underlying, Quote | Missing],
) -> pd.DataFrame:
    """One row per quoted symbol; what was not given is NaN."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for name, quote in quotes.items():
        if isinstance(quote, Missing):
            continue
        other = second.get(name)
        beside = (other.bid, other.ask) if isinstance(other, Quote) else (None, None)
        taken = quote.provenance
        sides = (quote.bid, quote.ask, quote.bid_size, quote.ask_size)
        rows.append((name, *sides, taken.as_of, taken.feed.value, closes.get(name), *beside))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["quoted_at"] = pd.to_datetime(frame["quoted_at"], utc=True)
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


RULES: tuple[Rule, ...] = (
    Rule("feed_good_enough", "it comes from a feed good enough", lambda f: f["feed_ok"], ("feed",)),
    Rule("unique", "one row per symbol", lambda f: ~f.duplicated("symbol", keep=False)),
    Rule("bid_given", "bid is a finite number", finite("bid"), ("bid",)),
    Rule("ask_given", "ask is a finite number", finite("ask"), ("ask",)),
    Rule("prices_positive", "bid and ask are above zero", lambda f: (f["bid"] > 0) & (f["ask"] > 0)),
    Rule("not_crossed", "bid <= ask", lambda f: f["bid"] <= f["ask"], ("bid", "ask")),
    Rule(
        "sizes_given",
        "somebody stands behind both sides",
        lambda f: (f["bid_size"] > 0) & (f["ask_size"] > 0),
        ("bid_size", "ask_size"),
    ),
    Rule("fresh", "it is no older than allowed", lambda f: f["age_ok"], ("quoted_at", "age_seconds")),
    Rule(
        "spread_plausible",
        "the spread is no larger than allowed",
        lambda f: f["relative_spread"] <= f["most_spread"],
        ("bid", "ask", "relative_spread"),
    ),
    Rule(
        "near_last_close",
        "it is near the last close, or a second source agrees",
        lambda f: f["near_close"] | f["confirmed"],
        ("mid", "close_before"),
    ),
    Rule(
        "sources_agree",
        "two sources say the same",
        lambda f: f["confirmed"] | f["second_mid"].isna(),
        ("mid", "second_mid"),
    ),
    Rule("not_locked", "bid below ask", lambda f: ~(f["bid"] == f["ask"]), ("bid", "ask"), Severity.WARNING),
)


def _measure(
    frame: pd.DataFrame, *, at: datetime, max_age: float, required: FeedClass | None, bounds: QuoteBounds
) -> pd.DataFrame:
    numbers(frame, _NUMBERS)
    frame["feed_ok"] = feed_serves(frame["feed"], required)
    frame["age_seconds"] = age_seconds(frame["quoted_at"], at)
    frame["age_ok"] = recent(frame["age_seconds"], max_age)
    frame["mid"] = (frame["bid"] + frame["ask"]) / 2
    frame["relative_spread"] = (frame["ask"] - frame["bid"]) / frame["mid"]
    frame["most_spread"] = bounds.spread
    close = frame["close_before"]
    frame["near_close"] = close.isna() | ((frame["mid"] / close - 1).abs() <= bounds.from_close)
    crossed = ~((frame["second_bid"] > 0) & (frame["second_ask"] >= frame["second_bid"]))
    frame["second_mid"] = ((frame["second_bid"] + frame["second_ask"]) / 2).mask(crossed)
    halves = (frame["ask"] - frame["bid"]).clip(lower=0) + (frame["second_ask"] - frame["second_bid"])
    apart = (frame["mid"] - frame["second_mid"]).abs() - halves / 2
    frame["confirmed"] = apart <= bounds.sources_apart * frame["second_mid"]
    return frame

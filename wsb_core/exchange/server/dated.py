"""Answers that say when they were given, for vendors whose clients have no other clock to go by."""

from __future__ import annotations

from datetime import UTC
from email.utils import format_datetime

from wsb_core.domain.quotes import FeedClass

from .stocks import FEED_HEADER
from .venue import Venue


def dated(venue: Venue, feed: FeedClass) -> dict[str, str]:
    """Headers with the exchange's own time, not this machine's, and what the numbers are worth."""
    return {FEED_HEADER: feed.value, "Date": format_datetime(venue.now.astimezone(UTC), usegmt=True)}

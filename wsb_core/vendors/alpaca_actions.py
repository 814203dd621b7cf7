"""Corporate actions and news in Alpaca's words, as the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from wsb_core.domain.events import CashDividend, CorporateAction, Headline, Renamed, Reorganised, Split
from wsb_core.domain.ids import Price, Underlying
from wsb_core.domain.quotes import FeedClass, Provenance

from .alpaca_rows import Row, rows_of

_SUBJECT = ("acquiree_symbol", "source_symbol", "old_symbol", "symbol")
"""Whose contracts an action changes, by the kind's own name for it."""
_DAY = ("ex_date", "effective_date", "process_date")


def actions_of(page: Row, provenance: Provenance) -> Iterator[CorporateAction]:
    """Every action of one page; kinds that are not cash, a split or a name are ``Reorganised``.

    Raises: BadResponse for a row whose subject, day, amount or rates cannot be read.
    """
    for kind, rows in page.fields.items():
        for row in rows_of(kind, rows):
            if kind == "cash_dividends":
                yield _dividend(row, provenance)
            elif kind in ("forward_splits", "reverse_splits"):
                yield from _split(row, provenance)
            elif kind == "name_changes":
                yield _renamed(row, row.text("old_symbol"), row.text("new_symbol"), provenance)
            else:
                subject = _first(row, _SUBJECT)
                yield Reorganised(Underlying(row.text(subject)), row.day(_first(row, _DAY)), kind, provenance)


def headline_of(row: Row, source: str, feed: FeedClass) -> Headline:
    """One news item, as of its last change.

    Raises: BadResponse for a field that cannot be read.
    """
    at = row.optional_instant("updated_at") or row.instant("created_at")
    symbols = row.fields.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(name, str) for name in symbols):
        raise row.bad("symbols", "a list of symbols")
    return Headline(
        id=str(row.whole("id")),
        at=at,
        title=row.text("headline"),
        url=row.optional_text("url") or "",
        symbols=tuple(map(Underlying, symbols)),
        provenance=Provenance(source, feed, at),
    )


def _dividend(row: Row, provenance: Provenance) -> CashDividend:
    amount = row.number("rate")
    if amount <= 0:
        raise row.bad("rate", "a positive amount")
    paid = row.day("payable_date") if row.optional_text("payable_date") else None
    special = row.flag("special") if "special" in row.fields else None
    return CashDividend(
        Underlying(row.text("symbol")), row.day("ex_date"), Price(amount), paid, special, provenance
    )


def _split(row: Row, provenance: Provenance) -> Iterator[CorporateAction]:
    new, old = row.number("new_rate"), row.number("old_rate")
    if new <= 0 or old <= 0 or new == old:
        raise row.bad("new_rate", f"a positive number other than old_rate, {old}")
    symbol = row.text("symbol")
    yield Split(Underlying(symbol), row.day("ex_date"), Decimal(new) / Decimal(old), provenance)
    after = row.optional_text("new_symbol")
    if after is not None and after != symbol:
        yield _renamed(row, symbol, after, provenance)


def _renamed(row: Row, old: str, new: str, provenance: Provenance) -> Renamed:
    return Renamed(Underlying(old), Underlying(new), row.day(_first(row, _DAY)), provenance)


def _first(row: Row, names: tuple[str, ...]) -> str:
    """The first of ``names`` that the row has; the last when it has none, for the error to name."""
    return next((name for name in names if row.optional_text(name) is not None), names[-1])

"""Checked data as rows of the history store's tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from wsb_core.domain.events import CashDividend, CorporateAction, Renamed, Split
from wsb_core.domain.quotes import Chain, OptionQuote

if TYPE_CHECKING:
    import pandas as pd


def chain_rows(chain: Chain, session: date, at: datetime) -> pd.DataFrame:
    """Rows of table ``chain``: one snapshot at the instant ``at`` within ``session``."""
    import pandas as pd

    frame = pd.DataFrame([_contract(quote) for quote in chain])
    return frame.assign(
        symbol=str(chain.underlying),
        session=pd.Timestamp(session),
        at=pd.Timestamp(at.astimezone(UTC)),
        source=chain.provenance.source,
    )


def _contract(quote: OptionQuote) -> dict[str, Any]:
    contract, provenance = quote.contract, quote.quote.provenance
    return {
        "occ_symbol": contract.occ_symbol,
        "bid": _number(quote.bid),
        "ask": _number(quote.ask),
        "bid_size": quote.quote.bid_size,
        "ask_size": quote.quote.ask_size,
        "last": None,
        "volume": _number(quote.volume),
        "open_interest": _number(quote.open_interest),
        "iv": quote.iv,
        "delta": quote.delta,
        "gamma": quote.gamma,
        "theta": quote.theta,
        "vega": quote.vega,
        "multiplier": contract.multiplier,
        "standard": contract.standard,
        "quoted_at": provenance.as_of.astimezone(UTC),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def dividend_rows(actions: Iterable[CorporateAction], source: str) -> pd.DataFrame:
    """Rows of table ``dividends``; several of one company and day are numbered in the order given."""
    import pandas as pd

    records: list[dict[str, Any]] = []
    items: dict[tuple[str, date], int] = {}
    for one in actions:
        if isinstance(one, CashDividend):
            key = (str(one.underlying), one.ex_date)
            items[key] = items.get(key, 0) + 1
            records.append(
                {
                    "symbol": key[0],
                    "ex_date": pd.Timestamp(one.ex_date),
                    "item": items[key],
                    "amount": float(one.amount),
                    "pay_date": pd.Timestamp(one.pay_date) if one.pay_date else pd.NaT,
                    "special": one.special,
                    "source": source,
                }
            )
    columns = ["symbol", "ex_date", "item", "amount", "pay_date", "special", "source"]
    frame = pd.DataFrame(records, columns=columns)
    return frame.astype({"ex_date": "datetime64[ns]", "pay_date": "datetime64[ns]", "special": "boolean"})


def split_rows(actions: Iterable[CorporateAction], source: str) -> pd.DataFrame:
    """Rows of table ``splits``."""
    import pandas as pd

    records = [
        {
            "symbol": str(one.underlying),
            "ex_date": pd.Timestamp(one.ex_date),
            "ratio": float(one.ratio),
            "source": source,
        }
        for one in actions
        if isinstance(one, Split)
    ]
    frame = pd.DataFrame(records, columns=["symbol", "ex_date", "ratio", "source"])
    return frame.astype({"ex_date": "datetime64[ns]"})


def identity_rows(renamed: Renamed, instrument: str, began: date, source: str) -> pd.DataFrame:
    """Rows of table ``identity``: the new ticker begins on ``renamed.day``, the old one ends the day before.

    ``instrument`` and ``began`` are the company's lasting name and the first day of its old ticker.
    """
    import pandas as pd

    day = pd.Timestamp(renamed.day)
    return pd.DataFrame(
        {
            "instrument": [instrument, instrument],
            "symbol": [str(renamed.old), str(renamed.new)],
            "first": [pd.Timestamp(began), day],
            "last": [day - pd.Timedelta(days=1), pd.NaT],
            "source": [source, source],
        }
    ).astype({"first": "datetime64[ns]", "last": "datetime64[ns]"})

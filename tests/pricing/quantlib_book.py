"""QuantLib's own American engine on plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


class QdFp:
    """Prices by the boundary method of Andersen, Lake and Offengenden; ``ql`` is the module QuantLib.

    QuantLib counts in whole days: any time is one year with its rates and variance scaled.
    """

    def __init__(self, ql: Any, scheme: str) -> None:
        self._ql = ql
        today = ql.Date(15, 6, 2026)
        ql.Settings.instance().evaluationDate = today
        count = ql.Actual365Fixed()
        self._quotes = [ql.SimpleQuote(x) for x in (100.0, 0.0, 0.0, 0.2)]
        spot, rate, dividend, vol = (ql.QuoteHandle(quote) for quote in self._quotes)
        self._process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(today, dividend, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
        )
        self._exercise = ql.AmericanExercise(today, today + 365)
        self._engine = ql.QdFpAmericanEngine(self._process, getattr(ql.QdFpAmericanEngine, scheme)())

    def price(self, s: float, k: float, t: float, r: float, q: float, v: float, is_call: bool) -> float:
        for quote, value in zip(self._quotes, (s, r * t, q * t, v * t**0.5), strict=True):
            quote.setValue(value)
        right = self._ql.Option.Call if is_call else self._ql.Option.Put
        option = self._ql.VanillaOption(self._ql.PlainVanillaPayoff(right, k), self._exercise)
        option.setPricingEngine(self._engine)
        return float(option.NPV())

    def prices(self, *book: Any) -> np.ndarray:
        rows = zip(*(np.asarray(column).tolist() for column in np.broadcast_arrays(*book)), strict=True)
        return np.array([self.price(*row) for row in rows])

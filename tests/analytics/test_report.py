from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

import wsb_core.analytics
from tests.analytics.reports import (
    SESSIONS,
    START,
    a_contract,
    a_decision,
    a_fill,
    a_report,
    a_trade,
    a_walk,
    an_order,
    at,
    some_candles,
    weekdays,
)
from wsb_core.analytics.figures import key_figures
from wsb_core.analytics.page import render, verdicts
from wsb_core.analytics.report import (
    CheckRow,
    EquityPoint,
    Exit,
    Identity,
    Link,
    Reconciliation,
    Report,
    Source,
    check_rows,
)
from wsb_core.domain.checks import CheckReport, Finding, Quarantined, Severity
from wsb_core.domain.contracts import Share
from wsb_core.domain.ids import Cash, Underlying
from wsb_core.domain.orders import OrderState
from wsb_core.domain.quotes import FeedClass
from wsb_core.domain.structures import single

HOSTILE = "<script>alert('x')</script>"
NOTHING_WORDS = re.compile(r"\b(NaN|nan|None|null|undefined|NaT)\b")


class Page(HTMLParser):
    """Tags with their attributes, and the text a reader sees, in the order of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("style", "script"):
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(**changes) -> Page:
    return Page(render(a_report(**changes)))


def an_empty_report() -> Report:
    return Report(
        title="Nothing",
        mode="paper",
        made_at=at(SESSIONS[0]),
        start=START,
        initial=Cash(Decimal(1000)),
        equity=(),
        reconciliation=Reconciliation(None),
        identity=None,
        sources=(),
    )


def test_the_page_asks_for_nothing_and_runs_nothing():
    tags = page().tags

    fetched = [
        attrs.get(name)
        for tag, attrs in tags
        for name in ("src", "href", "xlink:href", "srcset")
        if attrs.get(name) and tag != "a"
    ]
    assert "script" not in {tag for tag, _ in tags}
    assert [value[:5] for value in fetched] == ["data:"]
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)
    assert "@import" not in render(a_report())
    assert not re.search(r"url\((?!#)", render(a_report()))


def test_the_same_report_gives_the_same_page():
    assert render(a_report()) == render(a_report())


def test_the_class_of_the_data_and_what_it_means_come_before_any_figure():
    text = page().text

    assert text.index("REPLAYED shares") < text.index("MODELLED chains") < text.index("Key figures")
    assert text.index("it does not show what the strategy earns") < text.index("Key figures")
    assert text.index("Warnings") < text.index("Key figures")


def test_realtime_data_needs_no_caveat():
    real = (Source("shares", "feed", FeedClass.REALTIME, START, SESSIONS[-1]),)

    assert "Read this first" not in page(sources=real).text


def test_an_unnamed_source_is_said_to_be_untrusted():
    assert "no figure below can be trusted" in page(sources=()).text


@pytest.mark.parametrize("mode", ["practice", "paper", "live", "backtest"])
def test_the_mode_is_on_the_page_and_in_its_title(mode):
    found = page(mode=mode)

    assert f"[{mode.upper()}] Dip bot" in found.text
    assert ("html", {"lang": "en", "data-mode": mode}) in found.tags


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be one of"):
        a_report(mode="demo")


def test_an_identity_that_closes_is_good_and_prints_the_sum():
    [_, closes, _] = verdicts(a_report())

    assert closes.state == "good"
    assert closes.text == (
        "Equity change +$479.70 = realised +$474.00 + open +$22.00 − fees $16.30, difference $0.00."
    )


def test_an_identity_one_cent_out_is_bad():
    identity = replace(a_report().identity, realised=Cash(Decimal("473.99")))

    [_, closes, _] = verdicts(a_report(identity=identity))

    assert closes.state == "bad"
    assert "difference $0.01" in closes.text


def test_what_was_booked_besides_is_part_of_the_sum():
    amounts = (Cash(Decimal(n)) for n in ("105.00", "100.00", "0", "2.50", "7.50"))

    identity = Identity(*amounts)

    assert identity.difference == 0
    assert "+ other +$7.50" in str(identity)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (Reconciliation(True, at(SESSIONS[0])), "good"),
        (Reconciliation(False, at(SESSIONS[0]), ("AAPL: ledger 2, broker 3",)), "bad"),
        (Reconciliation(True, at(SESSIONS[0]), ("AAPL: ledger 2, broker 3",)), "bad"),
        (Reconciliation(None), "unknown"),
    ],
)
def test_books_are_reconciled_only_when_compared_and_without_a_break(seen, state):
    assert verdicts(a_report(reconciliation=seen))[0].state == state


def test_an_order_in_doubt_is_named_in_the_verdict():
    doubtful = an_order(state=OrderState.UNKNOWN)

    verdict = verdicts(a_report(orders=(doubtful,)))[2]

    assert verdict.state == "bad"
    assert doubtful.client_order_id in verdict.text


def test_every_decision_shows_its_first_refusing_rule_with_value_and_bound():
    text = page().text

    assert "2010-05-07 GOOG refused review budget $1,870.00 $1,000.00 one contract costs" in text
    assert "ORCL refused propose spread — (not given) 10%" in text


def test_each_trade_has_its_chart_with_entry_exit_and_the_rule_that_closed_it():
    text = page().text

    assert "entry 2 at 6.45" in text
    assert "profit_target: 2 at 9.02" in text
    assert "by profit_target : +40% against +35%" in text


def test_a_partly_closed_trade_shows_what_is_left():
    partly = a_trade(exits=(Exit(at(SESSIONS[4]), 1, a_trade().exits[0].price, "half_target"),))

    assert "Still open 1 of 2" in page(trades=(partly,)).text


def test_a_trade_without_a_mark_is_a_dash_and_a_warning():
    text = page(trades=(a_trade(profit=None, exits=()),)).text

    assert "AAPL 18 JUN 10 260C long — (no mark)" in text
    assert "1 of 1 trades have no mark: sums leave them out." in text


def test_a_check_that_stopped_a_run_is_a_warning_and_a_row():
    stopped = CheckRow(SESSIONS[1], "bars", "row_count", "run stopped", "0 rows", 0)

    text = page(checks=(stopped,)).text

    assert text.index("1 data check stopped a run") < text.index("Key figures")
    assert "bars row_count run stopped 0 rows 0" in text


def test_check_rows_hold_failures_and_quarantined_tickers_and_nothing_else():
    report = CheckReport(
        "bars",
        "d",
        at(SESSIONS[0]),
        100,
        (
            Finding("row_count", True, Severity.CRITICAL, "100"),
            Finding(
                "positive", False, Severity.CRITICAL, "1 row", 1, ({"symbol": "AAPL", "close": float("nan")},)
            ),
            Finding("fresh", False, Severity.WARNING, "2 days"),
        ),
        (Quarantined("WMT", "ohlc", "low above close"),),
    )

    rows = check_rows(SESSIONS[0], report)

    assert [(row.expectation, row.effect) for row in rows] == [
        ("positive", "run stopped"),
        ("fresh", "warning"),
        ("ohlc", "WMT quarantined"),
    ]
    assert rows[0].examples == ("symbol AAPL, close — (not given)",)


def test_text_from_outside_is_shown_as_text_everywhere():
    ticker = Underlying(HOSTILE)
    order = an_order(structure=single(Share(ticker)), broker_text=HOSTILE, client_order_id=HOSTILE)
    html = render(
        a_report(
            title=HOSTILE,
            warnings=(HOSTILE,),
            parameters={HOSTILE: HOSTILE},
            decisions=(
                a_decision(underlying=ticker, outcome=HOSTILE, rule=HOSTILE, value=HOSTILE, detail=HOSTILE),
            ),
            trades=(
                a_trade(
                    single(Share(ticker)),
                    reason=HOSTILE,
                    facts={HOSTILE: HOSTILE},
                    exits=(Exit(at(SESSIONS[4]), 2, a_trade().entry, HOSTILE, HOSTILE),),
                ),
            ),
            candles={ticker: some_candles("AAPL", 235.0)},
            checks=(CheckRow(SESSIONS[0], HOSTILE, HOSTILE, HOSTILE, HOSTILE, None, (HOSTILE,)),),
            orders=(order,),
            fills=(a_fill(instrument=Share(ticker)),),
            funnel=((HOSTILE, 3),),
            sources=(Source(HOSTILE, HOSTILE, FeedClass.MODELLED, START, START, None, HOSTILE, HOSTILE),),
            links=(Link(HOSTILE, "http://127.0.0.1/?q=<script>"),),
            benchmark=(1.0,) * 21,
            benchmark_name=HOSTILE,
            reconciliation=Reconciliation(False, None, (HOSTILE,)),
        )
    )
    found = Page(html)

    assert "script" not in {tag for tag, _ in found.tags}
    assert found.text.count(HOSTILE) > 25


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "/runs/1", ""])
def test_a_link_leads_to_a_web_page_or_is_refused(url):
    with pytest.raises(ValueError, match="must start with http"):
        Link("run", url)


@pytest.mark.parametrize(
    "report",
    [
        a_report(),
        an_empty_report(),
        a_report(
            trades=(a_trade(profit=None, fees=None, exits=(), facts={"iv": "nan"}),),
            orders=(an_order(average=None, broker_text=None),),
            fills=(a_fill(client_order_id=None),),
            candles={},
            reconciliation=Reconciliation(True, None),
            identity=None,
            parameters={"cap": "None"},
            warnings=("nan",),
        ),
        a_report(
            equity=a_report().equity[:1], trades=(), decisions=(), orders=(), fills=(), checks=(), funnel=()
        ),
    ],
    ids=["whole", "empty", "unknowns", "first session"],
)
def test_no_page_says_nan_or_none(report):
    assert not NOTHING_WORDS.search(Page(render(report)).text)


def test_few_sessions_give_no_ratio_and_say_how_many_are_needed():
    figures = {figure.label: figure.value for figure in key_figures(a_report())}

    assert figures["Sharpe"] == "— (not enough data: 20 returns, needs 60)"
    assert figures["Total return"] == "+0.48%"
    assert figures["Max drawdown"] == "−0.24%"


def test_every_figure_on_the_page_is_defined_on_it():
    report = a_report(benchmark=(100.0, *a_walk(100.0, 20, 7)), benchmark_name="SPY")
    text = Page(render(report)).text

    definitions = text[text.index("Definitions") :]
    assert all(f"{figure.label} {figure.definition}" in definitions for figure in key_figures(report))


def test_a_benchmark_needs_a_level_at_the_start_too():
    with pytest.raises(ValueError, match="one for the start"):
        a_report(benchmark=(1.0,) * 20)


def test_a_deposit_is_no_profit():
    points = (
        EquityPoint(SESSIONS[0], Cash(Decimal(1000))),
        EquityPoint(SESSIONS[1], Cash(Decimal(1500)), Cash(Decimal(500))),
    )

    figures = {
        figure.label: figure.value
        for figure in key_figures(a_report(initial=Cash(Decimal(1000)), equity=points))
    }

    assert figures["Total return"] == "0.00%"


def test_an_account_that_lost_everything_still_gets_its_page():
    points = tuple(EquityPoint(s, Cash(Decimal(e))) for s, e in zip(SESSIONS, (900, -50, 20), strict=False))

    text = page(initial=Cash(Decimal(1000)), equity=points).text

    assert f"Equity was gone on {SESSIONS[1]}" in text
    assert "Total return −105.00%" in text


def test_a_report_starts_from_some_capital():
    with pytest.raises(ValueError, match="initial must be the positive equity"):
        a_report(initial=Cash(Decimal(0)))


def test_ten_years_and_five_hundred_trades_stay_under_a_megabyte_and_say_what_is_left_out():
    sessions = weekdays(date(2010, 1, 4), 2500)
    equity = a_walk(100_000.0, 2500, 3, 0.01)
    trades = tuple(
        a_trade(
            opened_at=at(sessions[5 * n]),
            exits=(Exit(at(sessions[5 * n + 2]), 2, a_trade().exits[0].price, "time_stop"),),
            profit=Cash(Decimal(n % 7 - 3) * 40),
        )
        for n in range(490)
    )
    candles = some_candles("AAPL", 235.0, 2600)
    report = a_report(
        start=sessions[0] - timedelta(days=3),
        equity=tuple(
            EquityPoint(s, Cash(Decimal(f"{v:.2f}"))) for s, v in zip(sessions, equity, strict=True)
        ),
        trades=trades,
        candles={Underlying("AAPL"): candles},
        decisions=tuple(a_decision() for _ in range(5000)),
        orders=tuple(an_order() for _ in range(1000)),
        fills=tuple(a_fill() for _ in range(1000)),
    )

    html = render(report)

    assert len(html.encode()) < 1_000_000
    assert "The newest 60 of 490 trades" in html
    assert "The last 500 of 5000 decisions" in html
    assert "Number of closed trades by profit" in html


def test_a_table_that_scrolls_can_be_reached_by_keyboard():
    scrolled = [attrs for tag, attrs in page().tags if "scroll" in (attrs.get("class") or "")]

    assert scrolled
    assert all(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in scrolled)


def test_ids_are_unique_and_there_is_one_first_heading():
    tags = page().tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]

    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in tags].count("h1") == 1


def test_a_share_position_has_no_strike_line():
    text = page(trades=(a_trade(single(Share(Underlying("HPQ")))),)).text

    assert "strike" not in text


def test_a_contract_of_the_trade_is_drawn_at_its_strike():
    close = some_candles("AAPL", 235.0)[30].close
    near = single(a_contract("AAPL", f"{round(close)}"))

    assert f"strike {round(close)}" in page(trades=(a_trade(near),)).words


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        (ink, ground)
        for ink in ("ink", "muted", "gain", "loss", "amber", "link")
        for ground in ("ground", "panel")
    ]
    + [("amber", "amber-ground"), ("ink", "amber-ground"), ("muted", "amber-ground")],
)
def test_every_colour_of_text_can_be_read_on_its_ground(theme, ink, ground):
    css = (Path(wsb_core.analytics.__file__).parent / "templates" / "report.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css.split(":root {")[theme + 1]))

    assert _contrast(colours[ink], colours[ground]) >= 4.5

"""The one way a frame is judged: Great Expectations evaluates the suite, the gate reads the verdict.

A suite is a list of facts. Facts about the frame as a whole are Great Expectations' own; facts about
rows are boolean columns, measured here and expected to be true there, because that is what lets one
validation say of every ticker whether it may stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wsb_core.domain.checks import CheckReport, Finding, Passed, Quarantined, Severity
from wsb_core.domain.errors import DataQualityError
from wsb_core.domain.quotes import require_aware

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """A fact about a row. ``holds`` must say False where it cannot tell.

    ``shows`` are the columns that explain an offending row. A row that breaks a critical rule is
    removed; when the rule ``counts``, it also weighs against its ticker (see ``Suite.tolerance``).
    """

    name: str
    about: str
    holds: Callable[[pd.DataFrame], pd.Series[bool]]
    shows: tuple[str, ...] = ()
    severity: Severity = Severity.CRITICAL
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Suite:
    """What is expected of one table.

    ``measure`` gets a copy of the frame and adds the columns that the rules read. ``names`` are the
    columns that name a row to a reader. ``tolerance`` is the share of a ticker's rows that may break
    counting rules before the ticker is quarantined.
    """

    name: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    measure: Callable[[pd.DataFrame], pd.DataFrame]
    rules: tuple[Rule, ...]
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows that may be used, with their original row numbers as index, and the verdict on them."""

    frame: pd.DataFrame
    report: CheckReport

    def proof(self) -> Passed:
        """The proof that ``frame`` passed.

        Raises: CheckFailed, which carries the report.
        """
        try:
            return self.report.proof()
        except DataQualityError as error:
            raise CheckFailed(str(error), self.report) from None


class CheckFailed(DataQualityError):
    """A suite failed; ``report`` is the whole verdict, for whoever has to show it."""

    def __init__(self, text: str, report: CheckReport) -> None:
        super().__init__(text, report)
        self.text = text
        self.report = report

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        # Logs print exceptions by their repr; the report belongs into the artifact and the ledger.
        return f"CheckFailed({self.text!r})"


def digest(frame: pd.DataFrame) -> str:
    """SHA-256 over column names, types and every value in order; the index does not count."""
    import pandas as pd

    found = hashlib.sha256()
    for name in frame.columns:
        found.update(f"{name}\x1f{frame[name].dtype}\x1e".encode())
    found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return found.hexdigest()


def check(
    frame: pd.DataFrame,
    suite: Suite,
    *,
    at: datetime,
    key: str | None = None,
    absent: Mapping[str, str] | None = None,
    indispensable: Collection[str] = (),
    max_quarantined: float = 0.10,
) -> Checked:
    """Judge a frame once, whole. The frame itself is not changed.

    With ``key``, the column that names the ticker, a critical row rule quarantines tickers instead of
    failing the run, until more than the share ``max_quarantined`` of them is out or one of
    ``indispensable`` is. ``absent`` are tickers that were asked for and have no row, with the reason.
    """
    require_aware(at, "at")
    kept = frame.reset_index(drop=True).copy(deep=True)
    measured = kept.copy(deep=True)
    whole = all(column in measured for column in suite.columns)
    if whole:
        measured = _measured(measured, suite)
    # Measured columns that no expectation reads are left out: each expectation copies what it is given.
    read = [name for name in (*suite.columns, *(rule.name for rule in suite.rules)) if name in measured]
    results = _validate(measured[read], suite.name, _expectations(suite, key, whole))
    findings = [_finding(result, suite, measured) for result in results]
    quarantined: tuple[Quarantined, ...] = ()
    if key is not None and whole:
        quarantined, keep = _quarantine(measured, suite, key, absent or {})
        kept = kept.loc[keep]
        findings = [_judged_by_ticker(finding, suite) for finding in findings]
        tickers = set(measured[key].dropna()) | set(absent or {})
        findings.append(_share(quarantined, len(tickers), max_quarantined))
        if indispensable:
            findings.append(_indispensable(quarantined, tickers, indispensable))
    report = CheckReport(suite.name, digest(kept), at, len(kept), tuple(findings), quarantined)
    return Checked(kept, report)


def _measured(frame: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """The frame with one boolean column per rule."""
    if frame.empty:
        return frame.assign(**{rule.name: frame.index == 0 for rule in suite.rules})
    frame = suite.measure(frame)
    return frame.assign(**{rule.name: rule.holds(frame).fillna(False).astype(bool) for rule in suite.rules})


def _validate(measured: pd.DataFrame, name: str, wanted: Sequence[Any]) -> list[Any]:
    """What Great Expectations says of each expectation, in the order in which they are wanted."""
    import great_expectations as gx

    # A context of our own each time: a shared one gives wrong verdicts under threads.
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("frames")
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe("whole")
        .get_batch({"dataframe": measured})
    )
    order = {expectation.meta["name"]: place for place, expectation in enumerate(wanted)}
    verdict = batch.validate(
        gx.ExpectationSuite(name=name, expectations=list(wanted)),
        # Counts only: which rows they are is read from the columns, in half the time.
        result_format="BASIC",
    )
    return sorted(verdict.results, key=lambda result: order[result.expectation_config.meta["name"]])


def _expectations(suite: Suite, key: str | None, whole: bool) -> list[Any]:
    """Rules of a frame that lacks a column cannot be measured: the missing column is the finding."""
    # Imported late: it takes seconds and 180 MB, and most commands never check a frame.
    import great_expectations.expectations as gxe

    critical = Severity.CRITICAL.value
    wanted = [
        gxe.ExpectTableRowCountToBeBetween(meta={"name": "rows_present"}, min_value=1, severity=critical),
        gxe.ExpectTableColumnsToMatchSet(
            meta={"name": "columns_present"},
            column_set=list(suite.columns),
            exact_match=False,
            severity=critical,
        ),
    ]
    if key is not None:
        name = {"name": f"{key}_present"}
        wanted.append(gxe.ExpectColumnValuesToNotBeNull(meta=name, column=key, severity=critical))
    if whole:
        wanted.extend(
            gxe.ExpectColumnValuesToBeInSet(
                meta={"name": rule.name}, column=rule.name, value_set=[True], severity=rule.severity.value
            )
            for rule in suite.rules
        )
    return wanted


def _finding(result: Any, suite: Suite, measured: pd.DataFrame) -> Finding:
    config = result.expectation_config
    name = str(config.meta["name"])
    found = result.result or {}
    severity = Severity(getattr(config.severity, "value", config.severity))
    trouble = _exception(result.exception_info)
    if trouble is not None:
        return Finding(name, False, severity, f"could not be evaluated: {trouble}")
    bad = found.get("unexpected_count")
    if bad is None:
        missing = found.get("details", {}).get("mismatched", {}).get("missing")
        observed = f"missing {', '.join(missing)}" if missing else _brief(found.get("observed_value"))
        return Finding(name, bool(result.success), severity, observed)
    shows = next((rule.shows for rule in suite.rules if rule.name == name), ())
    offending = measured[config.kwargs["column"]].isna() if name.endswith("_present") else ~measured[name]
    rows = [int(row) for row in offending.to_numpy().nonzero()[0][:EXAMPLES]]
    examples = tuple(_plain(measured, row, (*suite.names, *shows)) for row in rows)
    observed = f"{bad} of {found['element_count']} rows" if bad else f"{found['element_count']} rows"
    return Finding(name, bool(result.success), severity, observed, int(bad), examples)


def _brief(observed: Any) -> str:
    return f"{len(observed)} of them" if isinstance(observed, list) else str(observed)


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """The message of an expectation that raised; Great Expectations nests it by metric, or not at all."""
    for entry in (info or {}, *(value for value in (info or {}).values() if isinstance(value, Mapping))):
        if entry.get("raised_exception"):
            return str(entry.get("exception_message")).strip().splitlines()[0]
    return None


def _plain(frame: pd.DataFrame, row: int, columns: Sequence[str]) -> dict[str, Any]:
    import pandas as pd

    found: dict[str, Any] = {}
    for column in columns:
        if column not in frame:
            continue
        value = frame[column].iat[row]
        if value is None or value is pd.NaT or value != value:
            found[column] = None
        elif isinstance(value, pd.Timestamp):
            found[column] = value.isoformat() if value.tzinfo else value.date().isoformat()
        else:
            found[column] = value.item() if hasattr(value, "item") else value
    return found


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _quarantine(
    measured: pd.DataFrame, suite: Suite, key: str, absent: Mapping[str, str]
) -> tuple[tuple[Quarantined, ...], pd.Series[bool]]:
    """Who is out and why, and which rows are left."""
    import pandas as pd

    critical = {rule.name: rule for rule in suite.rules if rule.severity is Severity.CRITICAL}
    held = pd.DataFrame({name: measured[name] for name in critical}, index=measured.index)
    broken = ~held
    counted = broken[[name for name, rule in critical.items() if rule.counts]]
    share = counted.any(axis=1).groupby(measured[key]).mean()
    nothing_left = broken.any(axis=1).groupby(measured[key]).all()
    first = broken.groupby(measured[key]).any().idxmax(axis=1)
    rows_of = measured.groupby(key).indices
    out = [Quarantined(name, "rows_present", reason) for name, reason in absent.items()]
    for ticker in share.index[(share > suite.tolerance) | nothing_left]:
        rule, rows = critical[first[ticker]], rows_of[ticker]
        bad = rows[broken[rule.name].to_numpy()[rows]]
        example = _plain(measured, int(bad[0]), (*suite.names, *rule.shows))
        text = ", ".join(f"{name} {_short(value)}" for name, value in example.items() if name != key)
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        out.append(Quarantined(str(ticker), rule.name, f"{rule.about}: {text}{more}"))
    gone = {entry.ticker for entry in out}
    return tuple(sorted(out, key=lambda entry: entry.ticker)), held.all(axis=1) & ~measured[key].isin(gone)


def _judged_by_ticker(finding: Finding, suite: Suite) -> Finding:
    """A row rule that removed rows or tickers no longer stops the run: what it removed is gone."""
    if finding.passed or finding.bad_rows is None or finding.expectation not in {r.name for r in suite.rules}:
        return finding
    return Finding(
        finding.expectation,
        False,
        Severity.WARNING,
        finding.observed,
        finding.bad_rows,
        finding.examples,
    )


def _share(quarantined: Sequence[Quarantined], tickers: int, most: float) -> Finding:
    names = [entry.ticker for entry in quarantined]
    observed = f"{len(names)} of {tickers} quarantined, at most {most:.0%} allowed"
    if names:
        first = "; ".join(f"{e.ticker} {e.expectation}" for e in quarantined[:3])
        observed = f"{observed}: {first}{' and more' if len(names) > 3 else ''}"
    return Finding("quarantined_share", len(names) <= most * tickers, Severity.CRITICAL, observed)


def _indispensable(
    quarantined: Sequence[Quarantined], tickers: Collection[str], needed: Collection[str]
) -> Finding:
    out = {entry.ticker: f"{entry.ticker}: {entry.expectation} ({entry.detail})" for entry in quarantined}
    lost = [
        out.get(name, f"{name}: no rows") for name in sorted(needed) if name in out or name not in tickers
    ]
    text = "; ".join(lost) if lost else f"{', '.join(sorted(needed))} clean"
    return Finding("indispensable_clean", not lost, Severity.CRITICAL, text)

"""A verdict as people read it: Markdown and table rows for the run's artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsb_core.domain.checks import CheckReport, Finding

_SHOWN = 5


def as_table(report: CheckReport) -> list[dict[str, Any]]:
    """One plain row per expectation, in the order of the suite, then one per quarantined ticker."""
    rows: list[dict[str, Any]] = [
        {
            "expectation": finding.expectation,
            "verdict": _verdict(finding),
            "severity": finding.severity.value,
            "observed": finding.observed,
            "offending rows": "; ".join(_row(example) for example in finding.examples[:_SHOWN]),
        }
        for finding in report.findings
    ]
    rows.extend(
        {
            "expectation": entry.expectation,
            "verdict": "quarantined",
            "severity": "critical",
            "observed": entry.ticker,
            "offending rows": entry.detail,
        }
        for entry in report.quarantined
    )
    return rows


def as_markdown(report: CheckReport) -> str:
    """The verdict whole: the outcome first, then what failed with rows, who is out, and what held."""
    outcome = "passed" if report.passed else "FAILED"
    failed = [finding for finding in report.findings if not finding.passed]
    held = [finding.expectation for finding in report.findings if finding.passed]
    at = report.checked_at.isoformat(timespec="seconds")
    lines = [
        f"## Data check `{report.suite}`: {outcome}",
        f"{report.rows} rows let through at {at}, digest `{report.digest[:12]}`.",
    ]
    if failed:
        lines += ["", "| expectation | verdict | severity | observed |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {f.expectation} | {_verdict(f)} | {f.severity.value} | {_cell(f.observed)} |" for f in failed
        ]
    for finding in failed:
        if finding.examples:
            lines += ["", f"**{finding.expectation}**, offending rows:", *_examples(finding)]
    if report.quarantined:
        lines += ["", "| quarantined | expectation | detail |", "| --- | --- | --- |"]
        lines += [f"| {_cell(q.ticker)} | {q.expectation} | {_cell(q.detail)} |" for q in report.quarantined]
    if held:
        lines += ["", f"Held ({len(held)}): {', '.join(held)}."]
    return "\n".join(lines) + "\n"


def _verdict(finding: Finding) -> str:
    return "passed" if finding.passed else "failed" if finding.severity == "critical" else "warning"


def _examples(finding: Finding) -> list[str]:
    lines = [f"- {_cell(_row(example))}" for example in finding.examples[:_SHOWN]]
    more = (finding.bad_rows or 0) - len(lines)
    return [*lines, f"- and {more} more"] if more > 0 else lines


def _row(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in example.items())


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

"""Write the pages that come from tables in the program: ``python -m deployments.docs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployments.catalog import strategy_deployment
from wsb_core.brokers import RULES
from wsb_core.brokers.alpaca_orders import STATES
from wsb_core.domain.strategy import AnyStrategy, Slot, StrategyParams
from wsb_core.execution.recovery import RECOVERY as RECOVERIES
from wsb_core.execution.rules import BrokerRules
from wsb_core.strategies import STRATEGIES

DOCS = Path(__file__).resolve().parent.parent / "docs"
TARGET = DOCS / "strategies.md"
RECOVERY = DOCS / "recovery.md"
HEADER = """<!-- Written by `python -m deployments.docs` from the registry: edit the strategy, not this. -->

# Strategies

Shares are fractions: 0.05 is 5 %. Times are those of the exchange, New York. What each parameter may be
is enforced by its type: unknown names and contradictory values are refused before a run starts.
"""


def render() -> str:
    """The text of ``docs/strategies.md``: one section for each registered strategy."""
    return "\n".join([HEADER, *(_section(strategy) for strategy in STRATEGIES.values())])


def _section(strategy: AnyStrategy) -> str:
    lines = [
        f"## {strategy.title} (`{strategy.name}`)",
        "",
        strategy.summary,
        "",
        strategy.notes(strategy.params),
        "",
        *_facts(strategy),
        "",
        *_parameters(strategy),
        "",
    ]
    return "\n".join(lines)


def _facts(strategy: AnyStrategy) -> list[str]:
    needs = strategy.needs(strategy.params)
    window = needs.chain
    sides = " and ".join(f"{right.name.lower()}s" for right in window.rights)
    crons = ", ".join(f"`{schedule.cron}`" for schedule in strategy_deployment(strategy).schedules)
    index = f" and {needs.benchmark_bars} of {needs.benchmark}" if needs.benchmark else ""
    rows = [
        ("Decides", "; ".join(_slot(slot) for slot in strategy.cadence.slots)),
        ("Schedules", f"{crons} (full and half days; the flow asks the calendar which one it is)"),
        ("Universe", ", ".join(strategy.universe)),
        ("Reads", f"{needs.bars} sessions{index}; {sides} of {window.min_dte} to {window.max_dte} days"),
        ("Risk tier", strategy.risk_tier),
        ("Loss of one trade", f"at most {strategy.max_risk_per_trade:.1%} of equity"),
        ("Loss of all its trades", f"at most {strategy.max_total_risk:.1%} of equity"),
        ("Open at once", f"{strategy.max_open}, {strategy.max_per_sector} in one sector"),
        ("New in a session", str(strategy.max_new_per_session)),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]


def _slot(slot: Slot) -> str:
    side = "after the open" if slot.minutes >= 0 else "before the close"
    good = slot.window.total_seconds() / 60
    return f"`{slot.name}`: {abs(slot.minutes)} minutes {side}, good for {good:.0f} minutes"


def _parameters(strategy: AnyStrategy) -> list[str]:
    """One row for each parameter, one column for each preset."""
    presets = list(strategy.presets.items())
    names = " | ".join(f"`{name}`" for name, _ in presets)
    rows = [f"| Parameter | {names} | Meaning |", "|---|" + "---|" * (len(presets) + 1)]
    for name, field in type(strategy.params).model_fields.items():
        if name not in StrategyParams.model_fields:
            values = " | ".join(_value(getattr(preset, name)) for _, preset in presets)
            rows.append(f"| `{name}` | {values} | {field.description} |")
    return rows


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "off", True: "yes", False: "no"}[value]
    return f"{value:,.0f}" if isinstance(value, float) and value >= 1e6 else str(value)


RECOVERY_HEADER = """<!-- Written by `python -m deployments.docs` from tables of the program: edit those. -->

# Recovery

What goes wrong on the way of an order, and what the system does about it. Each time it leaves a row of kind
`recovery` in the audit log, sets the halt that is named, and sends one message. A halt of kind
`reduce_only` stops entries and waits for a person (`wsb resume`, with a reason). A `hold` stops everything,
exits too, because nothing can be sent; it lifts itself once it is five minutes old and a clean
reconciliation came after it: the reconciler's own, or one that the next exit asks for. Nothing else in this
table stops an exit.
"""
REFUSALS_HEADER = """
## What a refusal means: {name}

A refusal is final and keeps the broker's words. It is classed by the first row whose code is the refusal's
and whose words are in its text; one that no row knows is `refused_unlisted`.

| Code | Words | Class |
|---|---|---|"""
STATUSES_HEADER = """
## What a status means: {name}

Any other one leaves the order where it may still be working, so that nothing follows it: `unknown_status`.

| Status | State |
|---|---|"""
RULES_HEADER = """
## What a broker takes

Asked before an order is recorded; what is not taken is refused with the value and what would be taken.

| Broker | """


def render_recovery() -> str:
    """The text of ``docs/recovery.md``: what is done, and the brokers' words and rules behind it."""
    lines = [RECOVERY_HEADER]
    lines += ["| Class | Sign | What is done | Halt | Alert | For you to do |", "|---|---|---|---|---|---|"]
    for trouble, row in RECOVERIES.items():
        cells = (f"`{trouble}`", row.sign, row.remedy, row.remedy.halt or "none", row.severity, row.do)
        lines.append(f"| {' | '.join(cells)} |")
    for name, rules in RULES.items():
        lines.append(REFUSALS_HEADER.format(name=name))
        lines += [f"| {known.code or 'any'} | {known.words} | `{known.means}` |" for known in rules.refusals]
    lines.append(STATUSES_HEADER.format(name="alpaca"))
    lines += [f"| `{status}` | `{state}` |" for status, state in STATES.items()]
    rows = {name: _taken(rules) for name, rules in RULES.items()}
    columns = next(iter(rows.values()))
    lines.append(RULES_HEADER + " | ".join(columns) + " |")
    lines.append("|---|" + "---|" * len(columns))
    lines += [f"| {name} | {' | '.join(cells.values())} |" for name, cells in rows.items()]
    return "\n".join(lines) + "\n"


def _taken(rules: BrokerRules) -> dict[str, str]:
    def yes(flag: bool) -> str:
        return "yes" if flag else "no"

    levels = ", ".join(f"{level} for {need}" for need, level in rules.levels.items())
    return {
        "Orders of": ", ".join(sorted(rules.order_classes)),
        "Types": ", ".join(sorted(rules.order_types)),
        "In force": ", ".join(sorted(rules.times_in_force)),
        "Legs": f"up to {rules.max_legs}",
        "Fractions of shares": yes(rules.fractional_shares),
        "Extended hours": yes(rules.extended_hours),
        "Opens index options": yes(rules.index_options),
        "Opens adjusted contracts": yes(rules.adjusted_contracts),
        "Uncovered legs": yes(rules.uncovered_legs),
        "Options level": levels,
        "Last opening before the last close": f"{rules.last_opening.total_seconds() / 60:.0f} minutes",
    }


def main() -> None:
    """Write the files."""
    TARGET.write_text(render(), encoding="utf-8")
    RECOVERY.write_text(render_recovery(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write ``docs/strategies.md`` from the registry: ``python -m deployments.docs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deployments.catalog import strategy_deployment
from wsb_core.domain.strategy import AnyStrategy, Slot, StrategyParams
from wsb_core.strategies import STRATEGIES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "strategies.md"
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


def main() -> None:
    """Write the file."""
    TARGET.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()

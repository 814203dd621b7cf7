"""What a flow's process loads before its first line runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECKING = ("flows.run_strategy", "flows.manage_positions", "flows.iv_history")
HEAVY = ("great_expectations", "yfinance", "numba", "alpaca", "polygon", "scipy")


@pytest.mark.parametrize("flow", ["flows.reconcile", *CHECKING])
def test_a_flow_loads_no_vendors_library_and_no_compiler_before_it_needs_one(flow: str) -> None:
    code = f"import sys, {flow}; print([name for name in {HEAVY!r} if name in sys.modules])"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip().splitlines()[-1] == "[]"

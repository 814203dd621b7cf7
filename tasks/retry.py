"""The only retry policy: reads are repeated on ``Transient``, and nothing else is repeated at all."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from wsb_core.domain.errors import Transient


def if_transient(task: Any, run: Any, state: Any) -> bool:
    """True when the attempt failed with an error that repeating may cure."""
    try:
        state.result()
    except Transient:
        return True
    except BaseException:  # any other failure, a time-out of the task included, is final
        return False
    return False


# Results are never cached by Prefect: a rerun's safety is the ledger's unique intent key, and a cached
# quote or a cached order would each be a lie about now.
READ: dict[str, Any] = {
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(0.5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": if_transient,
    "cache_policy": NO_CACHE,
    "timeout_seconds": 60,
}
ONCE: dict[str, Any] = {"retries": 0, "cache_policy": NO_CACHE}

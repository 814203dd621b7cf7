"""One message per event, through the outbox: a dead channel never blocks a trade."""

from __future__ import annotations

import logging
from typing import Any

from tasks.wiring import WallClock, wiring

log = logging.getLogger("wsb.alerts")


def notify(
    *, key: str, severity: str, title: str, what: str, did: str = "", do: str = "", link: str = ""
) -> None:
    """Queue one message under ``key`` (once ever) and try to deliver what is queued. Never raises.

    Alerts carry the wall's time, in practice too: they tell a person when to act. When the ledger
    itself cannot be reached, the message goes straight to the channels.
    """
    from wsb_core.alerts import Alert, AlertSeverity, deliver, record

    now = WallClock().now()
    alert = Alert(AlertSeverity(severity), title, what, did, do, now, link=link or None)
    try:
        w = wiring()
        record(w.ledger, alert, key=key, secrets=w.settings.secrets())
        deliver(w.ledger, w.channels, now, secrets=w.settings.secrets())
    except Exception:
        log.exception("alert %s could not be queued: %s", key, title)
        _directly(alert)


def _directly(alert: Any) -> None:
    from wsb_core.alerts import scrub

    secrets = wiring().settings.secrets()
    for channel in wiring().channels:
        try:
            channel.send(scrub(alert.title, secrets), scrub(alert.body, secrets))
        except Exception:
            log.exception("alert could not be sent to %s: %s", channel.name, alert.title)


def alert_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Hook of every top-level flow: one message for a run that failed, crashed or timed out."""
    notify(
        key=f"run:{flow_run.id}:{flow_run.run_count}",
        severity="critical",
        title=f"{flow.name} {state.name.lower()}",
        what=f"Run {flow_run.name}: {(state.message or 'no message')[:1500]}",
        did="The run ended; no further order came out of it. Exits run in their own flow.",
        do="Open the run, read its checks and orders, then rerun it by hand: a rerun sends nothing twice.",
        link=run_link(flow_run.id),
    )


def run_link(run_id: Any) -> str:
    """Address of a run in the Prefect UI."""
    from prefect.settings import PREFECT_UI_URL

    base = PREFECT_UI_URL.value()
    return f"{base}/runs/flow-run/{run_id}" if base else ""

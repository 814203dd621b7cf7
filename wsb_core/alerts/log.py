"""The log as a channel: always there, never refuses."""

from __future__ import annotations

import logging

LOG = logging.getLogger("wsb.alerts")


class LogChannel:
    """``AlertChannel`` over standard logging, at WARNING so that it shows without configuration."""

    @property
    def name(self) -> str:
        return "log"

    def send(self, title: str, body: str) -> None:
        LOG.warning("%s\n%s", title, body)

"""What was observed and announced, kept for good: who knew what when, in parquet files.

Nothing that was written is changed. A correction is a new version of its row, and a read as of an instant
sees the versions that were recorded by then.
"""

from __future__ import annotations

from .adjust import Adjustment, Unadjustable
from .frames import known_at_close
from .schema import TABLES
from .store import HistoryStore
from .versions import Whole

__all__ = ["TABLES", "Adjustment", "HistoryStore", "Unadjustable", "Whole", "known_at_close"]

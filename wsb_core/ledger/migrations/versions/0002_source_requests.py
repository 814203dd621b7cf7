"""Requests a minute to each source of data, for all processes; volatilities moved to the history store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from wsb_core.ledger.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_requests",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("minute", Instant(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_requests")),
    )
    op.drop_table("iv_history")

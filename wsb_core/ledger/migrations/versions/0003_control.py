"""Halts that a person has to lift, the looks behind automatic ones, recorded inputs; nothing is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from wsb_core.ledger.retention import forbid_deletes
from wsb_core.ledger.types import Document, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ACTIVE = sa.text("cleared_at IS NULL")


def upgrade() -> None:
    # An order is recorded as being sent; one that an earlier version recorded and never sent is given up.
    op.execute("UPDATE orders SET state = 'abandoned' WHERE state = 'intended'")
    op.execute("UPDATE order_events SET to_state = 'sending' WHERE to_state = 'intended'")
    op.execute("UPDATE order_events SET from_state = 'sending' WHERE from_state = 'intended'")
    # A halt of before says nothing of its weight: a person lifts it.
    with op.batch_alter_table("halts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("hard", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("cleared_why", sa.Text(), nullable=False, server_default=""))
        batch_op.drop_index("uq_halts_active")
        batch_op.create_index(
            "uq_halts_active",
            ["scope", "kind", "set_by"],
            unique=True,
            sqlite_where=_ACTIVE,
            postgresql_where=_ACTIVE,
        )
    op.create_table(
        "looks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("readings", Document(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.account"], name=op.f("fk_looks_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_looks")),
    )
    with op.batch_alter_table("looks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_looks_session"), ["session"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )
    op.create_table(
        "run_inputs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_run_inputs_run_id")),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_run_inputs_digest")),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_inputs")),
    )
    forbid_deletes(op.get_bind())

"""Add the flag that asks the owner of a run to stop."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("test_runs", "inference_jobs")


def upgrade() -> None:
    for table in TABLES:
        column = sa.Column(
            "cancel_requested", sa.Boolean, server_default=sa.false(), nullable=False
        )
        op.add_column(table, column)


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "cancel_requested")

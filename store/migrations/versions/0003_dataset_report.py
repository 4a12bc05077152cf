"""Add the report of what listing a dataset found and passed over."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("test_runs", "inference_jobs")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("dataset_report", sa.JSON))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "dataset_report")

"""Add revisions of runs, and keep the records of units that a retry superseded."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RUNS = ("test_runs", "inference_jobs")
KEY = ("run_kind", "run_id", "unit_id")
CURRENT = sa.text("superseded_by IS NULL")


def upgrade() -> None:
    for table in RUNS:
        column = sa.Column("revision", sa.Integer, server_default=sa.text("0"), nullable=False)
        op.add_column(table, column)
    # SQLite drops a constraint by copying the table.
    with op.batch_alter_table("run_units", table_kwargs={"sqlite_autoincrement": True}) as units:
        units.add_column(sa.Column("superseded_by", sa.Integer))
        units.drop_constraint("uq_run_units_run_unit", type_="unique")
    op.create_index(
        "uq_run_units_current",
        "run_units",
        KEY,
        unique=True,
        sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    )


def downgrade() -> None:
    op.drop_index("uq_run_units_current", "run_units")
    op.execute("DELETE FROM run_units WHERE superseded_by IS NOT NULL")
    with op.batch_alter_table("run_units", table_kwargs={"sqlite_autoincrement": True}) as units:
        units.drop_column("superseded_by")
        units.create_unique_constraint("uq_run_units_run_unit", KEY)
    for table in RUNS:
        op.drop_column(table, "revision")

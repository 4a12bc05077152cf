"""Add names that can be moved between runs, and registered datasets."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("run_kind", sa.Text, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.UniqueConstraint("run_kind", "name", name="uq_tags_kind_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_tags_run", "tags", ["run_kind", "run_id"])
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("datasets")
    op.drop_table("tags")

"""Add the queue of jobs, the comparisons and exports of the HTTP service, and reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def _created() -> "sa.Column[object]":
    return sa.Column("created_at", TIME, server_default=sa.func.now(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "job_queue",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_kind", sa.Text, nullable=False),
        sa.Column("job_id", sa.Integer, nullable=False),
        sa.Column("retry_failed", sa.JSON),
        sa.Column("attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("progress", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", TIME),
        sa.Column("claim_owner", sa.Text),
        sa.Column("claim_token", sa.Text),
        sa.Column("claimed_at", TIME),
        _created(),
        sa.UniqueConstraint("job_kind", "job_id", name="uq_job_queue_job"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "analyses",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("run_kind", sa.Text, nullable=False),
        sa.Column("run_ids", sa.JSON, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, server_default=sa.text("'pending'"), nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("file", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("completed_at", TIME),
        _created(),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed')", name="ck_analyses_status"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("true_index", sa.Integer),
        sa.Column("box", sa.JSON),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("author", sa.Text),
        _created(),
        sa.CheckConstraint(
            "status IN ('wrong_label', 'unclear', 'fixed')", name="ck_reviews_status"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_reviews_image", "reviews", ["dataset", "image_id"])


def downgrade() -> None:
    op.drop_table("reviews")
    op.drop_table("analyses")
    op.drop_table("job_queue")

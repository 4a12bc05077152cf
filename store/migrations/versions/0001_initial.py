"""Create the first tables: training jobs, test runs, inference jobs, images and the ledger."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATUSES = "('pending', 'running', 'completed', 'failed', 'interrupted', 'cancelled')"
TIME = sa.DateTime(timezone=True)


def columns(kind: Any, names: str, *, nullable: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names.split()]


def key() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def stamp(name: str) -> sa.Column[Any]:
    return sa.Column(name, TIME, server_default=sa.func.now(), nullable=False)


def parent(column: str, table: str) -> sa.Column[Any]:
    return sa.Column(
        column, sa.Integer, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False
    )


def run_columns(table: str) -> list[Any]:
    return [
        key(),
        parent("training_job_id", "training_jobs"),
        *columns(sa.Text, "checkpoint_path status task_type", nullable=False),
        *columns(sa.Text, "name error_message results_dir snellen_version"),
        *columns(sa.Text, "lease_owner lease_token"),
        *columns(sa.JSON, "config fingerprint resolved class_names class_map"),
        *columns(sa.BigInteger, "total_images scored_images failed_images"),
        *columns(TIME, "lease_heartbeat_at started_at completed_at"),
        stamp("created_at"),
        sa.CheckConstraint(f"status IN {STATUSES}", name=f"ck_{table}_status"),
    ]


def image_columns() -> list[Any]:
    return [
        key(),
        sa.Column("image_name", sa.Text, nullable=False),
        sa.Column("image_index", sa.BigInteger),
        *columns(sa.Text, "status error_stage error_code error_message"),
        *columns(sa.Text, "predicted_label predicted_mask_path"),
        *columns(sa.Integer, "predicted_label_id"),
        *columns(sa.Float, "confidence inference_time_ms"),
        *columns(sa.JSON, "top5_predictions predicted_boxes predicted_keypoints extra_data"),
        stamp("created_at"),
    ]


def upgrade() -> None:
    create_training_jobs()
    create_test_runs()
    create_inference_jobs()
    op.create_table(
        "run_units",
        key(),
        *columns(sa.Text, "run_kind file sha256 attempt worker", nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        *columns(sa.BigInteger, "unit_id start stop rows failed", nullable=False),
        *columns(sa.JSON, "timings counts"),
        stamp("committed_at"),
        sa.UniqueConstraint("run_kind", "run_id", "unit_id", name="uq_run_units_run_unit"),
        sqlite_autoincrement=True,
    )


def create_training_jobs() -> None:
    op.create_table(
        "training_jobs",
        key(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        *columns(sa.Text, "framework task_type", nullable=False),
        *columns(sa.Text, "model_name output_dir"),
        *columns(sa.JSON, "class_names config"),
        sa.Column("num_classes", sa.Integer),
        stamp("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "validation_results",
        key(),
        parent("training_job_id", "training_jobs"),
        sa.Column("epoch", sa.Integer),
        sa.Column("primary_metric_name", sa.Text),
        *columns(sa.Float, "primary_metric_value overall_loss"),
        sa.Column("metrics", sa.JSON),
        stamp("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "idx_validation_results_training_job_id", "validation_results", ["training_job_id"]
    )


def create_test_runs() -> None:
    op.create_table(
        "test_runs",
        *run_columns("test_runs"),
        sa.Column("dataset_path", sa.Text, nullable=False),
        sa.Column("dataset_split", sa.Text, server_default="test"),
        sa.Column("primary_metric_name", sa.Text),
        *columns(sa.Float, "primary_metric_value overall_loss inference_time_ms"),
        *columns(sa.JSON, "metrics intervals details per_class_metrics confusion_matrix"),
        sa.Column("results_of", sa.Integer, sa.ForeignKey("test_runs.id", ondelete="SET NULL")),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_test_runs_training_job_id", "test_runs", ["training_job_id"])
    op.create_index("idx_test_runs_name", "test_runs", ["name"])
    op.create_table(
        "test_image_results",
        *image_columns(),
        parent("test_run_id", "test_runs"),
        *columns(sa.Text, "image_path true_label true_mask_path"),
        sa.Column("true_label_id", sa.Integer),
        *columns(sa.JSON, "true_boxes true_keypoints"),
        sa.Column("is_correct", sa.Boolean),
        *columns(sa.Float, "iou oks"),
        sqlite_autoincrement=True,
    )
    for column in ("test_run_id", "true_label_id", "predicted_label_id", "is_correct"):
        op.create_index(f"idx_test_image_results_{column}", "test_image_results", [column])


def create_inference_jobs() -> None:
    op.create_table(
        "inference_jobs",
        *run_columns("inference_jobs"),
        sa.Column("inference_type", sa.Text, nullable=False),
        sa.Column("input_data", sa.JSON),
        *columns(sa.Float, "total_inference_time_ms avg_inference_time_ms"),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_inference_jobs_training_job_id", "inference_jobs", ["training_job_id"])
    op.create_index("idx_inference_jobs_name", "inference_jobs", ["name"])
    op.create_table(
        "inference_results",
        *image_columns(),
        parent("inference_job_id", "inference_jobs"),
        sa.Column("image_path", sa.Text, nullable=False),
        *columns(sa.Float, "preprocessing_time_ms postprocessing_time_ms"),
        sa.Column("visualization_path", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_inference_results_job_id", "inference_results", ["inference_job_id"])


def downgrade() -> None:
    for table in (
        "run_units",
        "inference_results",
        "inference_jobs",
        "test_image_results",
        "test_runs",
        "validation_results",
        "training_jobs",
    ):
        op.drop_table(table)

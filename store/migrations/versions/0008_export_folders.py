"""Add the folders of exports, so that they are deleted with their runs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analyses", sa.Column("folder", sa.Text))


def downgrade() -> None:
    op.drop_column("analyses", "folder")

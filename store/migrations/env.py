"""Run the migrations on the connection that `snellen.store.sql.migrate` passes."""

from alembic import context

from snellen.store.migrations import VERSION_TABLE
from snellen.store.sql.models import Base
from snellen.store.sql.names import Dataset, Tag

assert {Dataset.__table__, Tag.__table__} <= set(Base.metadata.tables.values())
connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()

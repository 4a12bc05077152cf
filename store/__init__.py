"""What is kept: run tables (SQLAlchemy, alembic) and result files (Parquet).

Import what you need from its module (``snellen.store.sql.database``, ``snellen.store.runs``,
``snellen.store.ledger``,
``snellen.store.parquet.unit_files`` ...): this package itself imports nothing, so that ``import
store`` is free.
"""

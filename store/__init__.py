"""What is kept: run tables (SQLAlchemy, alembic) and result files (Parquet).

Import what you need from its module (``store.database``, ``store.runs``, ``store.ledger``,
``store.files`` ...): this package itself imports nothing, so that ``import store`` is free.
"""

"""Storage of runs: run tables (SQLAlchemy, alembic) and result files (Parquet).

Import from the modules: ``snellen.store.sql.database``, ``snellen.store.runs``,
``snellen.store.ledger``, ``snellen.store.parquet.unit_files`` and so on. The package itself imports
nothing, so ``import snellen.store`` is cheap.
"""

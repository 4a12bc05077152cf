"""Revisions of the run tables. A new one is a file in ``versions`` and an entry here."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""All revisions that this version of the program knows, oldest first."""

HEAD = REVISIONS[-1]

VERSION_TABLE = "snellen_schema"
"""Name of alembic's version table; not the default, so another program may share the database."""

"""The history of the run tables. A new revision is a file in ``versions`` and a line here."""

REVISIONS = ("0001", "0002")
"""Every revision that this version of the program knows, oldest first."""

HEAD = REVISIONS[-1]

VERSION_TABLE = "snellen_schema"
"""Not alembic's default name, so that a database can be shared with another program."""

"""Command that exports the rows of a run."""

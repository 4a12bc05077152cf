"""The command that draws images of a run."""

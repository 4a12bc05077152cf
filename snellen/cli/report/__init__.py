"""The commands that show a run in charts and in a report."""

"""The command that checks a run against rules."""

"""The command that compares runs."""

"""The command that lists suspect labels."""

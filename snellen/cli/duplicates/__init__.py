"""The command that searches for duplicate images."""

"""Dataset formats, one source each, and their registry."""

"""Command that lists, chooses and checks confidence thresholds."""

"""Confidence thresholds of a run: their list, the choice of one, and its check on another run."""

"""Confidence intervals, the bootstrap, and sums that do not depend on their order."""

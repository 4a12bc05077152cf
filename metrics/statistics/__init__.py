"""Confidence intervals, resampling, and sums that do not depend on their order."""

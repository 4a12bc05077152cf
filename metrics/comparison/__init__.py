"""Comparison of two models on the same images: tests, intervals, corrections, verdicts."""

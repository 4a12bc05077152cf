"""Comparison of finished runs: which one is better, by how much, on which images."""

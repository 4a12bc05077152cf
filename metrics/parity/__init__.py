"""Compare two sets of predictions of the same images."""

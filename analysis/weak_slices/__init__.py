"""Slices of a run on which the model is worse, found by a tree and tested on other images."""

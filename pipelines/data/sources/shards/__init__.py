"""Tar shards as a dataset: their members, and the labels of their images."""

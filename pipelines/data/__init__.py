"""Datasets: sources, the manifest, the class map, reading of images."""

"""Datasets: sources, the manifest, the class map and the image reader."""

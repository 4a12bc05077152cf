"""Exporters to experiment trackers, with the metrics of a run."""

"""Decide how a run is carried out: units, workers, threads, batch size."""

"""Planning of a run: units, workers, threads, batch size, and its fingerprint."""

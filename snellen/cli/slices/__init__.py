"""The command that computes or finds slices of a run."""

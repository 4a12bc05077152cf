"""Reports: one HTML file with everything about a run, which loads nothing else."""

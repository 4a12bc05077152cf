"""Models: training jobs, references, and the location and loading of checkpoints."""

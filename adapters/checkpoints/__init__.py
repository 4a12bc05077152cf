"""Where a training run keeps its checkpoints, and how one is read without trusting it."""

"""Training run directories and their checkpoints, which are read without being trusted."""

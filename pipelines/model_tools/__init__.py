"""Export a model to another format and check that both give the same predictions."""

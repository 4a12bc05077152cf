"""Commands for inference jobs."""

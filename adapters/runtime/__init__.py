"""Execution of a model: device, compute threads, and inspection in another process."""

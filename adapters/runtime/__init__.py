"""Execution of a model: device, threads, inspection in another process, temporary folders."""

"""The HTTP service on the same adapters."""

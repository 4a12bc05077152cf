"""Command that serves models over HTTP."""

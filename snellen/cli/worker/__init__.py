"""Command that executes queued jobs."""

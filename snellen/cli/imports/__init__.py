"""Command that imports predictions."""

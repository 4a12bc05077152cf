"""The commands that register datasets."""

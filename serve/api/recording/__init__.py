"""Recorded requests: their rows and annotated images, and how long the images are kept."""

"""Decoding of images by one rule, from disk, HTTP or a caller."""

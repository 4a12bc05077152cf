"""Hygiene of a test set: images that occur twice, or that the model may have been trained on."""

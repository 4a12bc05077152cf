"""Metrics of image classification."""

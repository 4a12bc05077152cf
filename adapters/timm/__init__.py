"""Adapter of timm classifiers."""

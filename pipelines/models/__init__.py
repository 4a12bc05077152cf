"""Locate and load the model that a configuration names."""

"""Configurations of runs and inference jobs, from YAML to validated objects."""

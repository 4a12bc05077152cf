"""Configurations of test runs and inference jobs, from YAML to validated objects."""

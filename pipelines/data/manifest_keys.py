"""Keys of a manifest's Parquet metadata: what its rows alone do not say."""

CLASSES_KEY = "snellen_classes"
"""JSON list of the data set's classes, in the order of its own ids."""
ROOT_KEY = "snellen_root"
"""The folder that image ids are relative to."""

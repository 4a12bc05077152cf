"""Tables of images as a dataset: Parquet and CSV manifests, and lists of paths."""

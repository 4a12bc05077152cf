"""Export finished runs: one exporter per format, and the procedure around them."""

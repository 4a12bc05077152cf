"""Charts of finished runs: data from the result rows, Vega-Lite specifications, files."""

"""Read the result rows of a run: matches at its operating point, reasons of failures."""

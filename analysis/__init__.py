"""Ask questions of finished runs: rows, errors, slices, rescoring."""

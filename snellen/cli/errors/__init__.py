"""Commands for error analysis."""

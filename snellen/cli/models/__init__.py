"""Commands for models: export and parity."""

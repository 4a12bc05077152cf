"""Image files: decode them by one rule, whether they come from disk, HTTP or a caller."""

"""`snellen serve`."""

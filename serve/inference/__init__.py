"""Running models for single requests; no HTTP and no Ray in here."""

"""HTTP service: predictions for single images, with the same adapters as in batch."""

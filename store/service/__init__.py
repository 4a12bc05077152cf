"""Rows of the HTTP service: what it queues, computes, notes and remembers."""

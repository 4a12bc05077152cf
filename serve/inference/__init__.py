"""Inference for single requests; independent of HTTP and Ray."""

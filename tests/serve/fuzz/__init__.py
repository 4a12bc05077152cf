"""Generators of hostile requests, for the tests and for ``benchmarks/fuzz_*``."""

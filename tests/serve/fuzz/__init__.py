"""Hostile requests by the hundred for the tests, by the thousand for ``benchmarks/fuzz_*``."""

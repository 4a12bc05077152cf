"""The two ways to score units: in this process, or on Ray. Both yield the same outcomes."""

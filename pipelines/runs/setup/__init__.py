"""The steps before the first unit of a run: its parts, its manifest, its plan."""

"""Engines that score units: in this process, or on Ray. Both give the same rows."""

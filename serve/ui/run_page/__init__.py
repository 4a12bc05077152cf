"""The page of a test run: its numbers, its errors, and its images."""

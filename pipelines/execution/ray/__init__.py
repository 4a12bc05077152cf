"""Execute units on Ray."""

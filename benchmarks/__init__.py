"""Measurements, side by side with what people use today. Run by `make bench`, never by tests."""

"""Objects of result rows, their overlaps, and the greedy matcher that every metric uses."""

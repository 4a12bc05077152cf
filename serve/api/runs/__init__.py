"""What the routes of runs do: check and submit, describe, list images, draw, follow progress."""

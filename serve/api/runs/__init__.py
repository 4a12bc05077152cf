"""Work behind the routes of runs: check, submit, describe, list images, draw, follow progress."""

"""Submit, execute, resume and finish runs."""

"""Commands that evaluate, resume and plan."""

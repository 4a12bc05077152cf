"""What depends on the task while result rows are made."""

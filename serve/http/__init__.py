"""The socket of a process that speaks HTTP itself, and what its connections may do."""

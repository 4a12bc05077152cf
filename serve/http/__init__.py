"""The HTTP server of a process: its socket, and limits on its connections."""

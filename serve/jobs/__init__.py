"""Execution of queued jobs: each in a process of its own, beside the server or without one."""

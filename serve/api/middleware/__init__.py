"""ASGI middleware that every request passes: hosts, API keys, admission, sizes, headers."""

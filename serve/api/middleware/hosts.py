"""Host and Origin checks: protection against DNS rebinding and cross-origin requests."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from snellen.serve.api.problems import Problem

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names by which a machine reaches itself."""


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a listener on ``host``."""
    return host in LOOPBACK_HOSTS or host.startswith("127.")


class HostCheck:
    """Reject unknown Host headers (DNS rebinding) and requests from pages of other origins."""

    def __init__(self, allowed_hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Create the check.

        Args:
            allowed_hosts: host names without port; empty allows any.
            origins: origins such as ``https://app.example.com`` beside the service's own.
        """
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def __call__(self, scope: Scope, headers: Headers) -> Problem | None:
        """Return a problem (400 or 403), or None to accept the request."""
        # Of two Host headers, a proxy in front may have checked the other one.
        host = ",".join(headers.getlist("host"))
        if self._hosts and _host_name(host) not in self._hosts:
            return Problem(
                400,
                "HOST",
                f"The host name {host[:80]!r} is not served here. Expected one of "
                "security.allowed_hosts, or a name of loopback.",
            )
        origin = headers.get("origin", "").lower()
        if not origin or origin in self._origins:
            return None
        if _host_and_port(origin) == host.lower():
            return None
        return Problem(
            403,
            "ORIGIN",
            f"Requests from pages of {origin[:80]!r} are not allowed. Expected the origin of the "
            "service, or one of security.cors_origins.",
        )


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _host_and_port(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None

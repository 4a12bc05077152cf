"""The environment variables by which Ray is quiet, local and authenticated; undone afterwards."""

from __future__ import annotations

import os
import secrets
import sys

AUTH_MODE = "RAY_AUTH_MODE"
AUTH_TOKEN = "RAY_AUTH_TOKEN"
LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Its name speaks of other systems. With 0, Ray's daemons listen on loopback only, and a loopback
address is not replaced by another address of this machine."""
SIGNAL_SWITCH = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"
"""Ray's own handler prints a C++ stack on SIGTERM and aborts the process three seconds later,
before a run or a service has stopped cleanly. Python's faulthandler still reports crashes."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "GLOG_minloglevel": "3",
    SIGNAL_SWITCH: "1",
}


class RayEnvironment:
    """The variables that a session sets; `restore` removes those that it decided itself.

    Variables of the user are never changed. The next session of this process may join another
    cluster, so authentication and loopback must not stay as this one needed them.
    """

    def __init__(self) -> None:
        self._ours: set[str] = set()

    def quiet(self) -> None:
        """Silence Ray; these variables stay."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        _tell_imported_ray_of_signals()

    def embedded(self) -> None:
        """Close a Ray of this process to others: loopback only, and a token."""
        self._default(LOOPBACK_SWITCH, "0")
        if AUTH_MODE not in os.environ:
            # The token exists only in this process and its children: there is no file to leak.
            self._default(AUTH_MODE, "token")
            self._default(AUTH_TOKEN, secrets.token_hex(32))
        _tell_imported_ray()

    def join(self, address: str, *, token: bool) -> None:
        """Prepare to join the cluster at ``address``; ``token``: with token authentication."""
        if address.startswith(("127.", "localhost:", "[::1]:")):
            self._default(LOOPBACK_SWITCH, "0")
        self._default(AUTH_MODE, "token" if token else "disabled")
        _tell_imported_ray()

    def restore(self) -> None:
        """Remove the variables that this session has set, but for the quiet ones."""
        for name in self._ours:
            os.environ.pop(name, None)
        if self._ours:
            _tell_imported_ray()
        self._ours.clear()

    def _default(self, name: str, value: str) -> None:
        if name not in os.environ:
            os.environ[name] = value
            self._ours.add(name)


def _tell_imported_ray_of_signals() -> None:
    if "ray" in sys.modules:
        from ray._private import ray_constants

        chosen = os.environ[SIGNAL_SWITCH].lower() in ("1", "true")
        ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER = chosen


def _tell_imported_ray() -> None:
    """Apply the variables to a Ray that was imported before and has read its environment."""
    if "ray" not in sys.modules:
        return
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    ray_constants.ENABLE_RAY_CLUSTER = os.environ.get(LOOPBACK_SWITCH) != "0"

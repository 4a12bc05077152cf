"""Allow other programs of this user, but of no other, to join the Ray of the service.

Ray's own token file is used, so that ``snellen eval CONFIG ray.address=...`` finds it. Ray would
create it readable by everybody under the usual umask, so it is created here first.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def share_token() -> None:
    """Use the token file, and create it if missing, unless the environment configures a token.

    If the file cannot be written, the service uses a random token that no other program knows.
    """
    if any(name in os.environ for name in _VARIABLES):
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        if not path.is_file() or not path.read_text().strip():
            _create(path)
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)
        os.environ["RAY_AUTH_MODE"] = "token"


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))

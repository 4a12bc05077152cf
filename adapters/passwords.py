"""Keep the passwords of database URLs out of what is stored and printed."""

from __future__ import annotations

import re

_USER = re.compile(r"(://[^\s:/?#@'\"]*):[^\s'\"]*@")
"""``://user:password@``; a password may hold any character, so the last @ of a word ends it."""
_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """Replace the passwords of URLs in a text by ``***``.

    Example:
        >>> hide_passwords("no answer from postgresql://me:secret@host/db?sslpassword=x")
        'no answer from postgresql://me:***@host/db?sslpassword=***'
    """
    return _PARAMETER.sub(r"\1***", _USER.sub(r"\1:***@", text))


def without_password(url: str) -> str:
    """Return a database URL without its password.

    Example:
        >>> without_password("postgresql://me:secret@host/db?password=x&sslmode=require")
        'postgresql://me@host/db?sslmode=require'
        >>> without_password("postgresql://host/db?user=me&password=x")
        'postgresql://host/db?user=me'
    """
    base, mark, query = _USER.sub(r"\1@", url).partition("?")
    kept = [part for part in query.split("&") if not _PARAMETER.match(f"?{part}")]
    return base + (mark + "&".join(kept) if any(kept) else "")

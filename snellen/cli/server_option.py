"""The option ``--server`` of the program: submit to a service instead of running here."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

import typer

VARIABLE = "SNELLEN_SERVER"
COMMANDS = ("eval",)
"""Commands that a service can execute."""
_SELECTED: ContextVar[str | None] = ContextVar("server", default=None)


def select_server(url: str | None, command: str | None) -> None:
    """Note the service of a command.

    Raises:
        typer.BadParameter: the command runs on this machine only.
    """
    _SELECTED.set(url)
    if url is not None and command is not None and command not in COMMANDS:
        raise typer.BadParameter(
            f"--server (or {VARIABLE}) with the command '{command}', which runs on this machine. "
            f"Expected one of {', '.join(COMMANDS)}. Remove it, or use snellen.Client in Python"
        )


def reject_local_options(given: Mapping[str, object]) -> None:
    """Reject options that only apply to a run on this machine.

    Raises:
        ConfigError: SERVER_OPTION.
    """
    for name, value in given.items():
        if value is not None:
            from snellen.adapters.errors import ConfigError

            raise ConfigError(
                "SERVER_OPTION",
                f"{name} with --server, which applies to runs on this machine. Expected options of "
                f"the configuration. Remove {name}, or run without --server.",
            )


def selected_server() -> str | None:
    """Return the URL of the service that the command is submitted to, or None."""
    return _SELECTED.get()

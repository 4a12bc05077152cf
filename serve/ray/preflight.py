"""Checks of ``snellen serve`` before anything is started: absolute paths, and a free port."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.serve.config import ServeConfig
from snellen.store.sql.urls import resolve_url

_MAX_PARENT = 64
"""The path of a Unix domain socket may have 107 bytes."""


def with_absolute_paths(config: ServeConfig) -> ServeConfig:
    """Return the configuration with absolute paths: Ray's processes have other working folders."""
    folder = "runs" if config.output_dir == "auto" else config.output_dir
    roots = tuple(str(Path(root).expanduser().absolute()) for root in config.roots)
    preload = tuple(
        one.model_copy(update={"job": _job_path(one.job)}) for one in config.model.preload
    )
    return config.model_copy(
        update={
            "output_dir": str(Path(folder).expanduser().absolute()),
            "roots": roots,
            "model": config.model.model_copy(update={"preload": preload}),
            "database": resolve_url(config.database).render_as_string(hide_password=False),
        }
    )


def _job_path(job: str | int) -> str | int:
    if isinstance(job, str) and Path(job).expanduser().is_dir():
        return str(Path(job).expanduser().absolute())
    return job


def socket_parent() -> str:
    """Return the folder for sockets: that of temporary files, unless its path is too long."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= _MAX_PARENT else "/tmp"


def check_port(host: str, port: int) -> None:
    """Check that a port is free.

    Raises:
        InputError: PORT_TAKEN.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                "PORT_TAKEN",
                f"port: cannot listen on {host} port {port}: {error.strerror or error}. Expected a "
                "free port. Choose another one with --port, or stop the program that uses it.",
            ) from None

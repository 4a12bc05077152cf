"""What ``snellen serve`` settles before it starts anything: paths, and its port."""

from __future__ import annotations

import socket
from pathlib import Path

from snellen.adapters.errors import InputError
from snellen.serve.config import ServeConfig
from snellen.store.sql.urls import resolve_url


def absolute(config: ServeConfig) -> ServeConfig:
    """The configuration with paths from the root: Ray's processes have folders of their own."""
    folder = "runs" if config.output_dir == "auto" else config.output_dir
    roots = tuple(str(Path(root).expanduser().absolute()) for root in config.roots)
    preload = tuple(one.model_copy(update={"job": _job_path(one.job)}) for one in config.preload)
    return config.model_copy(
        update={
            "output_dir": str(Path(folder).expanduser().absolute()),
            "roots": roots,
            "preload": preload,
            "database": resolve_url(config.database).render_as_string(hide_password=False),
        }
    )


def _job_path(job: str | int) -> str | int:
    if isinstance(job, str) and Path(job).expanduser().is_dir():
        return str(Path(job).expanduser().absolute())
    return job


def check_port(host: str, port: int) -> None:
    """Raise InputError, PORT_TAKEN, where nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                "PORT_TAKEN",
                f"port: cannot listen on {host} port {port}: {error.strerror or error}. Choose "
                "another with --port, or stop the program that has it.",
            ) from None

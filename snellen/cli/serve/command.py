"""``serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption
from snellen.cli.output import stderr_console
from snellen.cli.progress import make_reporter


def serve_command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="A YAML file; without: the defaults.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.SUB=VALUE]...", help="Settings that override the file's."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on; else 8000.")
    ] = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Answer single images over HTTP, with the models of the run tables."""
    words = list(overrides or [])
    if config is not None and "=" in config:
        words.insert(0, config)
        config = None
    with make_reporter(debug=debug) as reporter:
        reporter.status("reading the configuration")
        from snellen.pipelines.config.loader import apply_overrides, build_as, load_as
        from snellen.serve.config import ServeConfig

        for key, value in (("host", host), ("port", port), ("database", database)):
            if value is not None:
                words.append(f"{key}={value}")
        if config is None:
            parsed = build_as(ServeConfig, apply_overrides({}, words))
        else:
            parsed = load_as(ServeConfig, config, words)
        _check_installed()
        from snellen.serve.ray.service import Service, wait_for_signal

        with Service(parsed, reporter) as service:
            service.start()
            reporter.end()
            reporter.note(f"Snellen serves at {service.url} (docs: {service.url}/docs)")
            reporter.note(f"Log: {service.log}")
            reporter.note(f"Evaluate beside it with ray.address={service.ray_address}")
            reporter.note("Ctrl-C ends it when the requests that it accepted are answered.")
            name = wait_for_signal()
            reporter.note(f"{name}: no new requests are taken on")
            left = service.stop()
    if left:
        stderr_console().print(f"{left} requests were not answered in time.")


def _check_installed() -> None:
    from importlib.util import find_spec

    from snellen.adapters.errors import ConfigError

    needed = ("fastapi", "python_multipart", "prometheus_client", "fastapi_offline")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "SERVE_MISSING_LIBRARY",
            f"serving needs {', '.join(missing)}: pip install 'snellen[serve]'",
        )

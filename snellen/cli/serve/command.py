"""The command ``serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from snellen.cli.options import DatabaseOption, DebugOption, OverridesArgument
from snellen.cli.output import stderr_console
from snellen.cli.progress import make_reporter


def serve_command(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG]",
            help="YAML file with the configuration.",
            show_default="all keys at their defaults",
        ),
    ] = None,
    overrides: OverridesArgument = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on.", show_default="8000"),
    ] = None,
    database: DatabaseOption = None,
    debug: DebugOption = False,
) -> None:
    """Serve predictions and execute runs over HTTP.

    Serves every registered training job; models are loaded on their first request. Queued runs
    are executed beside the server.

    Example: snellen serve configs/serve.yaml port=9000
    """
    words = list(overrides or [])
    if config is not None and "=" in config:
        words.insert(0, config)
        config = None
    with make_reporter(debug=debug) as reporter:
        reporter.status("Reading configuration")
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
        from snellen.serve.ray.service import Service
        from snellen.serve.ray.signals import wait_for_signal

        with Service(parsed, reporter) as service:
            service.start()
            reporter.end()
            reporter.note(f"Snellen serves at {service.url} (docs: {service.url}/docs)")
            reporter.note(f"Log: {service.log}")
            reporter.note(f"To evaluate on the same Ray: ray.address={service.ray_address}")
            reporter.note("Press Ctrl-C to finish the accepted requests and stop.")
            name = wait_for_signal()
            reporter.note(f"{name}: no new requests are accepted")
            left = service.stop()
    if left:
        stderr_console().print(f"{left} accepted requests were not answered in time.")


def _check_installed() -> None:
    from importlib.util import find_spec

    from snellen.adapters.errors import ConfigError

    needed = ("fastapi", "python_multipart", "prometheus_client", "fastapi_offline")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "SERVE_MISSING_LIBRARY",
            f"missing libraries: {', '.join(missing)}. `snellen serve` needs them. Install them "
            "with: pip install 'snellen[serve]'",
        )

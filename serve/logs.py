"""Log file of the service: details that problem documents omit, such as paths and tracebacks."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from snellen.serve.config import ServeConfig

_MAX_BYTES, _BACKUPS = 10_000_000, 3
_FORMAT = "%(asctime)s %(levelname)s %(process)d %(message)s"


def log_file(config: ServeConfig) -> Path:
    """Return the path of ``serve.log`` in the folder of the runs."""
    folder = "runs" if config.output_dir == "auto" else config.output_dir
    return Path(folder).expanduser().absolute() / "serve.log"


def log_to_file(config: ServeConfig) -> None:
    """Log the messages of ``snellen.serve`` in this process to a rotating file.

    If the file cannot be written, they stay in the process's own log, which Ray keeps.
    """
    logger = logging.getLogger("snellen.serve")
    if any(isinstance(handler, RotatingFileHandler) for handler in logger.handlers):
        return
    try:
        path = log_file(config)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8"
        )
    except OSError as error:
        logger.warning("cannot write the log file: %s", error)
        return
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

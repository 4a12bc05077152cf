"""The service's log: what problem documents leave out, such as paths and tracebacks."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from snellen.serve.config import ServeConfig

_BYTES, _FILES = 10_000_000, 3
_FORMAT = "%(asctime)s %(levelname)s %(process)d %(message)s"


def log_file(config: ServeConfig) -> Path:
    """``serve.log`` in the folder of the runs."""
    folder = "runs" if config.output_dir == "auto" else config.output_dir
    return Path(folder).expanduser().absolute() / "serve.log"


def log_to_file(config: ServeConfig) -> None:
    """Send the messages of ``snellen.serve`` of this process there, within bounds.

    Where the file cannot be written they stay in the process's own log, which Ray keeps.
    """
    logger = logging.getLogger("snellen.serve")
    if any(isinstance(handler, RotatingFileHandler) for handler in logger.handlers):
        return
    try:
        path = log_file(config)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    except OSError as error:
        logger.warning("the log file cannot be written: %s", error)
        return
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

"""Log files of the service: its messages, and one line per request."""

from __future__ import annotations

import fcntl
import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from snellen.serve.config import ServeConfig

ACCESS_LOGGER = "snellen.access"
"""Name of the logger; the attribute ``entry`` of its records is an `AccessEntry`."""
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")
"""Id of the request that is being handled, for messages in the log."""
_MAX_BYTES, _BACKUPS = 10_000_000, 3
_MAX_ACCESS_BYTES = 100_000_000
_FORMAT = "%(asctime)s %(levelname)s %(process)d %(request_id)s %(message)s"


@dataclass(slots=True)
class AccessEntry:
    """A request as the access log shows it.

    Attributes:
        client: IP address of the connection.
        method: method, empty if no request line could be read.
        path: path as it was sent, percent-encoded.
        query: query without secrets.
        request_id: value of ``X-Request-ID``.
        key: label of the API key, such as ``key-2`` for the second one; empty without one.
        status: status of the response; 499 if the client disconnected first.
        bytes_received: bytes of the body that were read.
        bytes_sent: bytes of the body of the response.
        duration_ms: time from the end of the headers to the end of the response.
        time: when the request began (UTC).
    """

    client: str
    method: str
    path: str
    query: str
    request_id: str
    key: str = ""
    status: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    duration_ms: float = 0.0
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


def write_entry(entry: AccessEntry) -> None:
    """Write a line to the access log, if there is one."""
    logger = logging.getLogger(ACCESS_LOGGER)
    if logger.isEnabledFor(logging.INFO):
        logger.info("request", extra={"entry": entry})


def log_file(config: ServeConfig) -> Path:
    """Return the path of ``serve.log`` in the folder of the runs."""
    folder = "runs" if config.output_dir == "auto" else config.output_dir
    return Path(folder).expanduser().absolute() / "serve.log"


def log_to_file(config: ServeConfig) -> None:
    """Log the messages of ``snellen.serve`` in this process to a rotating file.

    If the file cannot be written, they stay in the process's own log, which Ray keeps.
    """
    handler = _add_handler("snellen.serve", log_file(config), _MAX_BYTES)
    if handler is not None:
        handler.addFilter(_add_request_id)
        handler.setFormatter(logging.Formatter(_FORMAT))


def log_requests(config: ServeConfig) -> None:
    """Write the access log of this process to ``access.log``, beside ``serve.log``."""
    if config.access_log == "none":
        return
    path = log_file(config).with_name("access.log")
    handler = _add_handler(ACCESS_LOGGER, path, _MAX_ACCESS_BYTES)
    if handler is not None:
        logging.getLogger(ACCESS_LOGGER).propagate = False
        handler.setFormatter(AccessFormatter(as_json=config.access_log == "json"))


class AccessFormatter(logging.Formatter):
    """Format a request as one line of text, or as one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without line break."""
        entry: AccessEntry = record.entry  # type: ignore[attr-defined]
        return _json(entry) if self._as_json else _text(entry)


class SharedRotatingFile(WatchedFileHandler):
    """A log file that several processes append to, and that any of them may rotate.

    Args:
        path: the file; older ones have the endings ``.1``, ``.2`` and so on.
        max_bytes: size above which the file is renamed.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path, encoding="utf-8")
        self._max_bytes = max_bytes

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, to a new file if the current one is full."""
        super().emit(record)
        if self.stream is not None and self.stream.tell() > self._max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        path = Path(self.baseFilename)
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have renamed it first.
            if path.exists() and path.stat().st_size > self._max_bytes:
                for number in range(_BACKUPS - 1, 0, -1):
                    older = path.with_name(f"{path.name}.{number}")
                    if older.exists():
                        older.replace(path.with_name(f"{path.name}.{number + 1}"))
                path.replace(path.with_name(f"{path.name}.1"))
        self.reopenIfNeeded()


def _add_handler(name: str, path: Path, max_bytes: int) -> logging.Handler | None:
    """Add a file to a logger; None if it has one, or the file cannot be written."""
    logger = logging.getLogger(name)
    if any(isinstance(handler, SharedRotatingFile) for handler in logger.handlers):
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = SharedRotatingFile(path, max_bytes)
    except OSError as error:
        logging.getLogger("snellen.serve").warning("cannot write the log file: %s", error)
        return None
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id.get()
    return True


def _json(entry: AccessEntry) -> str:
    fields = {
        "time": _time(entry),
        "client": entry.client,
        "key": entry.key or None,
        "method": entry.method,
        "path": entry.path,
        "query": entry.query,
        "status": entry.status,
        "bytes_received": entry.bytes_received,
        "bytes_sent": entry.bytes_sent,
        "duration_ms": round(entry.duration_ms, 3),
        "request_id": entry.request_id,
    }
    return json.dumps(fields)


def _text(entry: AccessEntry) -> str:
    target = f"{entry.path}?{entry.query}" if entry.query else entry.path
    line = f"{entry.method} {target}".strip() or "-"
    return (
        f'{_time(entry)} {entry.client or "-"} {entry.key or "-"} "{_escaped(line)}" '
        f"{entry.status} {entry.bytes_received} {entry.bytes_sent} {entry.duration_ms:.1f} "
        f"{entry.request_id}"
    )


def _time(entry: AccessEntry) -> str:
    return entry.time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{entry.time.microsecond // 1000:03d}Z"


def _escaped(text: str) -> str:
    """Escape what could end the quotes or the line: clients choose it."""
    return "".join(
        char if " " <= char <= "~" and char not in '"\\' else f"\\x{ord(char):02x}" for char in text
    )

"""Clients of remote storage: one per process and bucket, created on first use.

Clients are never pickled: workers get addresses and options, and find credentials in their own
environment. ``s3://`` and similar addresses use pyarrow's clients, the others fsspec.

Every failure is raised as ``FileNotFoundError`` or ``StorageError``. Failures that may pass
(throttling, timeouts, lost connections) are retried, up to ``ATTEMPTS`` attempts in all. pyarrow's
S3 client itself retries each request once, but gives up on some throttled reads at once.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from snellen.adapters.errors import ConfigError
from snellen.adapters.plugins import nearest
from snellen.pipelines.storage.address import ARROW_SCHEMES, Options, hidden, split_address

ATTEMPTS = 3
"""Maximum number of attempts per request."""
_FIRST_PAUSE = 0.4
"""Seconds before the second attempt; four times as long before the third."""
_PERMANENT = re.compile(
    r"ACCESS_DENIED|NO_SUCH_|INVALID_ACCESS|SIGNATURE|PERMANENT_REDIRECT|HTTP status 4(?!08|29)"
    r"|Not a regular file|credentials"
)
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        **dict.fromkeys(("region", "endpoint_override", "scheme", "role_arn"), str),
        **dict.fromkeys(("anonymous", "force_virtual_addressing"), bool),
        **dict.fromkeys(("connect_timeout", "request_timeout"), (int, float)),
    },
    "gs": {**dict.fromkeys(("endpoint_override", "scheme", "project_id"), str), "anonymous": bool},
    "abfs": dict.fromkeys(
        ("account_name", "blob_storage_authority", "blob_storage_scheme", "dfs_storage_authority",
         "dfs_storage_scheme", "tenant_id"), str,
    ),
    "hdfs": {"user": str},
}  # fmt: skip
_SAME = {"gcs": "gs", "abfss": "abfs", "viewfs": "hdfs"}
_T = TypeVar("_T")


class StorageError(OSError):
    """The response of storage to a failed request, in one line without credentials."""


@dataclass(frozen=True, slots=True)
class RemoteStat:
    """Bytes and modification time; the names are those of ``os.stat_result``."""

    st_size: int
    st_mtime_ns: int | None


class Handle:
    """An open remote file. ``stat`` is from the time of opening."""

    def __init__(self, file: Any, stat: RemoteStat) -> None:
        self._file = file
        self.stat = stat

    def read_at(self, offset: int, length: int) -> bytes:
        """Read up to ``length`` bytes from ``offset`` with one ranged request."""
        data: bytes = attempted(lambda: self._file.read_at(length, offset))
        return data

    def close(self) -> None:
        """Release the file; nothing is sent."""
        self._file.close()


class Client:
    """Client that lists, opens and describes the files of one bucket or host."""

    def __init__(self, scheme: str, filesystem: Any) -> None:
        self._scheme = scheme
        self.filesystem = filesystem

    def info(self, path: str) -> Any:
        """Return pyarrow's ``FileInfo``, of type NotFound for nothing, in one to three requests."""
        return attempted(lambda: self.filesystem.get_file_info(path))

    def children(self, path: str, *, recursive: bool) -> list[tuple[str, Any]]:
        """Return the files and folders below ``path`` with their names relative to it.

        One request lists a thousand files (S3), recursive or not.
        """
        from pyarrow.fs import FileSelector

        base = path.strip("/")
        selector = FileSelector(path, recursive=recursive)
        found = attempted(lambda: self.filesystem.get_file_info(selector))
        return [(info.path.strip("/")[len(base) + 1 :], info) for info in found]

    def open(self, path: str) -> Handle:
        """Open a file and get its size and time: one request on S3, elsewhere usually two."""
        return attempted(lambda: self._open(path))

    def _open(self, path: str) -> Handle:
        if self._scheme == "s3":
            file = self.filesystem.open_input_file(path)
            written = (file.metadata() or {}).get("Last-Modified", b"").decode()
            time_ns = int(datetime.fromisoformat(written).timestamp()) * 10**9 if written else None
            return Handle(file, RemoteStat(file.size(), time_ns))
        info = self.filesystem.get_file_info(path)
        if not info.is_file:
            raise FileNotFoundError(path)
        return Handle(self.filesystem.open_input_file(path), stat_of(info))


def stat_of(info: Any) -> RemoteStat:
    """Return size and time of a ``FileInfo``; some storage has no time."""
    return RemoteStat(int(info.size or 0), info.mtime_ns)


def attempted(work: Callable[[], _T]) -> _T:
    """Return the result of ``work``, with retries of failures that may pass.

    Raises:
        FileNotFoundError: the file does not exist.
        StorageError: any other failure.
    """
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=_pause,
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    try:
        return retrying(work)
    except FileNotFoundError:
        raise
    except Exception as error:  # fsspec's implementations have their own errors
        raise StorageError(_reason(error)) from None


def _pause(state: RetryCallState) -> float:
    return _FIRST_PAUSE * 4.0 ** (state.attempt_number - 1) * random.uniform(0.5, 1.0)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return False
    if isinstance(error, NotADirectoryError):
        return False
    return isinstance(error, OSError) and not _PERMANENT.search(str(error))


def _reason(error: Exception) -> str:
    """Return one line without request ids and the address, which has its own column."""
    text = str(error).strip() or type(error).__name__
    start = text.find("AWS Error")
    text = text[start:] if start >= 0 else text
    return hidden(" ".join(re.sub(r"\(Request ID:[^)]*\)", "", text).split())[:300])


_clients: dict[tuple[str, str, Options], Client] = {}
_lock = threading.Lock()


def client_of(address: str, options: Options) -> tuple[Client, str]:
    """Return the client for an address, and the path of the file for that client.

    Raises:
        InputError, ConfigError: an address or an option that is rejected.
        StorageError: the client cannot be created, for example without its library.
    """
    scheme, bucket, key = split_address(address)
    name = (_SAME.get(scheme, scheme), bucket, options)
    with _lock:
        client = _clients.get(name)
        if client is None:
            client = _clients[name] = Client(name[0], _filesystem(scheme, bucket, options))
    return client, f"/{key}" if name[0] == "hdfs" else f"{bucket}/{key}".rstrip("/")


def _filesystem(scheme: str, bucket: str, options: Options) -> Any:
    try:
        if scheme not in ARROW_SCHEMES:
            return _fsspec(scheme, dict(options))
        kind = _SAME.get(scheme, scheme)
        return _MAKERS[kind](bucket, known_options(kind, options))
    except ConfigError:
        raise
    except Exception as error:
        raise StorageError(_reason(error)) from None


def known_options(kind: str, options: Options) -> dict[str, Any]:
    """Check the names and types of the options of one kind of storage.

    Raises:
        ConfigError: STORAGE_OPTION.
    """
    known = _OPTIONS[kind]
    for name, value in options:
        if name not in known:
            raise ConfigError(
                "STORAGE_OPTION",
                f"dataset.storage_options.{name} is unknown for {kind}://. Expected one of "
                f"{', '.join(known)}{nearest(name, list(known)) or '.'}",
            )
        # In Python a bool is an int.
        is_bool, wants_bool = isinstance(value, bool), known[name] is bool
        if is_bool != wants_bool or not isinstance(value, known[name]):
            raise ConfigError(
                "STORAGE_OPTION",
                f"dataset.storage_options.{name}: {value!r} has the wrong type. Expected "
                f"{_type_name(known[name])} for {kind}://.",
            )
    return dict(options)


def _type_name(kind: Any) -> str:
    return " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))


def _s3(bucket: str, options: dict[str, Any]) -> Any:
    from pyarrow import fs

    elsewhere = options.get("endpoint_override") or any(
        os.environ.get(name)
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    )
    if "region" not in options and not elsewhere:
        # A bucket outside of the SDK's default region would reject every request.
        with contextlib.suppress(OSError):  # the first request has a better message
            options["region"] = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2), **options)


def _gs(_: str, options: dict[str, Any]) -> Any:
    from datetime import timedelta

    from pyarrow import fs

    # The default retries for a quarter of an hour.
    return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=10), **options)


def _abfs(_: str, options: dict[str, Any]) -> Any:
    from pyarrow import fs

    if "account_name" not in options:
        raise ConfigError(
            "STORAGE_OPTION",
            "dataset.storage_options.account_name is missing. Expected the account of abfs://.",
        )
    return fs.AzureFileSystem(**options)


def _hdfs(host: str, options: dict[str, Any]) -> Any:
    from pyarrow import fs

    name, _, port = host.partition(":")
    return fs.HadoopFileSystem(name, int(port or 8020), **options)


def _fsspec(scheme: str, options: dict[str, Any]) -> Any:
    import fsspec
    from pyarrow import fs

    # Cached listings of fsspec would hide that a file has changed.
    made = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    return fs.PyFileSystem(fs.FSSpecHandler(made))


_MAKERS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "s3": _s3,
    "gs": _gs,
    "abfs": _abfs,
    "hdfs": _hdfs,
}

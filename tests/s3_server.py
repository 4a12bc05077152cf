"""Local S3 server for tests that records requests and is slow or fails on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.fs as pa_fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "us-east-1"


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as S3 keeps them

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@dataclass
class S3Server:
    """moto's server behind a recording front.

    Attributes:
        requests: (method, path, query) of each request.
        delay: seconds before each response.
        answer: returns a status and an S3 error code for a method and path, or None.
    """

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    delay: float = 0.0
    answer: Callable[[str, str], tuple[int, str] | None] | None = None
    port: int = 0

    def start(self) -> S3Server:
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet
        )
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()

    def reset(self) -> None:
        self.requests.clear()
        self.delay, self.answer = 0.0, None

    @property
    def options(self) -> dict[str, Any]:
        """``dataset.storage_options`` for this server."""
        return {"endpoint_override": f"http://127.0.0.1:{self.port}", "region": REGION}

    @property
    def client(self) -> pa_fs.S3FileSystem:
        return pa_fs.S3FileSystem(**self.options, allow_bucket_creation=True)

    def put(self, bucket: str, files: dict[str, bytes]) -> str:
        """Create a bucket with objects and return its address."""
        client = self.client
        client.create_dir(bucket)
        for key, data in files.items():
            with client.open_output_stream(f"{bucket}/{key}") as stream:
                stream.write(data)
        self.requests.clear()
        return f"s3://{bucket}"

    def delete(self, path: str) -> None:
        self.client.delete_file(path)
        self.requests.clear()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path, environ.get("QUERY_STRING", "")))
        if self.delay:
            time.sleep(self.delay)
        failure = self.answer(method, path) if self.answer is not None else None
        if failure is not None:
            status, code = failure
            body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response(f"{status} {code}", headers)
            return [body] if method != "HEAD" else []
        found: Iterable[bytes] = self._inner(environ, start_response)
        return found

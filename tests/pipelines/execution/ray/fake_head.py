"""A server that answers as the head node of a Ray cluster does, with a token or without one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


@contextmanager
def fake_head(token: str | None, service: str = "NodeInfoGcsService") -> Iterator[str]:
    """Serve ``CheckAlive`` on loopback, and yield the address.

    Args:
        token: calls without it are UNAUTHENTICATED; None accepts every call, as Ray does.
        service: another name makes it a gRPC server that is not Ray's GCS.
    """
    import grpc
    from ray.core.generated import gcs_service_pb2

    messages: Any = gcs_service_pb2

    def alive(request: Any, context: Any) -> Any:
        given = dict(context.invocation_metadata()).get("authorization")
        if token is not None and given != f"Bearer {token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return messages.CheckAliveReply(ray_version="2.60.0")

    handler = grpc.unary_unary_rpc_method_handler(
        alive,
        request_deserializer=messages.CheckAliveRequest.FromString,
        response_serializer=messages.CheckAliveReply.SerializeToString,
    )
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(f"ray.rpc.{service}", {"CheckAlive": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()

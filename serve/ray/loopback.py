"""Make Ray Serve's gRPC servers listen on loopback only.

Each process of a deployment has a gRPC server through which other nodes can call it. Ray binds it
to all interfaces, whatever address HTTP has, and there is no setting for it.
"""

from __future__ import annotations

import logging
from typing import Any

_HOST = "127.0.0.1"


def bind_to_loopback() -> bool:
    """Make the gRPC server of this process listen on loopback; call it before Ray starts it.

    Returns:
        False if this version of Ray starts the server in another way.
    """
    from ray.serve._private import replica

    module: Any = replica
    bind = getattr(module, "add_port_to_grpc_server", None)
    if bind is None:
        logging.getLogger("snellen.serve").warning(
            "the gRPC servers of Ray may listen on all interfaces"
        )
        return False

    def on_loopback(server: Any, address: str) -> Any:
        return bind(server, f"{_HOST}:{address.rpartition(':')[2]}")

    module.add_port_to_grpc_server = on_loopback
    return True

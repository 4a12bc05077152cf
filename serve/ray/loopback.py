"""Keep what Ray Serve listens on to this machine.

Each process of a deployment has a gRPC server by which others of the cluster could call it. Ray
binds it to every interface of the machine, whatever address HTTP has, and there is no setting.
"""

from __future__ import annotations

import logging
from typing import Any

_HOST = "127.0.0.1"


def keep_to_loopback() -> bool:
    """Let the server of this process listen on loopback alone; called before Ray starts it.

    Returns:
        False where this version of Ray starts it in another way.
    """
    from ray.serve._private import replica

    module: Any = replica
    bind = getattr(module, "add_port_to_grpc_server", None)
    if bind is None:
        logging.getLogger("snellen.serve").warning("Ray's own servers may listen everywhere")
        return False

    def on_loopback(server: Any, address: str) -> Any:
        return bind(server, f"{_HOST}:{address.rpartition(':')[2]}")

    module.add_port_to_grpc_server = on_loopback
    return True

"""The running cluster that ``ray.address`` names: found and checked before Ray joins it.

Ray itself waits for 20 s where nobody answers or the token is wrong, and joins a cluster without
authentication with a token, which then never starts an actor.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import RunError
from snellen.pipelines.config.ray_section import RayConfig, is_host_port
from snellen.pipelines.execution.ray.environment import AUTH_MODE

ADDRESS_VARIABLE = "RAY_ADDRESS"
_REACH_S = 10.0
_OTHER_SECURITY = ("RAY_USE_TLS", "RAY_ENABLE_K8S_TOKEN_AUTH")
"""Switches of Ray for other kinds of connection, which Ray checks itself."""


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """The address of a cluster.

    Attributes:
        address: ``host:port`` of its head node.
        origin: the setting that names it, for messages.
        fix: what to do if nobody answers there.
    """

    address: str
    origin: str
    fix: str


def cluster_address(configured: str) -> ClusterAddress:
    """Return the address that ``ray.address`` means.

    Args:
        configured: ``auto`` or ``host:port``.

    Raises:
        RunError: RAY_START, ``auto`` finds no cluster, several, or one that cannot be joined.
    """
    if configured != "auto":
        port = configured.rpartition(":")[2]
        fix = f"Start one with `ray start --head --port={port}`, or set ray.address to its address"
        return ClusterAddress(configured, "ray.address", fix)
    named = os.environ.get(ADDRESS_VARIABLE)
    if not named or named == "auto":
        return ClusterAddress(_address_on_this_machine(), "found by ray.address=auto", _TO_NAME)
    if not is_host_port(named):
        raise RunError(
            "RAY_START",
            f"{ADDRESS_VARIABLE}={named}, which ray.address=auto reads, is no address of a head "
            "node. Expected the form host:port, such as 10.0.0.1:6379. Fix: unset "
            f"{ADDRESS_VARIABLE}, or set ray.address=host:port.",
        )
    fix = (
        f"Unset {ADDRESS_VARIABLE} to find a cluster on this machine, or set ray.address=host:port"
    )
    return ClusterAddress(named, f"{ADDRESS_VARIABLE}, read by ray.address=auto", fix)


_TO_NAME = "Set ray.address=host:port of its head node"


def _address_on_this_machine() -> str:
    from ray._private import services

    running = sorted(services.find_gcs_addresses())  # type: ignore[no-untyped-call]
    latest = services.find_bootstrap_address(None)
    if len(running) == 1:
        return str(running[0])
    if latest:
        return str(latest)
    found = f"finds several: {', '.join(running)}" if running else "finds none on this machine"
    raise RunError(
        "RAY_START",
        f"ray.address=auto {found}. Expected one running Ray cluster. Fix: {_TO_NAME}"
        + ("." if running else ", or start one with `ray start --head`."),
    )


def check_cluster(cluster: ClusterAddress) -> bool:
    """Check that the cluster answers, and that this process may join it.

    Returns:
        True if the cluster has token authentication.

    Raises:
        RunError: RAY_START, saying which side has which authentication.
    """
    _check_reachable(cluster)
    if any(os.environ.get(name) for name in _OTHER_SECURITY):
        return os.environ.get(AUTH_MODE) == "token"
    here = os.environ.get(AUTH_MODE, "").lower()
    if _accepts(cluster, None):
        if here == "token":
            raise _mismatch(
                cluster,
                f"has no authentication, and this process has {AUTH_MODE}=token",
                f"{AUTH_MODE}=disabled snellen ...; or start the cluster with {AUTH_MODE}=token",
            )
        return False
    if here and here != "token":
        raise _mismatch(
            cluster,
            f"requires a token, and this process has {AUTH_MODE}={here}",
            f"{AUTH_MODE}=token snellen ...",
        )
    copy = (
        "copy the token of the head node: scp HEAD:.ray/auth_token ~/.ray/auth_token; or set "
        "RAY_AUTH_TOKEN"
    )
    token = _own_token()
    if not token:
        raise _mismatch(cluster, "requires a token, and this process has none", copy)
    if not _accepts(cluster, token):
        raise _mismatch(
            cluster, f"rejects the token of this process (from {_origin_of_token()})", copy
        )
    return True


def _mismatch(cluster: ClusterAddress, found: str, fix: str) -> RunError:
    return RunError(
        "RAY_START",
        f"could not join {cluster.address} ({cluster.origin}): the cluster {found}. Expected the "
        f"same authentication on both sides. Fix: {fix}.",
    )


def _check_reachable(cluster: ClusterAddress) -> None:
    host, _, port = cluster.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except OSError as error:
        raise _unusable(cluster, error.strerror or str(error)) from error


def _unusable(cluster: ClusterAddress, reason: str) -> RunError:
    return RunError(
        "RAY_START",
        f"could not start or join {cluster.address} ({cluster.origin}): {reason}. Expected the "
        f"head node of a running Ray cluster. {cluster.fix}.",
    )


def _accepts(cluster: ClusterAddress, token: str | None) -> bool:
    """Ask the head node if it lives, with a token or without one."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    metadata = None if token is None else [("authorization", f"Bearer {token}")]
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(cluster.address, options=options) as channel:
        service = services.NodeInfoGcsServiceStub(channel)
        request = messages.CheckAliveRequest()
        try:
            service.CheckAlive(request, timeout=_REACH_S, metadata=metadata)
        except grpc.RpcError as error:
            code: Any = error.code()
            if code is grpc.StatusCode.UNAUTHENTICATED:
                return False
            raise _unusable(
                cluster,
                f"what listens there is not Ray's GCS ({code.name}). Its port is 6379 unless "
                "`ray start` was given --port; 8265 and 10001 are Ray's dashboard and client",
            ) from error
    return True


def _own_token() -> str:
    """Return the token that Ray would use in this process; empty without one."""
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    loader = AuthenticationTokenLoader.instance()
    loader.reset_cache()
    if not loader.has_token(ignore_auth_mode=True):
        return ""
    return str(loader.get_raw_token(ignore_auth_mode=True))


def _origin_of_token() -> str:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return name
    return str(Path.home() / ".ray" / "auth_token")


def ignored_cluster(config: RayConfig) -> str | None:
    """Return a note for the user where the environment names a cluster that is not joined."""
    named = os.environ.get(ADDRESS_VARIABLE)
    if not named or config.address is not None:
        return None
    return (
        f"Starting a Ray of its own; {ADDRESS_VARIABLE}={named} is ignored. Set ray.address=auto "
        "to use it"
    )

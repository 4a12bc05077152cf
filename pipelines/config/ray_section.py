"""The section ``ray``: the cluster of a run, and the environment of its workers."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StrictInt

from snellen.pipelines.config.base import PositiveInt, Section
from snellen.pipelines.config.runtime_env import (
    parse_runtime_env,
    with_absolute_files,
    without_values,
)

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):[0-9]{1,5}")


def is_host_port(text: str) -> bool:
    """Return True for ``host:port``; an IPv6 address is in brackets."""
    return _HOST_PORT.fullmatch(text) is not None and 0 < int(text.rpartition(":")[2]) < 2**16


def _head_node(address: str | None) -> str | None:
    if address is None or address == "auto" or is_host_port(address):
        return address
    expected = "expected 'auto' or host:port of the head node, such as 10.0.0.1:6379"
    if address.startswith("ray://"):
        expected += " (the addresses of Ray Client, ray://, are not supported)"
    raise ValueError(expected)


class RayConfig(Section):
    """The Ray cluster of the run; by default an embedded one on this machine."""

    address: Annotated[str | None, AfterValidator(_head_node)] = Field(
        None, description="'auto' or host:port of a running cluster; null: an embedded one."
    )
    num_cpus: PositiveInt | None = Field(None, description="Number of CPUs of an embedded Ray.")
    num_gpus: Annotated[StrictInt, Field(ge=0)] | None = Field(
        None, description="Number of GPUs of an embedded Ray."
    )
    object_store_memory: PositiveInt | None = Field(
        None, description="Size of the object store in bytes."
    )
    no_progress_timeout: PositiveInt = Field(
        600, description="Seconds without progress after which the run is interrupted."
    )
    runtime_env: Annotated[
        dict[str, Any],
        BeforeValidator(parse_runtime_env),
        PlainSerializer(without_values, when_used="json"),
    ] = Field(
        {},
        description="Ray's runtime environment of the workers: env_vars, pip, py_modules, "
        "working_dir and others. Values of env_vars are not stored; null: as in the environment.",
    )

    def with_absolute_paths(self) -> RayConfig:
        """Return the section with absolute local paths, so that any directory can resume a run."""
        return self.model_copy(update={"runtime_env": with_absolute_files(self.runtime_env)})

"""Backend that calls the model processes through a handle of Ray Serve."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.inference.channel import ChannelClient, ConnectionEnded, NotConnected
from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef


class RayBackend:
    """Backend that calls the model processes through a handle of Ray Serve.

    If there is only one, on this machine, predictions take a socket instead: see
    docs/decisions/0021.
    """

    def __init__(self, models: DeploymentHandle[Any], socket: Path | None = None) -> None:
        """Create the backend.

        Args:
            models: the model processes.
            socket: of the only model process; None if there are several.
        """
        self._models = models
        self._channel = None if socket is None else ChannelClient(socket)

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """Run a model, on a replica that has loaded it if there is one."""
        if self._channel is not None:
            # While the process is being replaced, Ray knows how it stands.
            with suppress(NotConnected):
                return await self._infer_directly(self._channel, request)
        reply: InferenceReply = await self._call("infer", _routing_key(request.model), request)
        return reply

    async def _infer_directly(
        self, channel: ChannelClient, request: InferenceRequest
    ) -> InferenceReply:
        try:
            reply: InferenceReply = await channel.call(request)
        except ConnectionEnded as error:
            raise Unavailable(str(error)) from error
        return reply

    async def preload(self, model: ModelRef) -> InferenceReply:
        """Load a model on one replica."""
        reply: InferenceReply = await self._call("preload", _routing_key(model), model)
        return reply

    async def ping(self) -> None:
        """Return if a replica responds."""
        await self._call("ping", "")

    async def _call(self, method: str, key: str, *arguments: Any) -> Any:
        handle = self._models.options(method_name=method, multiplexed_model_id=key)
        response = handle.remote(*arguments)
        try:
            return await response
        except asyncio.CancelledError:
            # The client is gone: free the model for others.
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except BackPressureError as error:
            raise Busy(str(error)) from error
        except (RayActorError, RayServeException, TaskCancelledError) as error:
            raise Unavailable(str(error)) from error
        except RayTaskError:
            raise  # a bug in our code, not a dead process: retrying does not help
        except RayError as error:
            logging.getLogger("snellen.serve").error("%s: %s", method, error)
            raise Unavailable(type(error).__name__) from error


def _routing_key(model: ModelRef) -> str:
    """Return the key by which Ray finds a replica; all have the models of ``model.preload``."""
    return model.key if model.pin is None else ""

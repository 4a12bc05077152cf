"""Backend that calls the model processes through a handle of Ray Serve."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef


class RayBackend:
    """Backend that calls the model processes through a handle of Ray Serve."""

    def __init__(self, models: DeploymentHandle[Any]) -> None:
        self._models = models

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """Run a model, on a replica that has loaded it if there is one."""
        reply: InferenceReply = await self._call("infer", request.model.key, request)
        return reply

    async def preload(self, model: ModelRef) -> InferenceReply:
        """Load a model on one replica."""
        reply: InferenceReply = await self._call("preload", model.key, model)
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

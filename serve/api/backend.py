"""Interface between HTTP and the models: handles of Ray Serve, or a model host in a test."""

from __future__ import annotations

from typing import Protocol

from snellen.serve.inference.messages import InferenceReply, InferenceRequest, ModelRef


class Unavailable(Exception):  # noqa: N818 - a state, read as one
    """No process serves the model now: it died, or it is starting."""


class Busy(Exception):  # noqa: N818 - a state, read as one
    """The queue in front of the models is full."""


class Backend(Protocol):
    """Models behind one method."""

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """Run a model on one image.

        Raises:
            Unavailable, Busy: the request was not run.
        """
        ...

    async def preload(self, model: ModelRef) -> InferenceReply:
        """Load a model before it is requested; the reply contains only a failure, if any."""
        ...

    async def ping(self) -> None:
        """Return if a model process responds.

        Raises:
            Unavailable: none does.
        """
        ...

"""Where the HTTP side finds its models; Ray Serve's handles are one way, a test's host another."""

from __future__ import annotations

from typing import Protocol

from snellen.serve.inference.messages import Answer, ModelRef, Query


class Unavailable(Exception):  # noqa: N818 - a state, read as one
    """No process answers for the model now: it died, or is being started."""


class Busy(Exception):  # noqa: N818 - a state, read as one
    """The queue in front of the models is full."""


class Backend(Protocol):
    """Models behind one method."""

    async def answer(self, query: Query) -> Answer:
        """Answer a query. Raises Unavailable or Busy."""
        ...

    async def preload(self, model: ModelRef) -> Answer:
        """Load a model before anybody asks; the answer holds only a failure, if there is one."""
        ...

    async def ping(self) -> None:
        """Return if a process answers. Raises Unavailable."""
        ...

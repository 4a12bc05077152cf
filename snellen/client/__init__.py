"""Clients of the HTTP service: ``snellen.Client("http://127.0.0.1:8000").infer("cat.jpg")``."""

from __future__ import annotations

from snellen.client.asynchronous import AsyncClient
from snellen.client.asynchronous_runs import AsyncRemoteJob, AsyncRemoteRun
from snellen.client.blocking import Client
from snellen.client.blocking_runs import RemoteJob, RemoteRun
from snellen.client.calls import ServiceError
from snellen.client.requests import InferOptions, Prediction, SubmitOptions

__all__ = [
    "AsyncClient",
    "AsyncRemoteJob",
    "AsyncRemoteRun",
    "Client",
    "InferOptions",
    "Prediction",
    "RemoteJob",
    "RemoteRun",
    "ServiceError",
    "SubmitOptions",
]

"""LitServe with one of our adapters, as in its documentation: decode, batch, predict.

    python -m benchmarks.litserve_app SPEC PORT BATCH

Without ``from __future__ import annotations``: LitServe inspects that of ``decode_request``.
"""

import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.runtime.threads import let_threads_sleep, set_compute_threads
from snellen.adapters.types import AdapterSpec, InferenceResult, Preprocessed

BATCH_TIMEOUT_S = 0.002
"""With 0 its loop never sleeps and takes a core from the model, which makes it slower."""


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Our adapter behind the hooks of LitServe."""

    def __init__(self, spec: AdapterSpec, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=BATCH_TIMEOUT_S, api_path="/predict")
        self._model_spec = spec
        self._max_batch = batch

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        set_compute_threads(min(len(os.sched_getaffinity(0)), 4))
        self._adapter = load_adapter_class(self._model_spec.adapter).from_spec(
            self._model_spec, device="cpu"
        )
        self._adapter.warmup(1)

    def decode_request(self, request: Request) -> Preprocessed:
        """Decode and preprocess the image of a form."""
        return self._adapter.preprocess_image(request["image"].file.read())

    def batch(self, inputs: Sequence[Preprocessed]) -> Sequence[Preprocessed]:
        """Return the inputs unchanged; our adapter forms batches itself."""
        return inputs

    def predict(self, x: Any) -> Any:
        """Run the model."""
        items = x if isinstance(x, Sequence) else [x]
        return self._adapter.infer_preprocessed(list(items), batch_size=self._max_batch)

    def unbatch(self, output: Any) -> Any:
        """Return one output per request."""
        return output

    def encode_response(self, output: InferenceResult | list[InferenceResult]) -> dict[str, Any]:
        """Convert a result to JSON."""
        result = output[0] if isinstance(output, list) else output
        body = asdict(result)
        body.pop("predicted_masks", None)
        return body


def main() -> None:
    """Serve until it is killed."""
    let_threads_sleep()  # as the service does: only the way to the model is compared
    path, port, batch = sys.argv[1:]
    spec = pickle.loads(Path(path).read_bytes())
    server = litserve.LitServer(Api(spec, int(batch)), accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()

"""Direct calls of an adapter in a separate process: the time of the model without a service.

    python -m benchmarks.direct SPEC IMAGES

reads lines ``BATCH SECONDS`` and responds to each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.load import quantile


def measure(adapter: Any, images: list[bytes], batch: int, seconds: float) -> dict[str, float]:
    """Call the adapter from one thread for ``seconds``, with ``batch`` images per call."""
    taken: list[float] = []
    begin = now = time.perf_counter()
    while now - begin < seconds:
        first = len(taken) * batch
        chosen = [images[(first + i) % len(images)] for i in range(batch)]
        if batch == 1:
            adapter.infer_single(chosen[0])
        else:
            adapter.infer_batch(chosen, batch_size=batch)
        last, now = now, time.perf_counter()
        taken.append(now - last)
    return {
        "p50": quantile(taken, 0.5),
        "p99": quantile(taken, 0.99),
        "rate": batch * len(taken) / (now - begin),
    }


class Direct:
    """Handle of the process."""

    def __init__(self, spec: Path, images: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.direct", str(spec), str(images)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, batch: int, seconds: float) -> dict[str, float]:
        """Run `measure` in the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(batch, seconds, file=self._process.stdin, flush=True)
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Load the model as the service does, and process lines from stdin."""
    from snellen.adapters.registry import load_adapter_class
    from snellen.adapters.runtime.threads import let_threads_sleep, set_compute_threads

    spec = pickle.loads(Path(sys.argv[1]).read_bytes())
    let_threads_sleep()
    images = [path.read_bytes() for path in sorted(Path(sys.argv[2]).rglob("*.jpg"))]
    set_compute_threads(min(len(os.sched_getaffinity(0)), 4))
    adapter = load_adapter_class(spec.adapter).from_spec(spec, device="cpu")
    adapter.infer_batch(images)
    for line in sys.stdin:
        batch, seconds = line.split()
        print(json.dumps(measure(adapter, images, int(batch), float(seconds))), flush=True)


if __name__ == "__main__":
    main()

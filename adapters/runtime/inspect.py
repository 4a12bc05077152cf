"""Load a checkpoint once, in a process of its own, to learn what it is.

A driver that only schedules would otherwise keep a framework and a model in memory (0.7 GB and
more) for the whole run. ``python -m snellen.adapters.runtime.inspect`` is the other side: it reads
a pickled ``AdapterSpec`` on stdin and writes a pickled answer on stdout.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass

from snellen.adapters.errors import InputError, SnellenError
from snellen.adapters.types import AdapterSpec, ModelInfo


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found: the model, and whether its adapter looks at pixels at all."""

    info: ModelInfo
    reads_images: bool


def inspect_model(spec: AdapterSpec) -> Inspection:
    """Load the model of ``spec`` on the CPU of another process and say what it is.

    Raises:
        ConfigError, InputError: whatever loading it here would raise.
        InputError: CHECKPOINT_UNREADABLE where the process died, for want of memory for example.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "snellen.adapters.runtime.inspect"],
        input=pickle.dumps(spec),
        stdout=subprocess.PIPE,
        check=False,
        # The other side finds the same packages, also those of a script's own folder.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
    )
    if finished.returncode != 0:
        raise InputError(
            "CHECKPOINT_UNREADABLE",
            f"the process that loaded {spec.checkpoint or spec.adapter} ended with code "
            f"{finished.returncode}; is there enough memory?",
        )
    answer = pickle.loads(finished.stdout)
    if isinstance(answer, SnellenError):
        raise answer
    assert isinstance(answer, Inspection)
    return answer


def _main() -> None:
    # Whatever a library prints must not mix with the answer.
    answer_stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    spec = pickle.load(sys.stdin.buffer)
    answer: Inspection | SnellenError
    try:
        from snellen.adapters.registry import load_adapter_class

        adapter = load_adapter_class(spec.adapter).from_spec(spec, device="cpu")
        answer = Inspection(adapter.info, adapter.reads_images)
    except SnellenError as error:
        answer = error
    pickle.dump(answer, answer_stream)
    answer_stream.close()


if __name__ == "__main__":
    # Not _main(): the class that is pickled must be the importable one, not __main__'s.
    importlib.import_module("snellen.adapters.runtime.inspect")._main()

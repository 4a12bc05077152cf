"""Load a checkpoint once, in a process of its own, to describe it.

A driver that only schedules would otherwise keep a framework and a model in memory (0.7 GB and
more) for the whole run. ``python -m snellen.adapters.runtime.inspect`` is the other side: it reads
a pickled ``AdapterSpec`` on stdin and writes a pickled answer on stdout.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from snellen.adapters.errors import InputError, SnellenError
from snellen.adapters.types import AdapterSpec, ModelInfo


@dataclass(frozen=True, slots=True)
class Inspection:
    """Description of a model, and whether its adapter reads pixels."""

    info: ModelInfo
    reads_images: bool


def inspect_model(spec: AdapterSpec) -> Inspection:
    """Load the model of ``spec`` on the CPU of another process and describe it.

    Raises:
        ConfigError, InputError: the errors that loading it in this process would raise.
        InputError: CHECKPOINT_UNREADABLE the process died, of too little memory for example.
    """
    finished = subprocess.run(
        # -P: the working folder may hold files that are called like modules of the library.
        [sys.executable, "-P", "-m", "snellen.adapters.runtime.inspect"],
        input=pickle.dumps(spec),
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path(spec.adapter))},
    )
    if finished.returncode != 0:
        raise InputError(
            "CHECKPOINT_UNREADABLE",
            f"the process that loaded {spec.checkpoint or spec.adapter} exited with code "
            f"{finished.returncode}. Expected 0; check that there is enough memory.",
        )
    answer = pickle.loads(finished.stdout)
    if isinstance(answer, SnellenError):
        raise answer
    assert isinstance(answer, Inspection)
    return answer


def _import_path(adapter: str) -> list[str]:
    """Return the import path of the other process.

    It is this process's path, with a script's own folder, but without the working folder that
    ``python -m``, ``python -c`` and the interactive interpreter put on it. An adapter that lies in
    the working folder needs it; then it comes last, where it hides no other module.
    """
    here = str(Path.cwd())
    path = [entry for entry in sys.path if entry]
    if _started_as_module() and here in path:
        path.remove(here)
    if here not in path and _lies_in(adapter, here):
        path.append(here)
    return path


def _started_as_module() -> bool:
    """Return True if this process was started by ``-m``, whose path begins with the folder."""
    main = sys.modules.get("__main__")
    return getattr(main, "__spec__", None) is not None and not sys.flags.safe_path


def _lies_in(adapter: str, folder: str) -> bool:
    """Return True if an adapter that is named ``module:Class`` is found in a folder."""
    module, colon, _ = adapter.partition(":")
    try:
        found = importlib.util.find_spec(module.partition(".")[0]) if colon else None
    except (ValueError, ImportError):
        return False
    if found is None:
        return False
    places = found.submodule_search_locations or [found.origin or ""]
    return any(str(Path(place).absolute().parent) == folder for place in places)


def _main() -> None:
    # Output that a library prints must not mix with the answer.
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
    # Not _main(): pickle must name the importable class, not the one of __main__.
    importlib.import_module("snellen.adapters.runtime.inspect")._main()

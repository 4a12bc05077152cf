"""Check that every node of a cluster sees the run's folder and its files.

A task on each node writes a file into the run's folder that the driver must be able to read, and
looks for the manifest, the dataset and the checkpoint. A node-local path is rejected here, before
hours of work are lost on other disks. With one node there is nothing to check.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.adapters.errors import InputError, SnellenError
from snellen.pipelines.execution.worker.spec import ScoringSpec
from snellen.pipelines.storage.remote_path import Place


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The answer of a node: its name, the paths that it cannot see, the error of its write."""

    node: str
    unseen: tuple[str, ...]
    error: str | None


def answer_probe(folder: str, token: str, places: Iterable[Place]) -> ProbeAnswer:
    """Write ``token`` into the folder and look for the places; runs on a node."""
    unseen = tuple(str(place) for place in places if not _sees(place))
    error = None
    try:
        (Path(folder) / f".probe-{token}").write_text(token)
    except OSError as problem:
        error = str(problem.strerror or problem)
    return ProbeAnswer(socket.gethostname(), unseen, error)


def _sees(place: Place) -> bool:
    try:
        return place.exists()
    except SnellenError:
        return False  # for example remote storage for which this node lacks credentials


def check_answers(
    folder: Path, answers: Iterable[tuple[str, ProbeAnswer]], *, forget: Callable[[Path], None]
) -> None:
    """Check that the driver can read what the nodes wrote.

    Raises:
        InputError: STORAGE_NOT_SHARED, naming node and path.
    """
    for token, answer in answers:
        file = folder / f".probe-{token}"
        written = file.is_file() and file.read_text() == token
        forget(file)
        if answer.error is not None or not written:
            reason = answer.error or "its file did not appear here"
            raise InputError(
                "STORAGE_NOT_SHARED",
                f"output.dir: node {answer.node} cannot write to '{folder}' so that this process "
                f"sees it ({reason}). Set output.dir to a folder on storage that every node "
                "mounts at the same path.",
            )
        if answer.unseen:
            raise InputError(
                "STORAGE_NOT_SHARED",
                f"node {answer.node} does not see {', '.join(answer.unseen)}. Checkpoint, "
                "dataset and output must lie on storage that every node mounts at the same path; "
                "for a dataset at an address such as s3:// every node needs its own credentials.",
            )


def probe_nodes(spec: ScoringSpec) -> None:
    """Check the storage of every node of the Ray cluster.

    Raises:
        InputError: STORAGE_NOT_SHARED.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if len(nodes) < 2:
        return
    places: list[Place] = [spec.manifest, spec.access.root]
    if spec.adapter.checkpoint:
        places.append(Path(spec.adapter.checkpoint))
    task: Any = ray.remote(num_cpus=0)(answer_probe)
    tokens = [uuid.uuid4().hex for _ in nodes]
    references = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(str(spec.results_dir), token, places)
        for node, token in zip(nodes, tokens, strict=True)
    ]
    answers = ray.get(references)
    check_answers(
        spec.results_dir,
        zip(tokens, answers, strict=True),
        forget=lambda file: file.unlink(missing_ok=True),
    )

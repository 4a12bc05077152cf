"""Lost workers and nodes are one note each, whatever Ray Data logs about their tasks."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from snellen.pipelines.execution.ray import lost_workers
from snellen.pipelines.execution.ray.lost_workers import LostWorkers
from snellen.pipelines.progress import Reporter

LOGGER = logging.getLogger("ray.data._internal.execution.streaming_executor_state")
LOST_TASK = (
    'An exception was raised from a task of operator "MapBatches(CpuWorker)". Ignoring this '
    "exception with remaining max_errored_blocks=unlimited."
)


class Notes(Reporter):
    def __init__(self, *, debug: bool = False) -> None:
        self.lines: list[str] = []
        self.debug = debug

    def note(self, text: str) -> None:
        self.lines.append(text)


class Nodes:
    """Two living nodes; ``living`` are those that Ray still calls alive."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.living = set(ports)
        self._ports = ports

    def __call__(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "NodeID": name,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": f"host-{name}",
                "NodeManagerPort": port,
            }
            for name, port in self._ports.items()
            if name in self.living
        }


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages that Ray Data logs, wherever its handlers write them."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    yield messages
    LOGGER.removeHandler(handler)


@pytest.fixture
def sockets() -> Iterator[dict[str, socket.socket]]:
    """A listening socket per node, as its raylet has."""
    listening = {name: socket.create_server(("127.0.0.1", 0)) for name in "ab"}
    yield listening
    for one in listening.values():
        one.close()


@pytest.fixture
def nodes(sockets: dict[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> Nodes:
    found = Nodes({name: one.getsockname()[1] for name, one in sockets.items()})
    monkeypatch.setattr(lost_workers, "_living_nodes", found)
    return found


@pytest.mark.parametrize("declared_dead", [True, False])
def test_a_lost_node_is_named_once(
    nodes: Nodes,
    sockets: dict[str, socket.socket],
    logged: list[str],
    declared_dead: bool,
) -> None:
    """Ray declares a node dead seconds after the first of its tasks was lost."""
    notes = Notes()
    lost = LostWorkers(notes)
    with lost.watch():
        lost.tell()
        assert notes.lines == []
        if declared_dead:
            nodes.living.remove("b")
        else:
            sockets["b"].close()
        for _ in range(3):
            LOGGER.error(LOST_TASK, exc_info=ConnectionError("gone"))
            lost.tell()
    with lost.watch():
        LOGGER.error(LOST_TASK)
        lost.tell()
    assert notes.lines[0] == (
        "Lost node 127.0.0.1 (host-b), 1 of 2 nodes are left. Its units are scored again"
    )
    assert len(notes.lines) == 1
    assert logged == []


def test_a_node_whose_tasks_ray_has_retried_is_named_too(nodes: Nodes) -> None:
    """A machine that no longer answers: no task is lost, and the run only takes longer."""
    notes = Notes()
    lost = LostWorkers(notes)
    with lost.watch():
        nodes.living.remove("b")
        lost.tell()  # it was looked at a moment ago
        assert notes.lines == []
        lost.tell(at_end=True)
        lost.tell(at_end=True)
    assert notes.lines == [
        "Lost node 127.0.0.1 (host-b), 1 of 2 nodes are left. Its units are scored again"
    ]


def test_a_worker_that_died_on_a_living_node(nodes: Nodes) -> None:
    """An image that kills its worker does so in each pass."""
    notes = Notes()
    lost = LostWorkers(notes)
    for _ in range(2):
        with lost.watch():
            for _ in range(3):
                LOGGER.error(LOST_TASK)
                lost.tell()
    assert notes.lines == ["Lost a worker process. Its units are scored again"] * 2


def test_other_errors_are_logged(nodes: Nodes, logged: list[str]) -> None:
    notes = Notes()
    lost = LostWorkers(notes)
    with lost.watch():
        LOGGER.error("something else")
        lost.tell()
    LOGGER.error(LOST_TASK)  # of another dataset, after the run
    assert logged == ["something else", LOST_TASK]
    assert notes.lines == []


def test_debug_shows_the_tracebacks_too(nodes: Nodes, logged: list[str]) -> None:
    notes = Notes(debug=True)
    lost = LostWorkers(notes)
    with lost.watch():
        LOGGER.error(LOST_TASK)
        lost.tell()
    assert logged == [LOST_TASK]
    assert notes.lines == ["Lost a worker process. Its units are scored again"]

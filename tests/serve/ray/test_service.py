"""``snellen serve`` whole: Ray Serve, its processes, an evaluation beside it, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from snellen.adapters.registry import load_adapter_class
from snellen.adapters.types import AdapterSpec
from snellen.store.sql.database import Database
from tests.pipelines.making import grey_folder
from tests.serve.conftest import picture
from tests.serve.local import FIXTURES, TASKS, fixture_job
from tests.serve.service import Process, free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]
JOBS = {task: number for number, task in enumerate(TASKS, 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("service")
    db = Database.open(f"sqlite:///{root / 'runs' / 'snellen.db'}")
    for task, number in JOBS.items():
        assert fixture_job(db, task).id == number
    db.close()
    return root


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Process]:
    process = Process(folder, "ray.num_cpus=2", "preload=[{job: tiny-detect}]")
    process.wait_ready()
    yield process
    process.end()


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_those_of_infer_single(service: Process, task: str) -> None:
    data = picture("JPEG")
    spec = AdapterSpec("ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"))
    expected = load_adapter_class("ultralytics").from_spec(spec, device="cpu").infer_single(data)
    answer = service.single(data, JOBS[task])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["predicted_label"] == expected.predicted_label
    if expected.confidence is not None:
        assert body["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    boxes = body["predicted_boxes"] or []
    for box, its in zip(boxes, expected.predicted_boxes or [], strict=True):
        corners = [its["x1"], its["y1"], its["x2"], its["y2"]]
        assert box["xyxy"] == pytest.approx(corners, abs=1e-2)
        assert box["confidence"] == pytest.approx(its["confidence"], abs=1e-4)


def test_a_corrupt_upload_fails_alone_among_many(service: Process) -> None:
    good = picture()
    uploads = [good, b"no image", good[:300], good] * 4
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda data: service.single(data, JOBS["detect"]), uploads))
    assert [answer.status_code for answer in answers] == [200, 415, 422, 200] * 4
    boxes = [len(a.json()["predicted_boxes"]) for a in answers if a.status_code == 200]
    assert len(set(boxes)) == 1


def test_a_large_chunked_upload_is_refused_while_it_arrives(service: Process) -> None:
    def endless() -> Iterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
        for _ in range(400):
            yield bytes(100_000)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    url = f"{service.url}/inference/single"
    answer = httpx.post(url, content=endless(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "BYTE_LIMIT")


def test_an_evaluation_runs_beside_it(service: Process, folder: Path) -> None:
    """On the same two CPUs, while requests go on being answered."""
    data = grey_folder(folder / "data", ("circle", "square", "triangle"), 200)
    config = {
        "model": {"job": "tiny-classify"},
        "dataset": {"path": str(data)},
        "run": {"unit_rows": 50},
        "ray": {"address": service.ray_address},
    }
    (folder / "eval.yaml").write_text(json.dumps(config))
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(service.single(picture(), JOBS["detect"]).status_code)
            time.sleep(0.2)

    asking = threading.Thread(target=ask)
    asking.start()
    finished = subprocess.run(
        [sys.executable, "-m", "snellen", "eval", "eval.yaml", "--json"],
        cwd=folder, env=service.environment, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    over.set()
    asking.join()
    assert finished.returncode == 0, finished.stderr + finished.stdout
    run = json.loads(finished.stdout)
    assert (run["status"], run["scored_images"]) == ("completed", 600)
    assert len(answers) > 10
    assert set(answers) == {200}


def test_a_killed_model_process_comes_back_within_30_seconds(service: Process) -> None:
    (model,) = service.processes("ray::ServeReplica:snellen:Models")
    os.kill(model.pid, signal.SIGKILL)
    killed = time.monotonic()
    statuses = []
    while time.monotonic() - killed < 30:
        try:
            answer = service.single(picture(), JOBS["detect"])
        except httpx.TransportError:
            statuses.append(0)
        else:
            statuses.append(answer.status_code)
            if answer.status_code == 503:
                assert answer.headers["retry-after"].isdecimal()
            if statuses[-3:] == [200] * 3:
                break
        time.sleep(0.1)
    assert statuses[-3:] == [200] * 3, statuses
    assert set(statuses) <= {0, 200, 500, 503}


def slowly(service: Process, image: bytes) -> httpx.Response:
    """A request whose body takes three seconds to arrive."""
    head = (
        b"--x\r\nContent-Disposition: form-data; name=training_job_id\r\n\r\n"
        + str(JOBS["detect"]).encode()
        + b"\r\n--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
    )

    def pieces() -> Iterator[bytes]:
        yield head
        for start in range(0, len(image), 1 + len(image) // 10):
            time.sleep(0.3)
            yield image[start : start + 1 + len(image) // 10]
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    url = f"{service.url}/inference/single"
    return httpx.post(url, content=pieces(), headers=headers, timeout=60)


def test_nothing_but_loopback_is_listened_on_and_nothing_is_left(service: Process) -> None:
    """The last test: it ends the service while requests are under way."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    known = {service.process.pid, *(child.pid for child in children)}
    listening = [
        connection.laddr
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in known
    ]
    assert service.port in {address.port for address in listening}
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert [address for address in listening if address.ip not in loopback] == []
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(slowly, service, picture()) for _ in range(4)]
        while "snellen_requests_open 4.0" not in httpx.get(f"{service.url}/metrics").text:
            time.sleep(0.05)
        began = time.monotonic()
        assert service.end() == 0, "\n".join(service.lines[-6:])
        took = time.monotonic() - began
        answers = [future.result() for future in asked]
    assert took < 30
    assert [answer.status_code for answer in answers] == [200] * 4
    assert all(answer.json()["predicted_boxes"] for answer in answers)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert any("no new requests are accepted" in line for line in service.lines)


def told(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    process = Process(folder, *words, **environment)
    code = process.process.wait(120)
    time.sleep(0.2)
    return code, "\n".join(process.lines)


def test_strangers_need_keys(folder: Path) -> None:
    code, text = told(folder, "--host", "0.0.0.0")
    assert code == 2
    assert "API_KEYS_MISSING" in text
    assert "SNELLEN_API_KEYS" in text
    assert "Traceback" not in text


def test_a_port_that_is_taken(folder: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = told(folder, "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "PORT_TAKEN" in text


def test_a_ray_that_is_not_there(folder: Path) -> None:
    code, text = told(folder, f"ray.address=127.0.0.1:{free_port()}")
    assert code == 1
    assert "RAY_START" in text
    assert "could not start or join 127.0.0.1:" in text
    assert "Connection refused" in text
    # Ray Serve would start a Ray of its own to find that nothing has to be stopped.
    assert "Started a local Ray" not in text


def test_a_configuration_that_cannot_be(folder: Path) -> None:
    (folder / "serve.yaml").write_text("limits: {max_queue: 3}\n")
    code, text = told(folder, "serve.yaml")
    assert code == 2
    assert "limits.max_queue: unknown key. Did you mean" in text


def test_a_model_to_be_loaded_that_is_not_there(folder: Path) -> None:
    code, text = told(folder, "preload=[{job: no such}]")
    assert code == 2
    assert "JOB_NOT_FOUND" in text
    assert "tiny-detect" in text

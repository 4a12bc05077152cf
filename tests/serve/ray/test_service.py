"""End-to-end tests of ``snellen serve``: its processes, an evaluation beside it, stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
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
from tests.ray_cluster import free_port
from tests.serve.conftest import picture
from tests.serve.local_service import FIXTURES, TASKS, fixture_job
from tests.serve.serve_process import Process

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
    process = Process(folder, "ray.num_cpus=2", "model.preload=[{job: tiny-detect}]")
    process.wait_ready()
    yield process
    process.end()


@pytest.mark.parametrize("task", TASKS)
def test_responses_equal_infer_single(service: Process, task: str) -> None:
    data = picture("JPEG")
    spec = AdapterSpec("ultralytics", checkpoint=str(FIXTURES / f"tiny-{task}.pt"))
    expected = load_adapter_class("ultralytics").from_spec(spec, device="cpu").infer_single(data)
    response = service.single(data, JOBS[task])
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["predicted_label"] == expected.predicted_label
    if expected.confidence is not None:
        assert body["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    boxes = body["predicted_boxes"] or []
    for box, its in zip(boxes, expected.predicted_boxes or [], strict=True):
        corners = [its["x1"], its["y1"], its["x2"], its["y2"]]
        assert box["xyxy"] == pytest.approx(corners, abs=1e-2)
        assert box["confidence"] == pytest.approx(its["confidence"], abs=1e-4)


def test_a_corrupt_upload_fails_alone(service: Process) -> None:
    good = picture()
    uploads = [good, b"no image", good[:300], good] * 4
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda data: service.single(data, JOBS["detect"]), uploads))
    assert [response.status_code for response in responses] == [200, 415, 422, 200] * 4
    boxes = [len(a.json()["predicted_boxes"]) for a in responses if a.status_code == 200]
    assert len(set(boxes)) == 1


def test_a_large_chunked_upload_is_rejected_while_it_arrives(service: Process) -> None:
    def endless() -> Iterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
        for _ in range(400):
            yield bytes(100_000)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    url = f"{service.url}/inference/single"
    response = httpx.post(url, content=endless(), headers=headers, timeout=60)
    assert (response.status_code, response.json()["code"]) == (413, "BYTE_LIMIT")


def test_an_evaluation_runs_beside_it(service: Process, folder: Path) -> None:
    """On the same two CPUs, while the service handles requests."""
    data = grey_folder(folder / "data", ("circle", "square", "triangle"), 200)
    config = {
        "model": {"job": "tiny-classify"},
        "dataset": {"path": str(data)},
        "run": {"unit_rows": 50},
        "ray": {"address": service.ray_address},
    }
    (folder / "eval.yaml").write_text(json.dumps(config))
    responses: list[int] = []
    stop = threading.Event()

    def send_requests() -> None:
        while not stop.is_set():
            responses.append(service.single(picture(), JOBS["detect"]).status_code)
            time.sleep(0.2)

    client = threading.Thread(target=send_requests)
    client.start()
    finished = subprocess.run(
        [sys.executable, "-m", "snellen", "eval", "eval.yaml", "--json"],
        cwd=folder, env=service.environment, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    stop.set()
    client.join()
    assert finished.returncode == 0, finished.stderr + finished.stdout
    run = json.loads(finished.stdout)
    assert (run["status"], run["scored_images"]) == ("completed", 600)
    assert len(responses) > 10
    assert set(responses) == {200}


def test_a_killed_model_process_is_replaced_within_30_seconds(service: Process) -> None:
    (model,) = service.processes("ray::ServeReplica:snellen:Models")
    os.kill(model.pid, signal.SIGKILL)
    killed = time.monotonic()
    statuses = []
    while time.monotonic() - killed < 30:
        try:
            response = service.single(picture(), JOBS["detect"])
        except httpx.TransportError:
            statuses.append(0)
        else:
            statuses.append(response.status_code)
            if response.status_code == 503:
                assert response.headers["retry-after"].isdecimal()
            if statuses[-3:] == [200] * 3:
                break
        time.sleep(0.1)
    assert statuses[-3:] == [200] * 3, statuses
    assert set(statuses) <= {0, 200, 500, 503}


def send_slowly(service: Process, image: bytes) -> httpx.Response:
    """Send a request whose body takes three seconds to arrive."""
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


def test_it_listens_on_loopback_only_and_stops_cleanly(service: Process) -> None:
    """The last test of the module: it stops the service while requests are in progress."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    known = {service.process.pid, *(child.pid for child in children)}
    listening = [
        tuple(connection.laddr)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in known
    ]
    assert service.port in {port for _, port in listening}
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert [ip for ip, _ in listening if ip not in loopback] == []
    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(send_slowly, service, picture()) for _ in range(4)]
        while "snellen_requests_open 4.0" not in httpx.get(f"{service.url}/metrics").text:
            time.sleep(0.05)
        began = time.monotonic()
        assert service.end() == 0, "\n".join(service.lines[-6:])
        took = time.monotonic() - began
        responses = [future.result() for future in pending]
    assert took < 30
    assert [response.status_code for response in responses] == [200] * 4
    assert all(response.json()["predicted_boxes"] for response in responses)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert any("no new requests are accepted" in line for line in service.lines)


def run_until_exit(folder: Path, *words: str) -> tuple[int, str]:
    """Run the command until it exits; return its exit code and its output."""
    process = Process(folder, *words)
    code = process.process.wait(120)
    time.sleep(0.2)
    return code, "\n".join(process.lines)


def test_other_machines_need_keys(folder: Path) -> None:
    code, text = run_until_exit(folder, "--host", "0.0.0.0")
    assert code == 2
    assert "API_KEYS_MISSING" in text
    assert "SNELLEN_API_KEYS" in text
    assert "Traceback" not in text


def test_a_port_in_use(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = run_until_exit(folder, "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "PORT_TAKEN" in text


def test_an_unreachable_ray(folder: Path) -> None:
    code, text = run_until_exit(folder, f"ray.address=127.0.0.1:{free_port()}")
    assert code == 1
    assert "RAY_START" in text
    assert "could not start or join 127.0.0.1:" in text
    assert "Connection refused" in text
    # serve.shutdown() would start a Ray only to find nothing to stop.
    assert "Started a local Ray" not in text


def test_an_invalid_configuration(folder: Path) -> None:
    (folder / "serve.yaml").write_text("limits: {max_queue: 3}\n")
    code, text = run_until_exit(folder, "serve.yaml")
    assert code == 2
    assert "limits.max_queue: unknown key. Did you mean" in text


def test_an_unknown_model_in_preload(folder: Path) -> None:
    code, text = run_until_exit(folder, "model.preload=[{job: no such}]")
    assert code == 2
    assert "JOB_NOT_FOUND" in text
    assert "model.preload[0]: there is no training job 'no such'" in text
    assert "tiny-detect" in text

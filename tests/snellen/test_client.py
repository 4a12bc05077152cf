"""The typed client, against the real application on a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import snellen
from snellen.adapters.errors import InputError
from snellen.store.sql.database import Database
from tests.ray_cluster import free_port
from tests.serve.conftest import picture
from tests.serve.listening import listening
from tests.serve.local_service import TASKS, fixture_job


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service without Ray; the key is ``secret``."""
    root = tmp_path_factory.mktemp("client")
    db = Database.open(f"sqlite:///{root / 'runs.db'}")
    for task in TASKS:
        fixture_job(db, task)
    with listening(db, root, keys=["secret"]) as address:
        yield address
    db.close()


@pytest.fixture
def client(url: str) -> Iterator[snellen.Client]:
    with snellen.Client(url, api_key="secret") as client:
        yield client


def test_an_image_in_any_form_gives_the_same_prediction(
    client: snellen.Client, tmp_path: Path
) -> None:
    data = picture()
    (tmp_path / "cat.png").write_bytes(data)
    image = Image.open(tmp_path / "cat.png")
    forms: list[Any] = [tmp_path / "cat.png", str(tmp_path / "cat.png"), data, image]
    answers = [client.infer(form, job="tiny-detect") for form in (*forms, np.asarray(image))]
    assert all(isinstance(answer, snellen.Prediction) for answer in answers)
    assert answers[0].image_name == "cat.png"
    assert answers[0].predicted_boxes
    assert all(answer.predicted_boxes == answers[0].predicted_boxes for answer in answers)
    assert answers[0].predicted_boxes[0].format == "xywh_center_px"


def test_options_reach_the_service(client: snellen.Client) -> None:
    plain = client.infer(picture(), job=2)
    sure = client.infer(picture(), job=2, confidence=0.7, visualize=True, checkpoint="last")
    assert len(sure.predicted_boxes or ()) < len(plain.predicted_boxes or ())
    assert (plain.picture, sure.checkpoint) == (None, "last")
    assert sure.picture is not None
    assert sure.picture[:2] == b"\xff\xd8"
    kept = client.infer(picture(), job=2, record=True)
    assert kept.id is not None


def test_jobs_and_checkpoints(client: snellen.Client) -> None:
    assert client.ready()
    assert [job.name for job in client.training_jobs()][-1] == "tiny-classify"
    assert [entry.name for entry in client.checkpoints("tiny-pose")] == ["best"]
    with pytest.raises(InputError, match=r"4 training jobs\. Expected one of tiny-pose \(4\)"):
        client.infer(picture())
    with pytest.raises(InputError, match=r"'nothing' is unknown\. Expected one of tiny-pose"):
        client.infer(picture(), job="nothing")


def test_errors_have_the_code_of_the_service(client: snellen.Client, url: str) -> None:
    with pytest.raises(snellen.ServiceError, match="the content starts with") as caught:
        client.infer(b"no image", job=1)
    assert (caught.value.code, caught.value.status) == ("UNSUPPORTED", 415)
    with pytest.raises(snellen.ServiceError) as caught:
        client.infer(picture(), job=99)
    assert caught.value.code == "JOB_NOT_FOUND"
    with pytest.raises(snellen.ServiceError) as caught:
        client.register("/anywhere")
    assert (caught.value.code, caught.value.status) == ("PATH_FORBIDDEN", 403)
    with pytest.raises(snellen.ServiceError) as caught, snellen.Client(url) as stranger:
        stranger.training_jobs()
    assert (caught.value.code, caught.value.status) == ("API_KEY", 401)


def test_the_api_key_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNELLEN_API_KEY", "secret")
    with snellen.Client(url) as client:
        assert len(client.training_jobs()) == 4


def test_no_service_and_no_image(client: snellen.Client, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        client.infer(tmp_path / "none.png", job=1)
    with snellen.Client(f"http://127.0.0.1:{free_port()}") as nobody:
        assert not nobody.ready()
        with pytest.raises(snellen.ServiceError, match="Start one with: snellen serve") as caught:
            nobody.training_jobs()
    assert caught.value.code == "SERVICE_UNREACHABLE"


def answering(client: snellen.Client, *answers: httpx.Response) -> list[httpx.Request]:
    """Return the list of requests that the client sends while it receives these responses."""
    asked: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0)

    transport = httpx.MockTransport(handle)
    client._transport.http = httpx.Client(base_url="http://x", transport=transport)
    return asked


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "no"}, headers=headers)


def test_an_overloaded_service_is_retried_after_the_time_it_states(
    client: snellen.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    full = problem(503, "OVERLOADED", **{"Retry-After": "7"})
    nothing = httpx.Response(200, json={"total_count": 0, "jobs": []})
    asked = answering(client, full, full, nothing)
    assert client.training_jobs() == []
    assert (len(asked), waits) == (3, [7.0, 7.0])
    for answer, count in ((problem(503, "REQUEST_TIMEOUT"), 1), (problem(422, "X"), 1)):
        asked = answering(client, answer)
        with pytest.raises(snellen.ServiceError):
            client.training_jobs()
        assert len(asked) == count
    asked = answering(client, *[full] * 9)
    with pytest.raises(snellen.ServiceError) as caught:
        client.training_jobs()
    assert (caught.value.status, len(asked)) == (503, 4)


def test_a_model_by_name_takes_one_request(client: snellen.Client, url: str) -> None:
    body = httpx.post(
        f"{url}/inference/single",
        files={"image": ("image", picture())},
        data={"job": "tiny-pose"},
        headers={"X-API-Key": "secret"},
    )
    asked = answering(client, httpx.Response(200, content=body.content))
    assert client.infer(picture(), job="tiny-pose").training_job_id == 4
    assert len(asked) == 1
    assert b'name="job"\r\n\r\ntiny-pose' in asked[0].read()
    jobs = httpx.Response(200, json={"total_count": 0, "jobs": []})
    answering(client, problem(404, "JOB_NOT_FOUND"), jobs)
    with pytest.raises(InputError, match=r"'none' is unknown\. Expected one of none"):
        client.infer(picture(), job="none")
    answering(client, problem(404, "JOB_NOT_FOUND"))
    with pytest.raises(snellen.ServiceError, match="no"):
        client.infer(picture(), job=7)


def test_responses_of_another_service(client: snellen.Client) -> None:
    answering(client, httpx.Response(502, text="<html>bad gateway</html>"))
    with pytest.raises(snellen.ServiceError, match="bad gateway") as caught:
        client.training_jobs()
    assert caught.value.code == "HTTP_502"
    answering(client, httpx.Response(200, text="hello"))
    with pytest.raises(snellen.ServiceError, match="Expected a response of a Snellen service"):
        client.training_jobs()

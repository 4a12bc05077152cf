"""The OpenAPI document is accurate: every response is one that it describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import RunError
from snellen.serve.api.backend import Busy, Unavailable
from snellen.serve.api.recording.recorder import Recorder
from tests.serve.conftest import picture
from tests.serve.fuzz.portal import DETECT, Portal, portal
from tests.serve.fuzz.schema import SINGLE, Conformance

CASES = 60
"""Cases per operation and kind; ``python -m benchmarks.fuzz_http`` sends thousands."""
FEW = 10
"""Cases of the routes that run no model."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("schema")
    with portal(folder, filled=True, roots=[str(folder)]) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(service: Portal) -> dict[str, Any]:
    found: dict[str, Any] = service.send("GET", "/openapi.json").json()
    return found


@pytest.mark.slow
def test_responses_conform_to_the_document(service: Portal, document: dict[str, Any]) -> None:
    conformance = Conformance.of(service)
    for label, strategy in conformance.strategies():
        conformance.run(strategy, CASES if SINGLE in label else FEW)
    responses = conformance.responses
    assert sum(responses.values()) > 6 * CASES
    operations = {
        f"{method.upper()} {path}" for path, one in document["paths"].items() for method in one
    }
    assert {label.rpartition(" ")[0] for label in responses} == operations
    # Requests reached the model, not only the validation.
    assert responses[f"POST {SINGLE} 200"] > CASES / 4
    assert responses[f"POST {SINGLE} 422"] > CASES / 4
    assert responses["GET /inference/training-jobs 200"] > 0
    assert responses["POST /v2/models/{model}/infer 200"] > 0
    assert responses["GET /v2/models/{model} 200"] > 0
    run = "/inference/test-runs/{run_id}"
    for path in (run, f"{run}/images", f"{run}/images/{{image_index}}/thumbnail", f"{run}/events"):
        assert responses[f"GET {path} 200"] > 0, path


def test_an_inaccurate_document_is_detected(service: Portal) -> None:
    """Control: the checks of the previous test can fail."""
    conformance = Conformance.of(service)
    listing = conformance.schema.raw_schema["paths"]["/inference/training-jobs"]["get"]
    del listing["responses"]["422"]
    strategies = dict(conformance.strategies())
    with pytest.raises(BaseException, match="Undocumented status code"):
        conformance.run(strategies["GET /inference/training-jobs, invalid"], CASES)


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (Unavailable("died"), 503),
        (Busy("full"), 503),
        (RunError("DISK_FULL", "full"), 507),
        (RunError("DATABASE_LOCKED", "locked"), 503),
    ],
)
def test_internal_failures_are_documented(
    problem: Exception, status: int, service: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise problem

    if isinstance(problem, RunError):
        monkeypatch.setattr(Recorder, "record", fail)
    else:
        monkeypatch.setattr(service.service.backend, "problem", problem)
    conformance = Conformance.of(service)
    case = conformance.schema[SINGLE]["POST"].Case(
        body={"image": picture(), "training_job_id": DETECT, "record": "true"},
        media_type="multipart/form-data",
    )
    response = conformance.check(case)
    assert response.status_code == status
    assert ("retry-after" in response.headers) == (status == 503)


def test_other_methods_are_405(service: Portal, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        url = re.sub(r"\{\w+\}", "1", path)
        known = {
            name.upper()
            for template, others in document["paths"].items()
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), url)
            for name in others
        }
        assert {name.upper() for name in operations} <= known
        if "GET" in known:
            known.add("HEAD")
        for method in METHODS:
            if method in known:
                continue
            response = service.send(method, url)
            assert response.status_code == 405, (method, path)
            kind = "json" if path.startswith("/v2") else "problem+json"
            assert response.headers["content-type"] == f"application/{kind}"
            assert method == "HEAD" or response.json()["code"] == "METHOD_NOT_ALLOWED"
            assert set(response.headers["allow"].split(", ")) == known


def test_every_error_is_a_problem_document_or_one_of_the_protocol(
    document: dict[str, Any],
) -> None:
    problem = {"$ref": "#/components/schemas/ProblemDocument"}
    of_protocol = {"$ref": "#/components/schemas/InferenceError"}
    for path, operations in document["paths"].items():
        expected = {"application/problem+json": {"schema": problem}}
        if path.startswith("/v2"):
            expected = {"application/json": {"schema": of_protocol}}
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"] == expected, path
            assert "503" not in operation["responses"] or (
                "Retry-After" in operation["responses"]["503"]["headers"]
            )


def test_form_fields_are_never_null(document: dict[str, Any]) -> None:
    single = document["paths"][SINGLE]["post"]
    form = single["requestBody"]["content"]["multipart/form-data"]
    query = {one["name"]: one["schema"] for one in single["parameters"]}
    assert set(query) == set(form["schema"]["properties"]) - {"image"}
    for name, schema in query.items():
        assert schema["type"] == form["schema"]["properties"][name]["type"]
    assert form["encoding"]["image"]["contentType"] == "image/*"


def test_keys_are_documented_where_they_are_needed(
    document: dict[str, Any], tmp_path: Path
) -> None:
    assert "security" not in document
    with portal(tmp_path, keys=["k"]) as guarded:
        found = guarded.send("GET", "/openapi.json", {"X-API-Key": "k"}).json()
    assert found["security"] == [{"key": []}, {"bearer": []}]
    assert set(found["components"]["securitySchemes"]) == {"key", "bearer"}
    assert found["paths"]["/health/live"]["get"]["security"] == []
    assert "security" not in found["paths"][SINGLE]["post"]

"""Requests made from the OpenAPI document, and what it promises of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seed_of
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.serve.conftest import picture
from tests.serve.fuzz.portal import CLASSIFY, DETECT, Portal

SINGLE = "/inference/single"
_CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

_REFUSALS = ["400", "403", "404", "409", "413", "415", "422"]
"""Of what the document forbids; a field that is wrong may be too long, too, which is 413."""
_CONFIG = {"checks": {"negative_data_rejection": {"expected-statuses": _REFUSALS}}}


@dataclass(slots=True)
class Conformance:
    """Sends cases and holds the answers to the document.

    Attributes:
        portal: the application.
        schema: of its own document.
        answers: how often each operation answered with each status.
    """

    portal: Portal
    schema: Any
    answers: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, portal: Portal) -> Conformance:
        """For the document that the application publishes."""
        document = portal.send("GET", "/openapi.json").json()
        config = schemathesis.Config.from_dict(_CONFIG)
        return cls(portal, schemathesis.openapi.from_dict(document, config=config))

    def strategies(self) -> Iterator[tuple[str, Any]]:
        """Of each operation: cases that follow the document, and, where it asks for anything,
        cases that do not.
        """
        for found in self.schema.get_all_operations():
            operation = found.ok()
            yield f"{operation.label}, valid", operation.as_strategy(GenerationMode.POSITIVE)
            if operation.body or list(operation.iter_parameters()):
                yield f"{operation.label}, wrong", operation.as_strategy(GenerationMode.NEGATIVE)

    def run(self, strategy: Any, cases: int, seed: int = 0) -> None:
        """Check so many cases. Raises what is wrong with the first answer that is."""

        @seed_of(seed)
        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def each(case: Any) -> None:
            self.check(case)

        each()

    def check(self, case: Any) -> httpx.Response:
        """Send a case. Raises what is wrong with its answer."""
        useful = _useful(case, sum(self.answers.values()))
        sent = case.as_transport_kwargs(base_url="http://localhost")
        prepared = requests.Request(**sent).prepare()
        headers = {
            name: value.encode("latin-1") if isinstance(value, str) else value
            for name, value in prepared.headers.items()
        }
        answer = self.portal.send(prepared.method, prepared.url, headers, prepared.body or b"")
        self.answers[f"{case.operation.label} {answer.status_code}"] += 1
        assert answer.status_code != 500, answer.text
        # The check of rejections takes real bytes in the place of generated ones for a fault.
        left_out = [checks.negative_data_rejection] if useful else []
        case.validate_response(answer, checks=_CHECKS, excluded_checks=left_out)
        return answer


def _useful(case: Any, number: int) -> bool:
    """Give every other form that follows the document a real image and a model that there is.

    What is generated is hardly ever an image, and the id of a job hardly ever 1 or 2.
    """
    valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if not valid or case.path != SINGLE or not isinstance(case.body, dict) or number % 2:
        return False
    job = (DETECT, CLASSIFY)[number // 2 % 2]
    case.query = {}
    case.body = {**case.body, "image": picture(), "training_job_id": job, "checkpoint": "best"}
    return True

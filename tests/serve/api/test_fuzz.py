"""Damaged images and forms: no server errors, a code for each, and no memory leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serve.fuzz.images import MAX_DRIFT, attack, judge
from tests.serve.fuzz.mutations import seeds
from tests.serve.fuzz.portal import CLASSIFY, portal

REQUESTS = 500


def test_every_seed_is_read(tmp_path: Path) -> None:
    """Otherwise the damaged files would be rejected anyway."""
    with portal(tmp_path) as service:
        for data in seeds():
            response = service.call(service.service.single(data, CLASSIFY))
            assert response.status_code == 200, response.text


@pytest.mark.slow
def test_damaged_uploads_get_responses_and_leave_no_memory(tmp_path: Path) -> None:
    with portal(tmp_path) as service:
        outcome = attack(service, REQUESTS, seed=7)
        admission = service.service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)
    assert outcome.wrong == []
    assert outcome.drift < MAX_DRIFT
    kinds = set(outcome.responses)
    assert {"200", "422 TRUNCATED", "415 UNSUPPORTED", "400 MULTIPART", "413 PIXEL_LIMIT"} <= kinds


@pytest.mark.slow
def test_a_leak_of_uploads_is_detected(tmp_path: Path) -> None:
    """Control: the same check fails if every upload is kept."""
    with portal(tmp_path) as service:
        outcome = attack(service, REQUESTS, seed=8, leak=True)
    assert outcome.drift > MAX_DRIFT


def test_bad_responses_are_detected(tmp_path: Path) -> None:
    with portal(tmp_path) as service:
        found = service.send("GET", "/docs")
        assert judge(found) == ("200", "not JSON")
        assert judge(service.send("GET", "/health/live"))[1] == "a 200 without a prediction"
        service.service.backend.problem = RuntimeError("broken")
        broken = service.call(service.service.single(seeds()[0], CLASSIFY))
        assert judge(broken) == ("500 INTERNAL", "a server error")

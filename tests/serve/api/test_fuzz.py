"""Damaged images and forms: no fault of the server, a code each time, and no memory kept."""

from __future__ import annotations

from pathlib import Path

from tests.serve.fuzz.images import MAX_DRIFT, attack, judge
from tests.serve.fuzz.mutations import seeds
from tests.serve.fuzz.portal import CLASSIFY, portal

REQUESTS = 500


def test_every_seed_is_read(tmp_path: Path) -> None:
    """Else the damage would only be done to files that are refused anyway."""
    with portal(tmp_path) as service:
        for data in seeds():
            answer = service.call(service.service.single(data, CLASSIFY))
            assert answer.status_code == 200, answer.text


def test_damaged_uploads_are_answered_and_leave_nothing(tmp_path: Path) -> None:
    with portal(tmp_path) as service:
        outcome = attack(service, REQUESTS, seed=7)
        admission = service.service.state.admission
        assert (admission.running, admission.open, admission.buffered) == (0, 0, 0)
    assert outcome.wrong == []
    assert outcome.drift < MAX_DRIFT
    told = set(outcome.answers)
    assert {"200", "422 TRUNCATED", "415 UNSUPPORTED", "400 MULTIPART", "413 PIXEL_LIMIT"} <= told


def test_a_leak_of_uploads_would_be_seen(tmp_path: Path) -> None:
    """The control: the same check fails when every upload is kept."""
    with portal(tmp_path) as service:
        outcome = attack(service, REQUESTS, seed=8, leak=True)
    assert outcome.drift > MAX_DRIFT


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    with portal(tmp_path) as service:
        found = service.send("GET", "/docs")
        assert judge(found) == ("200", "not JSON")
        assert judge(service.send("GET", "/health/live"))[1] == "a 200 without a prediction"
        service.service.backend.problem = RuntimeError("broken")
        broken = service.call(service.service.single(seeds()[0], CLASSIFY))
        assert judge(broken) == ("500 INTERNAL", "a fault of the server")

"""Damaged images and multipart bodies against the endpoint, and what memory is left after them."""

from __future__ import annotations

import ctypes
import gc
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import psutil

from tests.serve.fuzz.mutations import BOUNDARY, form, mutated, plain_form, seeds
from tests.serve.fuzz.portal import CLASSIFY, DETECT, Portal

MAX_DRIFT = 100 * 2**20
"""Bytes by which the process may grow after it has warmed up."""
_HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
_WARM_UP = 0.1
_PHOTOGRAPH = 300_000


@dataclass(slots=True)
class Outcome:
    """What came back.

    Attributes:
        answers: how often each status and code was given.
        wrong: answers that must not be, with their requests.
        drift: bytes by which the process grew after the warm-up.
    """

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, bytes]] = field(default_factory=list)
    drift: int = 0


def attack(
    portal: Portal,
    requests: int,
    *,
    seed: int = 0,
    leak: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Send ``requests`` damaged uploads, one after the other.

    Args:
        portal: the application.
        requests: how many.
        seed: the same seed sends the same requests.
        leak: keep every upload in a list: the control, which must be seen in ``drift``.
        progress: told how many were sent.
    """
    rng, images = random.Random(seed), seeds()
    outcome, kept = Outcome(), list[bytes]()
    before = 0
    for number in range(requests):
        body = _body(rng, images)
        answer = portal.send("POST", "/inference/single", _HEADERS, body)
        told, wrong = judge(answer)
        outcome.answers[told] += 1
        if wrong:
            outcome.wrong.append((f"{wrong}: {answer.text[:300]}", body))
        if leak:
            # The size of a photograph: the seeds are too small to be missed in some hundred.
            kept.append(body + bytes(_PHOTOGRAPH))
        if number == int(requests * _WARM_UP):
            before = _memory()
        if number % 100 == 0:
            progress(number)
    outcome.drift = _memory() - before
    return outcome


def _body(rng: random.Random, images: list[bytes]) -> bytes:
    image = rng.choice(images)
    way = rng.random()
    if way < 0.6:
        return plain_form(mutated(rng, image, images), rng.choice((DETECT, CLASSIFY)))
    if way < 0.8:
        return form(rng, mutated(rng, image, images))
    return mutated(rng, form(rng, image), [form(rng, image)])


def judge(answer: httpx.Response) -> tuple[str, str | None]:
    """Status and code of an answer, and what is wrong with it, if anything."""
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.status_code}", "not JSON"
    if answer.status_code == 200:
        return "200", None if body.get("task_type") else "a 200 without a prediction"
    code = str(body.get("code"))
    told = f"{answer.status_code} {code}"
    if answer.headers["content-type"] != "application/problem+json" or not body.get("code"):
        return told, "not a problem document with a code"
    if answer.status_code >= 500 and code != "MODEL_NONFINITE":
        return told, "a fault of the server"
    return told, None


def _memory() -> int:
    """Bytes that this process holds, without those that its allocator keeps for the next image."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; elsewhere they count
    if trim is not None:
        trim(0)
    return int(psutil.Process().memory_info().rss)

"""Send damaged images and multipart bodies, and measure the memory that they leave behind."""

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
"""Maximum growth of the process after the warm-up, in bytes."""
_HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
_WARM_UP = 0.1
_PHOTOGRAPH = 300_000


@dataclass(slots=True)
class Outcome:
    """Outcome of an attack.

    Attributes:
        responses: number of responses by status and code.
        wrong: reason and request of each response that must not happen.
        drift: growth of the process after the warm-up, in bytes.
    """

    responses: Counter[str] = field(default_factory=Counter)
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
    """Send damaged uploads, one after the other.

    Args:
        portal: the application.
        requests: number of uploads.
        seed: the same seed sends the same requests.
        leak: keep every upload in a list; a control, which ``drift`` must detect.
        progress: called with the number of uploads sent.
    """
    rng, images = random.Random(seed), seeds()
    outcome, kept = Outcome(), list[bytes]()
    before = 0
    for number in range(requests):
        body = _body(rng, images)
        response = portal.send("POST", "/inference/single", _HEADERS, body)
        kind, fault = judge(response)
        outcome.responses[kind] += 1
        if fault:
            outcome.wrong.append((f"{fault}: {response.text[:300]}", body))
        if leak:
            # Padded to the size of a photograph: a few hundred seeds alone would not be noticed.
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


def judge(response: httpx.Response) -> tuple[str, str | None]:
    """Return the status and code of a response, and its fault, if any."""
    try:
        body = response.json()
    except ValueError:
        return f"{response.status_code}", "not JSON"
    if response.status_code == 200:
        return "200", None if body.get("task_type") else "a 200 without a prediction"
    code = str(body.get("code"))
    kind = f"{response.status_code} {code}"
    if response.headers["content-type"] != "application/problem+json" or not body.get("code"):
        return kind, "not a problem document with a code"
    if response.status_code >= 500 and code != "MODEL_NONFINITE":
        return kind, "a server error"
    return kind, None


def _memory() -> int:
    """Return the memory of this process, without what its allocator keeps for reuse, in bytes."""
    gc.collect()
    trim = getattr(
        ctypes.CDLL(None), "malloc_trim", None
    )  # glibc only; elsewhere that memory is counted
    if trim is not None:
        trim(0)
    return int(psutil.Process().memory_info().rss)

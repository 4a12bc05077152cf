"""What to tell people about a test run or an inference job: its name, and which command is next."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.store.kinds import INFERENCE_JOB, TEST_RUN


@dataclass(frozen=True, slots=True)
class Wording:
    """Words for a kind of run.

    Attributes:
        noun: what it is called.
        resume: the command that goes on with it.
        failures: the command that lists its failed images.
        done: what was done to its images.
    """

    noun: str
    resume: str
    failures: str
    done: str


_WORDS = {
    TEST_RUN: Wording("run", "snellen resume {}", "snellen images {} --status failed", "scored"),
    INFERENCE_JOB: Wording(
        "inference job",
        "snellen predict --resume {}",
        "snellen predictions {} --status failed",
        "predicted",
    ),
}


def words_of(kind: str) -> Wording:
    """The words for ``test_run`` or ``inference_job``."""
    return _WORDS[kind]

"""Four writers at once: nothing is lost, and no database error reaches a caller."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from snellen.store.datasets import list_datasets
from snellen.store.runs import list_test_runs
from snellen.store.service.job_queue import queued_jobs
from snellen.store.service.reviews import list_reviews
from snellen.store.sql.database import Database
from snellen.store.tags import all_tags
from tests.store.conftest import make_job

ROOT = Path(__file__).parents[3]
WRITERS, EACH = 4, 25
CODE = """
import sys
from snellen.store.datasets import add_dataset
from snellen.store.service.job_claims import claim_job, end_claim
from snellen.store.service.job_queue import enqueue
from snellen.store.service.reviews import add_review
from snellen.store.sql.database import Database
from snellen.store.tags import set_tag
from tests.store.conftest import make_run

db, job, writer, each = Database.open(sys.argv[1]), *map(int, sys.argv[2:])
taken = 0
for number in range(each):
    run = make_run(db, job, name=f"{writer}-{number}")
    set_tag(db, "test_run", run, "newest")
    set_tag(db, "test_run", run, f"tag-{writer}-{number}")
    add_dataset(db, f"set-{writer}-{number}", {"path": "/data"})
    review = {"dataset": "d", "image_id": "i", "kind": "image", "status": "unclear"}
    add_review(db, review)
    enqueue(db, "test_run", run)
    claimed = claim_job(db, ("test_run",))
    if claimed is not None:
        taken += 1
        end_claim(db, claimed)
print(taken)
"""


@pytest.mark.slow
def test_four_writers_at_once_lose_nothing(db: Database, url: str) -> None:
    job = make_job(db)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, url, str(job), str(writer), str(EACH)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for writer in range(WRITERS)
    ]
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0] * WRITERS, outputs
    total = WRITERS * EACH
    assert len(list_test_runs(db, limit=1000)) == total
    assert len(list_datasets(db)) == total
    assert list_reviews(db, {}, limit=1, offset=0)[0] == total
    names = [name for name, _ in all_tags(db, "test_run")]
    assert len(names) == len(set(names)) == total + 1
    taken = sum(int(out) for out, _ in outputs)
    assert taken + len(queued_jobs(db, "test_run")) == total

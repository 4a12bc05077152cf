"""Tags point to one run each, can be moved, and work in the place of a name."""

from __future__ import annotations

import pytest

from snellen.adapters.errors import InputError
from snellen.store.kinds import INFERENCE_JOB, TEST_RUN
from snellen.store.runs import delete_run, get_test_run
from snellen.store.sql.database import Database
from snellen.store.tags import remove_tag, set_tag, tags_of
from tests.store.conftest import make_run


def test_a_tag_names_a_run_and_is_moved(db: Database, job_id: int) -> None:
    first, second = (make_run(db, job_id) for _ in range(2))
    assert set_tag(db, TEST_RUN, first, "baseline") is None
    assert get_test_run(db, "baseline").id == first
    assert set_tag(db, TEST_RUN, second, "baseline") == first
    assert get_test_run(db, "baseline").id == second
    assert tags_of(db, TEST_RUN, [first, second]) == {second: ["baseline"]}


def test_a_tag_wins_over_the_name_of_another_run(db: Database, job_id: int) -> None:
    tagged = make_run(db, job_id)
    make_run(db, job_id, name="baseline")
    set_tag(db, TEST_RUN, tagged, "baseline")
    assert get_test_run(db, "baseline").id == tagged


def test_kinds_of_runs_have_their_own_tags(db: Database, job_id: int) -> None:
    run = make_run(db, job_id)
    set_tag(db, TEST_RUN, run, "nightly")
    set_tag(db, INFERENCE_JOB, 7, "nightly")
    assert tags_of(db, INFERENCE_JOB, [7]) == {7: ["nightly"]}
    assert get_test_run(db, "nightly").id == run


def test_a_removed_or_deleted_tag_is_gone(db: Database, job_id: int) -> None:
    run = make_run(db, job_id)
    set_tag(db, TEST_RUN, run, "a")
    set_tag(db, TEST_RUN, run, "b")
    assert remove_tag(db, TEST_RUN, "a") == run
    with pytest.raises(InputError, match=r"there is no tag 'a'\. Expected one of b") as caught:
        remove_tag(db, TEST_RUN, "a")
    assert caught.value.code == "TAG_NOT_FOUND"
    delete_run(db, run)
    assert tags_of(db, TEST_RUN, [run]) == {}


@pytest.mark.parametrize("name", ["", " ", "latest", "12", "job@best"])
def test_a_name_that_means_something_else_is_no_tag(db: Database, job_id: int, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a tag") as caught:
        set_tag(db, TEST_RUN, make_run(db, job_id), name)
    assert caught.value.code == "TAG_NAME"

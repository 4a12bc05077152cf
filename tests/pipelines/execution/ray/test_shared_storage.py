"""Storage that is not shared is refused before the run, with node, path and advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.pipelines.execution.ray.shared_storage import ProbeAnswer, answer_probe, check_answers


def forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def refused(folder: Path, token: str, answer: ProbeAnswer) -> str:
    with pytest.raises(InputError) as caught:
        check_answers(folder, [(token, answer)], forget=forget)
    assert caught.value.code == "STORAGE_NOT_SHARED"
    return caught.value.message


def test_shared_storage_passes_and_leaves_nothing(tmp_path: Path) -> None:
    answer = answer_probe(str(tmp_path), "t1", [tmp_path])
    assert (answer.unseen, answer.error) == ((), None)
    check_answers(tmp_path, [("t1", answer)], forget=forget)
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_writes_to_a_disk_of_its_own(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    answer = answer_probe(str(theirs), "t1", [])
    message = refused(ours, "t1", answer)
    assert message.startswith(f"output.dir: node {answer.node} cannot write to '{ours}'")
    assert "its file did not appear here" in message
    assert "Set output.dir to a folder on storage that every node mounts" in message


def test_a_node_that_cannot_write(tmp_path: Path) -> None:
    answer = answer_probe(str(tmp_path / "none"), "t1", [])
    assert "(No such file or directory)" in refused(tmp_path, "t1", answer)


def test_a_node_that_does_not_see_the_data(tmp_path: Path) -> None:
    answer = answer_probe(str(tmp_path), "t1", [tmp_path, Path("/not/there")])
    message = refused(tmp_path, "t1", answer)
    assert message.startswith(f"node {answer.node} does not see /not/there. Checkpoint, dataset")


def test_a_stale_file_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / ".probe-t1").write_text("something else")
    assert "did not appear" in refused(tmp_path, "t1", ProbeAnswer("node", (), None))

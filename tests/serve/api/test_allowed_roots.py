"""Paths over HTTP stay inside the configured roots, whatever links they contain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snellen.adapters.errors import InputError
from snellen.serve.api.allowed_roots import check_links, resolve_inside
from snellen.serve.api.problems import Problem


def test_paths_stay_inside_the_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in" / "job", tmp_path / "out"
    inside.mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "in" / "link").symlink_to(outside)
    (tmp_path / "in" / "cycle").symlink_to(tmp_path / "in" / "cycle")
    root = str(tmp_path / "in")
    assert resolve_inside("job", [root]) == inside
    assert resolve_inside(str(inside), ["/nowhere", root]) == inside
    assert resolve_inside("job/../job", [root]) == inside
    for text in ("../out", str(outside), "link", "/etc", f"{root}ide", "cycle"):
        with pytest.raises(Problem) as caught:
            resolve_inside(text, [root])
        assert (caught.value.status, caught.value.code) == (403, "PATH_FORBIDDEN"), text
        assert str(tmp_path) not in caught.value.detail
    for text in ("none", "x" * 5000):
        with pytest.raises(Problem) as missing:
            resolve_inside(text, [root])
        assert missing.value.status == 404
    with pytest.raises(Problem, match="no roots configured"):
        resolve_inside("job", [])
    with pytest.raises(InputError) as rejected:
        resolve_inside("hf-hub:some/model", [root])
    assert rejected.value.code == "REMOTE_REFUSED"
    assert os.sep in root


@pytest.mark.parametrize("place", ["last.pth.tar", "weights", "weights/best.pt", "checkpoints/a"])
def test_links_of_a_run_directory_stay_inside_the_roots(place: str, tmp_path: Path) -> None:
    root, other, outside = tmp_path / "in", tmp_path / "in" / "other", tmp_path / "out"
    for folder in (other, outside, (root / "job" / place).parent):
        folder.mkdir(parents=True, exist_ok=True)
    roots = [str(root)]
    check_links(root / "job", roots)
    (root / "job" / place).symlink_to(other)
    check_links(root / "job", roots)
    (root / "job" / place).unlink()
    (root / "job" / place).symlink_to(outside)
    with pytest.raises(Problem) as caught:
        check_links(root / "job", roots)
    assert (caught.value.status, caught.value.code) == (403, "PATH_FORBIDDEN")

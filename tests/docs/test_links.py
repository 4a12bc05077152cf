"""Links of pages, which lead to places in the site."""

from __future__ import annotations

import pytest

from docs.site.links import linked_files, rewrite, target


@pytest.mark.parametrize(
    ("uri", "link", "place"),
    [
        ("runs.md", "gate.md#rules", "gate.md#rules"),
        ("tutorials/serve-it.md", "../../README.md#install", "../overview.md#install"),
        ("contributing.md", "docs/runs.md", "runs.md"),
        ("overview.md", "docs/tutorials/cluster.md", "tutorials/cluster.md"),
        ("decisions/0001.md", "../../configs/full.yaml", "../files/configs/full.yaml"),
    ],
)
def test_a_link_leads_to_the_place_in_the_site(uri: str, link: str, place: str) -> None:
    assert rewrite(f"See [it]({link}), or [x](https://x.org).", uri) == (
        f"See [it]({place}), or [x](https://x.org)."
    )


def test_pictures_and_code() -> None:
    page = '<img src="docs/images/a.png">\n```python\nx["a"](README.md)\n```\n'
    assert rewrite(page, "overview.md") == page.replace("docs/images", "images")


def test_files_of_the_repository_become_part_of_the_site() -> None:
    page = "[a](../Dockerfile) [b](runs.md) [c](../README.md)"
    assert linked_files(page, "checkpoints.md") == {"Dockerfile"}


def test_a_file_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError, match=r"configs/none\.yaml"):
        target("configs/none.yaml")

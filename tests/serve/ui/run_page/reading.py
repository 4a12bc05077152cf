"""Reads pages as a person does: numbers, links, tiles."""

from __future__ import annotations

import html
import re

from tests.serve.local_service import Service


async def read(service: Service, path: str) -> str:
    response = await service.client.get(path)
    assert response.status_code == 200, response.text[:300]
    return response.text


def tiles(page: str) -> list[int]:
    """Return the indices of the images in the grid."""
    grid = page.split('class="tiles', 1)
    if len(grid) == 1:
        return []
    found = re.findall(r'class="tile" href="/runs/\d+/images/(\d+)', grid[1])
    return [int(number) for number in found]


def total(page: str) -> int:
    """Return the number of images or objects on all pages of the grid."""
    found = re.search(r'class="faint">(?:images|objects) [\d,]+–[\d,]+ of ([\d,]+)', page)
    return int(found[1].replace(",", "")) if found else 0


def links(section: str) -> list[tuple[str, str]]:
    """Return address and text of the links of a part of a page."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', section, re.DOTALL)
    return [(html.unescape(href), re.sub(r"<[^>]*>", "", text).strip()) for href, text in found]


def section(page: str, name: str) -> str:
    """Return a section of a page by its id."""
    found = re.search(rf'<section [^>]*id="{name}".*?</section>', page, re.DOTALL)
    assert found is not None, name
    return found[0]

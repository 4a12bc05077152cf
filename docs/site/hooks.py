"""Hooks of mkdocs: add the generated pages, and the files that pages link to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # mkdocs runs this file, not its package

from mkdocs.structure.files import File

from docs.site.codes import codes_page
from docs.site.links import FILES, PAGES, ROOT, linked_files, rewrite
from docs.site.routes import routes_page
from docs.site.tables import columns_page, commands_page, configuration_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def python_page() -> str:
    """Return the page of the Python API, which mkdocstrings fills from the docstrings."""
    import snellen

    lines = ["# Python API", "", "*Reference, generated from the docstrings.*", ""]
    for module, names in snellen._MODULES.items():
        for name in names:
            lines += [f"## snellen.{name}", "", f"::: {module}.{name}", ""]
    return "\n".join(lines)


GENERATED: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/columns.md": columns_page,
    "reference/error-codes.md": codes_page,
    "reference/routes.md": routes_page,
    "reference/python.md": python_page,
    "reference/evaluate-keys.md": partial(configuration_page, "evaluate"),
    "reference/predict-keys.md": partial(configuration_page, "predict"),
    "reference/serve-keys.md": partial(configuration_page, "serve"),
}
"""Pages that are made when the site is built, and the functions that return their text."""


def on_config(config: MkDocsConfig, **_: Any) -> None:
    """Append the decision pages to the navigation, in the order of their numbers."""
    for section in config.nav or ():
        for entry in section.get("Explanation", ()) if isinstance(section, dict) else ():
            if isinstance(entry, dict) and "Decisions" in entry:
                pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
                entry["Decisions"] += [f"decisions/{page.name}" for page in pages]


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add generated pages, pages at the top of the repository, and linked files."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text()))
    linked = set()
    for file in files.documentation_pages():
        linked |= linked_files(file.content_string, file.src_uri)
    for path in sorted(linked):
        place = f"{FILES}/{path}"
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    for uri, make in GENERATED.items():
        files.append(File.generated(config, uri, content=make()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let the links of a page lead to places in the site."""
    if page.file.src_uri in GENERATED:
        return markdown
    return rewrite(markdown, page.file.src_uri)

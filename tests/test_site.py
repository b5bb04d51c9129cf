"""The site of the documentation: every page in its order, and links that hold after pages have moved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.site import DOCS, PAGES, dead_links, main, write_sources

ROOT = Path(__file__).parents[1]
SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def pages(entries: list[Any]) -> list[str]:
    """Pages of the navigation, in its order."""
    found = []
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += pages(value) if isinstance(value, list) else [value]
    return found


def test_the_site_has_every_page_once() -> None:
    named = pages(SITE["nav"])
    assert sorted(named) == sorted([*(path.name for path in DOCS.glob("*.md")), *PAGES])
    assert [next(iter(entry)) for entry in SITE["nav"]] == [
        *("Home", "Tutorial", "How-to guides", "Reference", "Explanation", "Project"),
    ]


def test_links_lead_somewhere_where_the_pages_are_built(tmp_path: Path) -> None:
    write_sources(tmp_path)
    for page in sorted((tmp_path / "docs").glob("*.md")):
        links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        local = [link for link in links if not re.match(r"[a-z]+:", link)]
        assert [link for link in local if not (page.parent / link).exists()] == [], page.name


def test_a_link_to_a_file_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#c"></a><a href="gone.toml"></a><img src="https://x.org/y.png">')
    (tmp_path / "b.html").write_text('<a href="a.html"></a>')
    assert dead_links(tmp_path) == [("a.html", "gone.toml")]


@pytest.mark.slow
@pytest.mark.extras
def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    assert main(str(tmp_path / "site")) == 0
    assert (tmp_path / "site" / "recipes.html").exists()

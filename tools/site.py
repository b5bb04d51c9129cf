"""Builds the documentation as a site, and checks all its links: `python -m tools.site FOLDER`.

The site has the pages of docs/ and the files beside docs/ that they link to, in the order of mkdocs.yml. `zensical
build --strict` fails on links to missing pages and headings; this module checks links to other files.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Pages beside docs/ in the repository.
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(\]\()([^)#\s]+)([^)]*\))")


def main(folder: str) -> int:
    """Builds the site into a folder and returns the exit code."""
    with tempfile.TemporaryDirectory() as work:
        write_sources(Path(work))
        built = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=work, check=False)
        if built.returncode:
            return built.returncode
        missing = dead_links(Path(work, "site"))
        for page, target in missing:
            print(f"{page}: {target} does not exist", file=sys.stderr)
        if missing:
            return 1
        shutil.copytree(Path(work, "site"), folder, dirs_exist_ok=True)
    return 0


def write_sources(work: Path) -> None:
    """Writes mkdocs.yml, docs/ and the files that it links to, and adapts the links."""
    shutil.copytree(DOCS, work / "docs")
    shutil.copy(ROOT / "mkdocs.yml", work)
    for name in PAGES:
        shutil.copy(ROOT / name, work / "docs")
    for page in sorted((work / "docs").glob("*.md")):
        here = ROOT if page.name in PAGES else DOCS
        page.write_text(_LINK.sub(lambda link, here=here: _moved(link, here, work / "docs"), page.read_text()))


def _moved(link: re.Match[str], here: Path, docs: Path) -> str:
    """A link relative to docs/; copies its target there if needed."""
    if urlsplit(link[2]).scheme:
        return link[0]
    target = (here / link[2]).resolve()
    if not target.exists() or not target.is_relative_to(ROOT):
        return link[0]
    if target.is_relative_to(DOCS):
        return f"{link[1]}{target.relative_to(DOCS)}{link[3]}"
    inside = target.relative_to(ROOT)
    if target.is_dir():
        return link[0]
    copy = docs / inside
    if str(inside) not in PAGES and not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, copy)
    return f"{link[1]}{inside}{link[3]}"


class _Links(HTMLParser):
    """Collects the addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


def dead_links(site: Path) -> list[tuple[str, str]]:
    """Pairs of a page and the missing file that it links to."""
    dead = []
    for page in sorted(site.rglob("*.html")):
        links = _Links()
        links.feed(page.read_text(encoding="utf-8"))
        for link in sorted(links.found):
            parts = urlsplit(link)
            if page.name == "404.html" or parts.scheme or parts.netloc or not parts.path:
                continue
            if not (page.parent / unquote(parts.path)).exists():
                dead.append((str(page.relative_to(site)), link))
    return dead


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

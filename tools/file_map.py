"""Writes the map of the files, `docs/files.md`, from the first paragraph of every module's docstring.

python -m tools.file_map            writes the map
python -m tools.file_map --check    writes nothing; exit code 1 if the map is out of date
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "files.md"
BEGIN, END = "<!-- files -->", "<!-- /files -->"
#: Folders in the order in which an image passes them; the files of a folder are sorted by name.
ROOMS = (
    *("cli", "cam_cli", "cam_cli/images", "cam_cli/images/annotations", "cam_cli/models", "cam_cli/models/libraries"),
    *("cam_cli/models/hf", "cam_cli/models/open_clip"),
    *("cam_cli/cams/target_layer", "cam_cli/cams/tracing", "cam_cli/cams/methods", "cam_cli/cams/engine"),
    *(
        "cam_cli/maps",
        "cam_cli/features",
        "cam_cli/faithfulness",
        "cam_cli/text",
        "cam_cli/outputs",
        "cam_cli/pipeline",
        "cam_cli/distributed",
    ),
    *("cam_cli/training", "cam_cli/report", "cam_cli/tracking", "cam_cli/statistics", "cam_cli/gates"),
    *(
        "cam_cli/audit",
        "cam_cli/compare",
        "cam_cli/patterns",
        "cam_cli/evaluation",
        "cam_cli/export",
        "cam_cli/demo",
        "tools",
    ),
)


def purpose(path: Path) -> str:
    """The first paragraph of a module's docstring, as one line."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return first.replace("|", "\\|")


def rooms() -> list[str]:
    """The folders of the map that exist. Raises `SystemExit` for a folder with modules that the map lacks."""
    found = {
        str(path.parent.relative_to(ROOT)) for top in ("cli", "cam_cli", "tools") for path in (ROOT / top).rglob("*.py")
    }
    if missing := sorted(found - set(ROOMS) - {"cam_cli/cams"}):
        raise SystemExit(f"tools/file_map.py has no place for {', '.join(missing)}: add it to ROOMS.")
    return [room for room in ROOMS if room in found]


def file_map() -> str:
    """The map as Markdown: a table of the folders, and for each folder a heading with a line per file."""
    table, lines = ["| room | files | |", "|---|---|---|"], []
    for room in rooms():
        folder = ROOT / room
        init = folder / "__init__.py"
        about = purpose(init) if init.exists() else "Scripts around the package."
        files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        table.append(f"| [`{room}/`](#{room.replace('/', '')}) | {len(files)} | {about} |")
        lines += [f"## `{room}/`", "", about, "", "| file | |", "|---|---|"]
        lines += [*(f"| `{path.stem}` | {purpose(path)} |" for path in files), ""]
    return "\n".join([*table, "", *lines])


def rendered(page: str) -> str:
    """The page with a new map between its marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{file_map()}{END}", page)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    before = PAGE.read_text("utf-8")
    now = rendered(before)
    if check and now != before:
        print("docs/files.md is out of date. Run `python -m tools.file_map`.", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(now, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

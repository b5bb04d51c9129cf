"""`docs/process.md` names every file that changes a setting of the whole process."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "process.md").read_text("utf-8")
#: Statements that change the state of the whole process.
SETTINGS = re.compile(
    r"signal\.signal\(|SetAsyncExc|mallopt|prctl|setrlimit|os\._exit\(|os\.dup2\(|memfd_create|F_SETPIPE_SZ"
    r"|gc\.(freeze|disable)\(|set_num_threads\(|torch\.manual_seed\(|empty_cache\(|MAX_IMAGE_PIXELS ="
    r"|sys\.modules\[.*\] =|os\.environ(\[.*\] =|\.setdefault|\.pop)|HF_HUB_OFFLINE =|\.setLevel\("
    r"|warnings\.(simplefilter|filterwarnings)|start_new_session|subprocess\.Popen\(|sys\.std(in|out|err) ="
)


def changes(source: str) -> bool:
    return any(SETTINGS.search(line.partition("#")[0]) for line in source.splitlines())


def test_every_file_that_changes_the_process_stands_on_the_page() -> None:
    names = [
        path.relative_to(start).as_posix()
        for folder, start in (("cam_cli", ROOT / "cam_cli"), ("cli", ROOT))
        for path in sorted((ROOT / folder).rglob("*.py"))
        if changes(path.read_text("utf-8"))
    ]
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_file_on_the_page_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)\b", PAGE))
    assert named
    assert [n for n in sorted(named) if not (ROOT / "cam_cli" / n).exists() and not (ROOT / n).exists()] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('os.environ["A"] = "1"', True),
        ('value = os.environ["A"]', False),
        ("signal.signal(number, handler)", True),
        ("# gc.freeze() would help", False),
        ("warnings.simplefilter('ignore')", True),
    ],
)
def test_what_counts_as_a_change(line: str, expected: bool) -> None:
    assert changes(line) is expected

"""Files of a run folder are opened only below it, and only by its reader."""

from __future__ import annotations

import ast
import os
import re
import threading
from pathlib import Path

import pytest
from PIL import Image

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.outputs.folder import locked_folder
from cam_cli.outputs.run_folder import RunFolder

from .damaged import EPS, row
from .run_folder_support import ROOT, run  # noqa: F401 - fixtures are found by their names

OUTSIDE = ["../private.png", "overlays/../../private.png", "/etc/passwd", "overlays/../overlays/a.jpg.png", "", ".", "overlays", "overlays//a.jpg.png", "a\0b"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_not_followed(name: str, run: RunFolder) -> None:
    assert not run.has(name)
    assert not run.has_picture(name)
    with pytest.raises(UnreadableImage, match="the run has no file"):
        run.read_file(name)
    if name not in ("overlays",):
        with pytest.raises(CamxError, match="lies outside the folder. camx does not read it"):
            run.file(name)


def test_links_are_not_followed(run: RunFolder, tmp_path: Path) -> None:
    out = Path(run.path)
    assert run.has_picture("overlays/a.jpg.png")
    (out / "overlays" / "link.png").symlink_to(tmp_path / "private.png")
    (out / "heatmaps").symlink_to(tmp_path)
    (out / "arrays").symlink_to(out / "overlays")
    for name in ("overlays/link.png", "heatmaps/private.png", "arrays/a.jpg.png"):
        assert (out / name).exists()
        assert not run.has(name), name
    (tmp_path / "other").symlink_to(out)
    assert RunFolder.read(str(tmp_path / "other")).has_picture("overlays/a.jpg.png"), "the folder itself may be one"


def test_pipes_and_devices_are_not_waited_for(run: RunFolder) -> None:
    out = Path(run.path)
    os.mkfifo(out / "overlays" / "pipe.png")
    assert not run.has("overlays/pipe.png")
    for name in ("manifest.jsonl", "run.json"):
        (out / name).unlink()
        os.mkfifo(out / name)
        with pytest.raises(CamxError, match="cannot be read: it is a (pipe|device|socket)"):
            list(RunFolder.read(str(out)).rows())
    (out / "run.json").unlink()
    (out / "metrics.csv").unlink(missing_ok=True)
    os.mkfifo(out / "metrics.csv")
    with pytest.raises(CamxError):
        RunFolder.read(str(out))


@pytest.mark.parametrize("data", [EPS, b"", b"no picture", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_only_images_that_camx_writes_are_opened(data: bytes, run: RunFolder) -> None:
    (Path(run.path) / "overlays" / "x.png").write_bytes(data)
    assert run.has("overlays/x.png")
    assert not run.has_picture("overlays/x.png")
    Image.new("RGB", (8, 8)).save(Path(run.path) / "overlays" / "y.png", "TIFF")
    with pytest.raises(UnreadableImage, match="camx writes no TIFF"), run.picture("overlays/y.png"):
        pass


def test_a_bomb_is_refused_at_its_header(run: RunFolder) -> None:
    plain = (Path(run.path) / "overlays" / "a.jpg.png").read_bytes()
    header = bytearray(plain)
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (Path(run.path) / "overlays" / "bomb.png").write_bytes(bytes(header))
    with pytest.raises(UnreadableImage, match="limit"), run.picture("overlays/bomb.png"):
        pass


def test_reading_changes_nothing(run: RunFolder) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in Path(run.path).rglob("*")}

    before = state()
    fresh = RunFolder.read(run.path)
    assert list(fresh.rows()), fresh.complete
    assert state() == before


def test_a_run_is_read_while_it_writes(tmp_path: Path) -> None:
    """Rows arrive whole in any interleaving of reader and writer."""
    stop, seen = threading.Event(), 0
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"command": "explain"})

        def write() -> None:
            for number in range(200):
                folder.append([row(f"{number}.jpg", index=number)])
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not stop.is_set():
            run = RunFolder.read(str(tmp_path))
            found = list(run.rows())
            assert run.damaged == 0
            assert [one["index"] for one in found] == list(range(len(found)))
            assert len(found) >= seen
            seen = len(found)
        writer.join()
    assert len(list(RunFolder.read(str(tmp_path)).rows())) == 200


_FILES = re.compile(r"\b(RECORD|JOURNAL|METRICS|MANIFEST)\b|run\.json|manifest\.jsonl|metrics\.csv")


_PARSERS = re.compile(r"json\.loads?\(|csv\.(reader|DictReader)\(|\bopen\(|\.read_text\(")


_OF_THE_READER = re.compile(r"\b(Journal\.|parse_json|parse_row|read_record|read_metrics)\b")


def second_readers(text: str) -> list[str]:
    """Functions of a module that parse a file of a run themselves, or use private parts of its reader."""
    if not (_FILES.search(text) or _OF_THE_READER.search(text)):
        return []
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    sources = {node.name: ast.get_source_segment(text, node) or "" for node in functions}
    return [
        name
        for name, source in sources.items()
        if (_FILES.search(source) and _PARSERS.search(source)) or _OF_THE_READER.search(source)
    ]


def test_nothing_else_reads_what_a_run_leaves() -> None:
    for path in [*(ROOT / "cam_cli").rglob("*.py"), *(ROOT / "cli").glob("*.py")]:
        if path.parent.name != "outputs":
            assert second_readers(path.read_text()) == [], path


@pytest.mark.parametrize(
    "line",
    ["json.load(open(RECORD))", "json.loads(Path(out, 'run.json').read_text())", "csv.DictReader(METRICS)", "Journal.read(x)", "parse_row(x)"],
)  # fmt: skip
def test_a_second_reader_is_seen(line: str) -> None:
    assert second_readers(f"def read(x):\n    return {line}\n") == ["read"]

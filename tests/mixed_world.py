"""A folder with all inputs and outputs of the commands, and checks that hold after any command and fault."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cam_cli.images.remote import filesystem

from .conftest import TINY, picture
from .hostile_names import OF_FILES
from .run_folders import csv_file

CANARY = b"nothing but this"
#: Places that commands write to; everything else in the folder must not change.
WRITTEN = ("out", "parts", "cache", "gates.xml", "stream1", "stream2")
EXPLAIN = (
    "explain", "in", "in/t.tar", *TINY, "--model-arg", "num_classes=3", "--class-names", "names.txt",
    "--labels", "folder", "-j", "1", "-b", "4", "--max-failures", "100%", "--size", "48",
)  # fmt: skip
SAVED = ("--save", "overlay,array,spots")
#: Commands by their names, with `{remote}` for the address of a folder in an object store.
COMMANDS: dict[str, tuple[str, ...]] = {
    "explain": (*EXPLAIN, *SAVED, "-o", "out", "--verify"),
    "shard 1": (*EXPLAIN, "-o", "parts", "--shard", "1/2"),
    "shard 2": (*EXPLAIN, "-o", "parts", "--shard", "2/2"),
    "merge": ("merge", "parts"),
    "report": ("report", "out"),
    "audit": ("audit", "out", "--by", "class", "--partial", "--junit", "gates.xml"),
    "export": ("export", "out", "--format", "coco,yolo,csv", "--partial"),
    "evaluate": ("evaluate", "out", "--truth", "boxes.csv", "--partial"),
    "patterns": ("patterns", "out", "--partial"),
    "compare": ("compare", "before", "out", "--partial"),
    "push": ("push", "out", "--tensorboard"),
    "push to W&B": ("push", "out", "--wandb", "--wandb-mode", "offline"),
    "remote": (*EXPLAIN, "-o", "{remote}"),
}


@dataclass
class World:
    """The folder `path`. truth: the status of each image, with class and probability if it is explained."""

    path: Path
    remote: str
    truth: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    outside: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def made(cls, path: Path, remote: str, draw: random.Random) -> World:
        """Creates images of three classes with names of all kinds, broken images, a tar file with hostile names, and
        truth."""
        path.mkdir()
        data = io.BytesIO()
        picture(seed=1).save(data, "png")
        for place, kind in enumerate(("cat", "dog", "owl")):
            (path / "in" / kind).mkdir(parents=True)
            picture(seed=10 + place).save(path / "in" / kind / "plain.png")
            name = "".join(draw.choice(OF_FILES) for _ in range(2))
            name = os.fsdecode(os.fsencode(name.replace("/", ""))[:200]) + ".png"
            (path / "in" / kind / name).write_bytes(data.getvalue())
        (path / "in" / "cat" / "broken.png").write_bytes(data.getvalue()[:90])
        with tarfile.open(path / "in" / "t.tar", "w") as tar:
            for name in ("../../up.png", "/abs.png", "a/../b.png", "ok.png"):
                member = tarfile.TarInfo(name)
                member.size = len(data.getvalue())
                tar.addfile(member, io.BytesIO(data.getvalue()))
        (path / "names.txt").write_text("cat\ndog\nowl\n")
        csv_file(
            path / "boxes.csv",
            [["image", "class", "left", "top", "right", "bottom"], ["in/cat/plain.png", "cat", 5, 5, 30, 30]],
        )
        (path.parent / "canary").write_bytes(CANARY)
        return cls(path, remote)

    def command(self, name: str) -> list[str]:
        return [word.format(remote=self.remote) for word in COMMANDS[name]]

    def settled(self) -> None:
        """Stores the right results, after undisturbed runs."""
        self.truth = {key: _told(row) for key, row in rows(self.path / "out").items()}
        assert {status for status, _, _ in self.truth.values()} == {"ok", "failed"}
        assert len(self.truth) == 11
        shutil.copytree(self.path / "out", self.path / "before")
        self.outside = self._outside()

    def check(self, context: str, *, damaged: bool) -> None:
        """Fails unless all rows are true, nothing outside has changed and, in folders without damage, all files are
        whole."""
        assert self._outside() == self.outside, context
        for out in ("out", "parts", "parts/parts/1-of-2", "parts/parts/2-of-2"):
            for key, row in rows(self.path / out).items():
                told = _told(row)
                if damaged and (key not in self.truth or told != self.truth[key]):
                    continue  # the damage itself
                assert key in self.truth, (context, out, key)
                assert told[:2] == self.truth[key][:2], (context, out, row)
                assert abs(told[2] - self.truth[key][2]) < 1e-4, (context, out, row)
                if not damaged:
                    self._check_files(context, self.path / out.partition("/")[0], row)

    def check_whole(self, context: str, out: str) -> None:
        """Fails unless the folder `out` (the remote one for "") has a true row of every image and whole files."""
        folder = self.path / (out or "fetched")
        if not out:
            there = filesystem(self.remote)
            there.invalidate_cache()
            there.get(self.remote, str(folder), recursive=True)
        found = rows(folder)
        assert {key: _told(row)[:2] for key, row in found.items()} == {
            key: told[:2] for key, told in self.truth.items()
        }, context
        assert json.loads((folder / "run.json").read_text())["state"] == "finished", context
        with (folder / "predictions.csv").open(newline="", encoding="utf-8", errors="backslashreplace") as table:
            assert len(list(csv.DictReader(table))) == len(found), context
        for row in found.values():
            self._check_files(context, folder, row)
        if not out:
            shutil.rmtree(folder)
        self.check(context, damaged=False)

    def _check_files(self, context: str, folder: Path, row: Mapping[str, Any]) -> None:
        for name, file in row.get("files", {}).items():
            there = (folder / name).read_bytes()
            assert {"bytes": len(there), "crc32": f"{zlib.crc32(there):08x}"} == file, (context, name)

    def _outside(self) -> dict[str, Any]:
        """Everything that no command may change: files beside its places, and the canary."""
        kept: dict[str, Any] = {"canary": (self.path.parent / "canary").read_bytes()}
        kept["beside"] = sorted(one.name for one in self.path.parent.iterdir())
        for one in sorted(self.path.rglob("*")):
            name = one.relative_to(self.path)
            if name.parts[0] not in WRITTEN:
                kept[str(name)] = one.read_bytes() if one.is_file() else None
        return kept

    def follow(self, words: str) -> bool:
        """Removes the file that an error asks to remove; returns whether it names one."""
        found = re.search(r"error: '([^']*)' cannot be used: .* Remove it", words)
        if not found:
            return False
        path = self.path / found[1]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return True


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """The last whole line of each image in a journal that camx reads; empty without a journal."""
    from cam_cli.outputs.journal import parse_row

    journal = out / "manifest.jsonl"
    if not journal.exists() or not stat.S_ISREG(journal.lstat().st_mode):
        return {}
    found = {}
    for line in journal.read_bytes().splitlines(keepends=True):
        row = parse_row(line) if line.endswith(b"\n") else None
        if row is not None:
            found[row["image"]] = dict(row)
    return found


def _told(row: Mapping[str, Any]) -> tuple[str, int, float]:
    top = row.get("top") or [{"index": -1, "prob": 0.0}]
    return row["status"], top[0]["index"], top[0]["prob"]


def _cut(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data) + 1)])


def _turned(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"x")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _garbage(path: Path, draw: random.Random) -> None:
    with path.open("ab") as file:
        file.write(
            draw.choice((b"\0" * 100, b"{}\n", b"[]\n", b'{"image": "../x", "status": "ok"}\n', draw.randbytes(50)))
        )


def _linked(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.symlink_to(draw.choice(("../../../../canary", "/dev/zero", "../../../nowhere", path.name)))


def _folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    _cut, _turned, _garbage, lambda path, draw: path.unlink(), _linked, _folder, _pipe,
)  # fmt: skip


def damage(folder: Path, draw: random.Random) -> str:
    """Damages one file below a folder; returns its name and the damage."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    chosen = [path for path in files if path.name in ("manifest.jsonl", "run.json", "spots.jsonl")]
    if not files:
        return "nothing"
    path = draw.choice(chosen if chosen and draw.random() < 0.4 else files)
    how = draw.choice(DAMAGES)
    how(path, draw)
    return f"{path.relative_to(folder)} {how.__name__}"

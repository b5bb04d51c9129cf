"""Every fault of a weight file has its own error."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from cam_cli.errors import CamxError

from .checkpoints_support import loaded, trained


class Canary:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("canary"),))


class Shell:
    def __reduce__(self) -> Any:
        return (os.system, ("touch canary",))


def compressed(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)


def damaged(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)


def truncated(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])


def changed(path: Path, change: Any) -> None:
    state = trained().state_dict()
    change(state)
    torch.save(state, path)


def zipfile_with(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"")


def safetensors_cut(path: Path) -> None:
    save_file(trained().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])


HEADER = "announces a header of 1,099,511,627,776 bytes"


BROKEN: dict[str, tuple[Any, str]] = {
    "pickled code": (lambda p: torch.save({"state_dict": {}, "x": Canary()}, p), "holds no weights"),
    "pickled shell": (lambda p: torch.save({"state_dict": {}, "x": Shell()}, p), r"holds (posix|nt).system, which would"),
    "pickled code, bare": (lambda p: p.write_bytes(pickle.dumps(Canary())), "holds a .*, not weights"),
    "pickled code, old format": (
        lambda p: torch.save({"x": Shell()}, p, _use_new_zipfile_serialization=False),
        r"holds (posix|nt).system, which would run code.*save only its weights with torch.save",
    ),
    "TorchScript": (lambda p: zipfile_with(p, "m/data.pkl", "m/constants.pkl", "m/code/x.py"), "TorchScript program"),
    "pt2": (lambda p: zipfile_with(p, "m/archive_format", "m/models/model.json"), r"torch.export \(.pt2\)"),
    "another zip": (lambda p: zipfile.ZipFile(p, "w").writestr("a/weights.pth", b"x"), "zip file with checkpoints in it"),
    "web page": (lambda p: p.write_bytes(b"\n<!DOCTYPE html><html>"), "web page"),
    "LFS pointer": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "LFS pointer"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "absent": (lambda p: None, "cannot be read: No such file"),
    "truncated": (truncated, "broken or cut short"),
    "compressed": (compressed, "compressed zip"),
    "bad checksum": (damaged, "bad checksum in .*data"),
    "safetensors, huge header": (lambda p: p.write_bytes((1 << 40).to_bytes(8, "little") + b"{}"), HEADER),
    "safetensors, header cut": (lambda p: p.write_bytes((99).to_bytes(8, "little") + b"{}"), "cut short: its header"),
    "safetensors, cut": (safetensors_cut, "is broken"),
    "safetensors, bad metadata": (lambda p: save_file(trained().state_dict(), p, {"camx": "{"}), "broken metadata"),
    "not weights": (lambda p: torch.save([1, 2], p), "holds a list"),
    "no weights": (lambda p: torch.save({"epoch": 3}, p), r"holds no weights \(its keys: epoch\)"),
    "text": (lambda p: p.write_bytes(b"hello world"), "no torch file"),
    "missing": (lambda p: changed(p, lambda s: s.pop("fc.weight")), r"misses fc.weight"),
    "too many": (lambda p: changed(p, lambda s: s.update(spare=torch.ones(2))), r"holds more than timm/test_resnet: spare 2 would be left over"),
    "both": (
        lambda p: changed(p, lambda s: s.update(spare=s.pop("fc.bias"))),
        r"misses fc.bias and has spare 4 too many",
    ),
    "NaN": (lambda p: changed(p, lambda s: s["fc.weight"].fill_(torch.nan)), "NaN or infinite values in 'fc.weight'"),
    "infinite": (lambda p: changed(p, lambda s: s["fc.bias"].fill_(torch.inf)), "NaN or infinite values in 'fc.bias'"),
    "shape": (lambda p: changed(p, lambda s: s.update({next(iter(s)): torch.ones(1, 2, 3)})), r"is \(1, 2, 3\), the"),
    "other network": (lambda p: torch.save(trained(name="test_vit").state_dict(), p), "belongs to another architecture"),
    "larger network": (lambda p: torch.save(timm.create_model("resnet10t").state_dict(), p), "misses|does not fit"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_checkpoints_each_have_their_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, message = BROKEN[kind]
    write(tmp_path / "weights.pth")
    with pytest.raises(CamxError, match=message) as caught:
        loaded(tmp_path / "weights.pth")
    assert str(caught.value).count(". ") <= 2, "one or two sentences"
    assert not (tmp_path / "canary").exists(), "nothing in a checkpoint is ever run"


def test_pickle_itself_runs_the_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with pickle the code does run."""
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Shell()}, "w.pth")
    torch.load("w.pth", weights_only=False)
    assert (tmp_path / "canary").exists()

"""Damaged and invented files, seeded and bounded: every reader ends with a result or an error. `-m slow` tries many
more with other seeds."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from cam_cli.audit.groups_file import read_groups
from cam_cli.cams.engine.targets import Target
from cam_cli.errors import CamxError
from cam_cli.evaluation.names import read_synonyms
from cam_cli.images import web
from cam_cli.images.annotations.formats import READERS, read_truth
from cam_cli.images.annotations.truth import Problems
from cam_cli.images.annotations.upright import upright
from cam_cli.images.labels import with_labels
from cam_cli.images.listing import Inputs, Source, find
from cam_cli.images.options import PixelOptions
from cam_cli.images.scheduler import chosen_shard
from cam_cli.models.catalog import load_model
from cam_cli.models.class_files import read_class_names
from cam_cli.models.classes import ClassNames
from cam_cli.models.configurations import configurations
from cam_cli.models.options import ModelSpec
from cam_cli.models.timm_import import import_timm
from cam_cli.options import options_of
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.parsers import byte_count, sides
from cam_cli.report import build_report
from cam_cli.report.classes import Classes
from cli.config import read_config

from .conftest import picture
from .hostile_names import PIECES
from .run_folders import image_row, run_folder

QUICK, LONG = 150, 4000
#: Most seconds for one file, with any damage.
PATIENCE = 3.0

Reader = Callable[[Path], object]

CONFIG = 'model = "test_resnet"\ntop-k = 3\nmean = [0.5, 0.5]\n[model-arg]\na = 1\n'
YAML = "model: resnet18\ntop-k: 3\nlayer: [a, b]\nmodel-arg: {a: 1}\nx: &a [1, 2]\ny: *a\n"
TABLE = 'image,label,x0,y0,x1,y1,site,model,truth\na.jpg,cat,1,2,3,4,"A, B",dog,cat\nb.jpg,dog,,,,,C,cat,dog\n'
COCO = json.dumps({
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]], "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": "PPYo1"}, "iscrowd": 1},
    ],
})  # fmt: skip
VOC = """<annotation><size><width>40</width><height>30</height></size><object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""
YOLO = "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.1 0.3 0.3\n"
HTML = '<html><body><a href="a.png">a</a><A HREF=b/>b</A><a href="../x">x</a></body></html>'


def truth(kind: str, path: Path) -> None:
    """Reads every object of a truth, as an evaluation does."""
    found = read_truth(str(path), kind)
    for image in found.images:
        problems = Problems()
        for one in upright(image.read((40, 30), problems), image.name, (40, 30), lambda: None, problems) or ():
            one.shape.coverage(40, 30, 5, 5)


def voc(path: Path) -> None:
    truth("voc", path)


def labels(path: Path) -> None:
    sources = (Source("a.jpg", "a.jpg"), Source("b.jpg", "b.jpg"))
    with_labels(Inputs(sources, "."), str(path))


def listing(path: Path) -> None:
    for link in web.links(path.read_bytes().decode("utf-8", "replace"), "http://host/d/"):
        assert link.startswith("http://host/d/")
        assert ".." not in link.removeprefix("http://host/d/").partition("?")[0].split("/")


def listed(path: Path) -> None:
    find([f"@{path}"])


def run_of(path: Path) -> None:
    """Reads a run, and builds its page."""
    folder = path.parent
    run = RunFolder.read(str(folder))
    list(run.rows())
    run.problems()
    build_report(str(folder))


def weights(path: Path) -> None:
    load_model(ModelSpec(str(path)))


SEEDS: dict[str, tuple[str, str | bytes, Reader]] = {
    "config": ("c.toml", CONFIG, lambda path: read_config(str(path))),
    "config yaml": ("c.yaml", YAML, lambda path: read_config(str(path))),
    "labels": ("l.csv", TABLE, labels),
    "labels tsv": ("l.tsv", TABLE.replace(",", "\t"), labels),
    "list": ("l.txt", "a.jpg\nb/c.jpg\nhttp://127.0.0.1:1/x.jpg\n", listed),
    "list csv": ("l.csv", TABLE, listed),
    "groups": ("g.csv", TABLE, lambda path: read_groups(str(path), ["a.jpg", "b.jpg"], ".")),
    "names": ("n.csv", TABLE, lambda path: read_synonyms(str(path))),
    "class names": ("c.json", '{"0": "cat", "1": ["n01", "dog"]}', lambda path: read_class_names(str(path))),
    "class names text": ("c.txt", "cat\ndog\n", lambda path: read_class_names(str(path))),
    "truth coco": ("t.json", COCO, lambda path: truth("coco", path)),
    "truth csv": ("t.csv", TABLE, lambda path: truth("csv", path)),
    "truth voc": ("t.xml", VOC, voc),
    "listing": ("index.html", HTML, listing),
    "journal": ("manifest.jsonl", "".join(json.dumps(image_row(f"{n}.jpg")) + "\n" for n in range(3)), run_of),
    "record": ("run.json", "", run_of),
}  # fmt: skip


def changed(data: bytes, draw: random.Random) -> bytes:
    """The bytes with parts cut, doubled, exchanged or replaced, also by dangerous text."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place, length = draw.randrange(len(found) + 1), draw.choice((1, 1, 2, 8, 64))
        match draw.randrange(7):
            case 0:
                del found[place : place + length]
            case 1:
                found[place:place] = found[place : place + length] * draw.choice((1, 2, 50))
            case 2:
                found[place : place + length] = draw.randbytes(length)
            case 3:
                found[place:place] = draw.choice(PIECES).encode("utf-8", "surrogatepass")
            case 4:
                found[place:place] = draw.choice((b"[", b"{", b"<a>", b'"', b"&a [*a]", b"- ")) * draw.choice(
                    (1, 3, 2000)
                )
            case 5:
                number = draw.choice(
                    (b"-1", b"1e999", b"NaN", b"9" * 30, b"9" * 5000, b"0x1", b"null", b"1e-320", b"\xd9\xa3")
                )
                found[place:place] = number
            case _:
                found = found[:place]
    return bytes(found)


def tried(reader: Reader, path: Path, data: bytes) -> None:
    """Fails unless a reader ends with a result or an error, in time."""
    path.write_bytes(data)
    began = time.monotonic()
    try:
        reader(path)
    except CamxError as error:
        assert "\n" not in str(error).strip(), data[:300]
        assert len(str(error)) < 3000, data[:300]
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {data[:500]!r}") from error
    assert time.monotonic() - began < PATIENCE, data[:300]


def files(kind: str, tmp_path: Path) -> tuple[Path, bytes, Reader]:
    name, seed, reader = SEEDS[kind]
    run_folder(tmp_path, [image_row(f"{n}.jpg") for n in range(3)])
    if kind == "record":
        seed = (tmp_path / "run.json").read_text()
    return tmp_path / name, seed.encode() if isinstance(seed, str) else seed, reader


def fuzzed(kind: str, tmp_path: Path, seed: int, count: int) -> None:
    path, data, reader = files(kind, tmp_path)
    draw = random.Random(f"{kind}{seed}")
    tried(reader, path, data)
    for _ in range(count):
        tried(reader, path, changed(data, draw))


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fuzzed(kind, tmp_path, 0, QUICK if kind not in ("journal", "record") else 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_many_damaged_files(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fuzzed(kind, tmp_path, 1, LONG if kind not in ("journal", "record") else 600)


@pytest.mark.parametrize("kind", ["yolo", "masks"])
def test_damaged_folders_of_truth(kind: str, tmp_path: Path) -> None:
    assert kind in READERS
    draw = random.Random(kind)
    picture(40, 30).convert("L").save(tmp_path / "mask.png")
    seed = YOLO.encode() if kind == "yolo" else (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").unlink()
    (tmp_path / "classes.txt").write_text("background\ncat\n")
    name = "a.txt" if kind == "yolo" else "a.png"
    for _ in range(QUICK):
        tried(lambda path: truth(kind, path.parent), tmp_path / name, changed(seed, draw))


def invented(draw: random.Random, depth: int = 0) -> Any:
    """A random JSON value."""
    kind = draw.randrange(8 if depth < 3 else 6)
    if kind == 0:
        return draw.choice((None, True, False))
    if kind == 1:
        return draw.choice((0, -1, 1, 2**63, 10**25, 1.5, -0.0, 1e308, 224))
    if kind < 6:
        return draw.choice((*PIECES, "".join(draw.choices(string.printable, k=8)), "test_resnet", "imagenet-1k"))
    if kind == 6:
        return [invented(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(KEYS): invented(draw, depth + 1) for _ in range(draw.randrange(4))}


KEYS = ("architecture", "architectures", "model_type", "pretrained_cfg", "num_classes", "label_names", "label_descriptions", "input_size",
        "mean", "std", "interpolation", "crop_pct", "crop_mode", "id2label", "label2id", "image_size", "size", "do_resize", "model_args",
        "model", "classes", "class_names", "name", "args", "arch", "epoch", "layer", "trained", "0", "")  # fmt: skip


@pytest.mark.parametrize(
    "place", ["config.json", "preprocessor_config.json", "args.yaml", "safetensors", "camx", "torch"]
)
def test_invented_metadata_of_weights(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any metadata beside or in weights, an error says why they are no network."""
    import_timm()
    draw = random.Random(place)
    tensors = {"fc.weight": torch.zeros(2, 4), "fc.bias": torch.zeros(2)}
    path = tmp_path / ("model.pth.tar" if place in ("args.yaml", "torch") else "model.safetensors")
    for _ in range(3):
        content = {key: invented(draw) for key in draw.sample(KEYS, draw.randint(1, 6))} | {
            "architecture": "test_resnet"
        }
        if place == "torch":
            torch.save({"state_dict": tensors, **content}, path)
        elif path.suffix == ".tar":
            torch.save({"state_dict": tensors}, path)
        else:
            about = {
                "safetensors": {key: json.dumps(value) for key, value in content.items()},
                "camx": {"camx": json.dumps(content)},
            }
            path.write_bytes(save(tensors, about.get(place)))
        beside = tmp_path / place
        if "." in place:
            beside.write_text(json.dumps({"model": "test_resnet", **content}))
        began = time.monotonic()
        try:
            configurations(str(path))
            load_model(ModelSpec(str(path)))
        except CamxError as error:
            assert len(str(error)) < 5000
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} for {content!r}") from error
        assert time.monotonic() - began < PATIENCE


def known() -> Iterator[tuple[str, str, str]]:
    """Cases that once failed: kind of file, text and message."""
    yield "config", "x = " + "[" * 5000, "nested too deeply"
    yield "config yaml", "[" * 5000, "nested too deeply"
    yield (
        "config yaml",
        "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['x'] * 9)}]\n" for n in range(12)),
        "aliases",
    )
    yield "config yaml", "x: &a [*a]\n", "aliases"
    yield "class names", "[" * 100_000, "is not a list"


@pytest.mark.parametrize(("kind", "text", "said"), list(known()))
def test_what_once_failed(kind: str, text: str, said: str, tmp_path: Path) -> None:
    path, _, reader = files(kind, tmp_path)
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(CamxError, match=said):
        reader(path)
    assert time.monotonic() - began < PATIENCE


DIGITS = "9" * 5000


def test_numbers_of_more_digits_than_python_reads(tmp_path: Path) -> None:
    """They are names where a name is allowed; otherwise the error says what to give, without a limit of Python."""
    for text in (f"{DIGITS} cat", f"cat {DIGITS}"):
        (tmp_path / "c.txt").write_text(text)
        assert read_class_names(str(tmp_path / "c.txt")).names == (text,)
    classes = Classes()
    classes.label({"image": "a.jpg", "status": "ok", "label": DIGITS})
    assert classes.tables() == {"classes": [DIGITS], "labels": [0]}
    pixels = [one.flag.parse for one in options_of(PixelOptions) if one.field in ("frames", "bands")]
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: ClassNames(("cat",)).index(DIGITS, 1), "no class '9"),
        (lambda: Target.parse(f"top:{DIGITS}"), "K in top:K"),
        (lambda: chosen_shard(f"auto/{DIGITS}", {}), "Give auto"),
        (lambda: chosen_shard("auto/2", {"JOB_COMPLETION_INDEX": DIGITS}), "JOB_COMPLETION_INDEX is '9"),
        *((lambda parse=parse: parse(DIGITS), "^give ") for parse in (sides, byte_count, *pixels)),
    ]
    for read, said in refused:
        with pytest.raises((CamxError, ValueError), match=said):
            read()

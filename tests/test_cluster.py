"""The engine on a Ray cluster: its actors without Ray, and whole runs with Ray on this machine (slow)."""

from __future__ import annotations

import builtins
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.distributed.actor import Actor, Attempts, packed, unpacked
from cam_cli.distributed.cluster import run_on_ray
from cam_cli.distributed.run import run
from cam_cli.images.listing import Source
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.rows import ImageRow
from cam_cli.pipeline import ExplainJob, Stop
from cam_cli.pipeline.explain import ExplainTask
from cam_cli.pipeline.progress import Progress, Silent

from .conftest import TINY, picture

Camx = Callable[..., int]
SPEC = ModelSpec("test_resnet", pretrained=False)


def test_a_source_passes_through_a_data_set() -> None:
    source = Source("a/\udcff.jpg", "s3://b/a", "x", "a", (3, 4), (5, 6))
    assert unpacked(packed(7, source)) == (7, source)
    assert unpacked(packed(0, Source("k", "p"))) == (0, Source("k", "p"))


class Dies(Exception):
    """Stands for the end of the process."""


class Unsteady(Actor):
    """An actor whose `explain_images` is a list of images that end it."""

    deadly: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def explain_images(self, sources: Sequence[Source], progress: Progress) -> list[ImageRow]:
        for source in sources:
            if source.key in self.deadly:
                raise SystemExit(source.key)
            if source.key in self.broken:
                raise ArithmeticError("odd")
        return [{"image": s.key, "status": "ok", "index": self._places[s.key]} for s in sources]


@pytest.fixture
def unsteady(tmp_path: Path) -> Iterator[Unsteady]:
    actor = Unsteady(
        ExplainTask(ExplainJob(sources=(), model=SPEC, output=str(tmp_path), workers=1)), 3, called(Attempts())
    )
    with actor._decoders, actor._drawers:
        yield actor


def called(attempts: Attempts) -> Callable[[str, Any], Any]:
    return lambda name, argument: getattr(attempts, name)(argument)


def batch(*keys: str) -> dict[str, Any]:
    return {"image": np.array([packed(place, Source(key, key)) for place, key in enumerate(keys)], dtype=object)}


def test_an_image_that_ends_its_process_twice_is_a_failed_row(unsteady: Unsteady) -> None:
    actor = unsteady
    actor.deadly = ("b",)
    for _ in range(2):  # among the others, then alone
        with pytest.raises(SystemExit):
            actor(batch("a", "b", "c"))
    out = actor(batch("a", "b", "c"))
    rows = [json.loads(row) for row in out["row"]]
    assert [(row["image"], row["status"]) for row in rows] == [("a", "ok"), ("b", "failed"), ("c", "ok")]
    assert "ended twice" in rows[1]["error"]
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert len(out["note"]) == 3
    # Images without a part in the fault do not fail.
    assert json.loads(actor(batch("a", "c"))["row"][0])["status"] == "ok"


def test_images_beside_the_one_that_ends_a_process_do_not_fail(unsteady: Unsteady) -> None:
    unsteady.deadly = ("a",)
    for _ in range(2):
        with pytest.raises(SystemExit):
            unsteady(batch("a", "b", "c"))
    unsteady.deadly = ("a", "c")
    with pytest.raises(SystemExit):
        unsteady(batch("a", "b", "c"))
    unsteady.deadly = ("a",)
    rows = [json.loads(row) for row in unsteady(batch("a", "b", "c"))["row"]]
    assert [row["status"] for row in rows] == ["failed", "ok", "ok"]
    unsteady.deadly = ("d",)
    for _ in range(2):
        with pytest.raises(SystemExit):
            unsteady(batch("c", "d"))
    assert json.loads(unsteady(batch("c", "d"))["row"][1])["status"] == "failed"


def test_an_exception_costs_its_image_alone(unsteady: Unsteady) -> None:
    unsteady.broken = ("b",)
    rows = [json.loads(row) for row in unsteady(batch("a", "b"))["row"]]
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["error"] == "cannot be explained: ArithmeticError: odd"


def test_thumbnails_fit_the_run_and_not_the_batch(tmp_path: Path) -> None:
    """Thumbnails of more than 200 images are small, although an actor has only a few of the images at a time."""
    job, sides = ExplainJob(sources=(), model=SPEC, output=str(tmp_path), workers=1), list[int]()
    for images in (1, 1000):
        actor = Actor(ExplainTask(job), images, called(Attempts()))
        with actor._decoders, actor._drawers:
            picture(1200, 900).save(tmp_path / "a.jpg")
            source = Source("a.jpg", str(tmp_path / "a.jpg"))
            (text,) = actor({"image": [packed(0, source)]})["row"]
        with Image.open(tmp_path / json.loads(text)["thumb"]) as thumbnail:
            sides.append(max(thumbnail.size))
    assert sides == [512, 256]


def test_without_ray_the_extra_is_named(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert camx("explain", images, *TINY, "--engine", "ray") == 2
    assert "camx[ray]" in capsys.readouterr().err
    assert not Path("camx-out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "dask"), "Give one of local, ray"),
        (("--ray-address", "auto"), "--engine ray"),
        (("--engine", "ray", "--shard", "1/2"), "Leave --shard out"),
    ],
)
def test_engines_that_cannot_be(
    camx: Camx, capsys: pytest.CaptureFixture[str], words: Sequence[str], message: str
) -> None:
    assert camx("explain", "pictures", *TINY, *words) == 2
    assert message in capsys.readouterr().err


def table(out: str | Path) -> list[dict[str, str]]:
    with open(Path(out) / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_actors_that_are_killed_lose_no_image_and_one_that_kills_is_a_failed_row(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from . import ray_actors

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(20):
        name = {7: "once7", 13: "always13"}.get(index, f"{index:02}")
        picture(seed=index).save(folder / f"{name}.jpg")
    (folder / "broken.jpg").write_bytes(b"nothing")
    job = ExplainJob(
        sources=(str(folder),),
        model=SPEC,
        output=str(tmp_path / "ray"),
        explain=ExplainOptions(device="cpu,cpu"),
        batch_size=1,
    )
    summary = run_on_ray(ExplainTask(job), Silent(), Stop(), actor=ray_actors.Killed)
    assert (summary.state, summary.progress.counts) == ("finished", Counter(ok=19, failed=2))
    rows = {row["image"]: row for row in table(tmp_path / "ray")}
    assert len(rows) == 21
    assert rows["once7.jpg"]["status"] == "ok"
    assert "ended twice" in rows["always13.jpg"]["error"]
    assert (folder / "once7.jpg.killed").read_text().count("killed") == 1
    assert (folder / "always13.jpg.killed").read_text().count("killed") == 2
    journal = (tmp_path / "ray" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in journal] == list(rows)
    # The next run, on this machine, repeats only failed images.
    again = run(job)
    assert (again.progress.skipped, again.progress.counts["ok"]) == (19, 20)


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_feature_maps_on_a_cluster_are_those_of_one_machine(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    (images / "broken.jpg").write_bytes(b"nothing")
    words = ("activations", images, *TINY, "--max-channels", "3", "-b", "1", "-q", "--max-failures", "1")
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "-o", "ray", "--engine", "ray") == 0
    assert Path("ray/activations.csv").read_bytes() == Path("one/activations.csv").read_bytes()
    files = [{str(p.relative_to(name)) for p in Path(name).rglob("*")} for name in ("one", "ray")]
    assert files[0] == files[1]
    record = json.loads(Path("ray/run.json").read_text())
    assert (record["state"], record["ok"], record["failed"]) == ("finished", 7, 1)
    journal = Path("ray/manifest.jsonl")
    journal.write_text("{\n" + journal.read_text().split("\n", 1)[1])
    assert camx(*[word for word in words if word != "-q"], "-o", "ray", "--engine", "ray") == 0
    assert "1 damaged line of the journal is ignored" in capsys.readouterr().err
    assert Path("ray/activations.csv").read_bytes() == Path("one/activations.csv").read_bytes()


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_maps_of_a_cluster_are_drawn_on_one_scale(camx: Camx, images: Path) -> None:
    pytest.importorskip("ray")
    look = ("--save", "overlay,heatmap", "--panel", "overlay,map", "--scale", "run")
    words = ("explain", images, *TINY, *look, "-b", "1", "-q", "--no-report")
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "-o", "ray", "--engine", "ray") == 0
    names = sorted(str(path.relative_to("one")) for path in Path("one").rglob("*.png"))
    assert len(names) == 3 * 7
    assert [name for name in names if Path("ray", name).read_bytes() != Path("one", name).read_bytes()] == []
    records = [json.loads(Path(out, "run.json").read_text()) for out in ("one", "ray")]
    assert records[0]["colour_scales"] == records[1]["colour_scales"]
    for table in ("predictions.csv", "maps.csv"):
        assert Path("ray", table).read_bytes() == Path("one", table).read_bytes()
    before = Path("ray/manifest.jsonl").read_bytes()
    assert camx(*words, "-o", "ray", "--engine", "ray") == 0
    assert Path("ray/manifest.jsonl").read_bytes() == before, "everything is drawn"

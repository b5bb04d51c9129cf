"""Heatmaps and feature maps of fixed images after every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cam_cli.features.options import ChannelChoice, ReadOptions
from cam_cli.features.reader import FeatureReader
from cam_cli.features.sheet import draw_sheet
from cam_cli.images.picture import Picture, load
from cam_cli.models.catalog import load_model
from cam_cli.outputs.captions import read_captions
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.training.data import find_dataset
from cam_cli.training.job import TrainJob
from cam_cli.training.progress import Silent
from cam_cli.training.run import train

from .training_support import StopsAfter, data, job, one_thread  # noqa: F401 - fixtures are found by their names


@dataclass
class Warned(Silent):
    """An observer that stores warnings."""

    warnings: list[str] = field(default_factory=list)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def test_cams_of_the_same_images_after_every_epoch(job: TrainJob) -> None:
    train(replace(job, log_cams=3, epochs=2))
    for epoch in ("epoch-001", "epoch-002"):
        names = sorted(
            p.relative_to(Path(job.output, "cams", epoch)).as_posix()
            for p in Path(job.output, "cams", epoch).rglob("*.png")
        )
        assert names == ["blue/00.png.png", "blue/01.png.png", "red/00.png.png"]
        with Image.open(Path(job.output, "cams", epoch, "red/00.png.png")) as shown:
            assert shown.size == (96, 72)
        beside = Path(job.output, "gradcams", epoch)
        assert sorted(p.relative_to(beside).as_posix() for p in beside.rglob("*.png")) == names, "Grad-CAM of the same"
        assert {*read_captions(RunFolder.read(job.output), int(epoch[-3:]))} == {*names}
    train(replace(job, overwrite=True, epochs=1))
    assert not Path(job.output, "cams").exists()
    assert not Path(job.output, "gradcams").exists()


def sheets(folder: str) -> dict[str, bytes]:
    """The files of all feature map sheets of a training, by name."""
    root = Path(folder, "activations")
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def test_feature_maps_of_the_same_images_after_every_epoch(job: TrainJob) -> None:
    whole = replace(job, freeze="none", log_activations=3, epochs=2)
    stopped = StopsAfter(2)
    train(whole, stopped, stopped)
    assert set(sheets(job.output)) == {f"epoch-001/{n}.png.png" for n in ("blue/00", "blue/01", "red/00")}
    train(replace(whole, resume=True))
    resumed = sheets(job.output)
    assert {name.split("/")[0] for name in resumed} == {"epoch-001", "epoch-002"}
    assert resumed["epoch-001/red/00.png.png"] != resumed["epoch-002/red/00.png.png"], "the filters have moved"
    train(replace(whole, overwrite=True))
    assert sheets(job.output) == resumed
    train(replace(whole, overwrite=True, log_activations=0))
    assert not Path(job.output, "activations").exists()


def test_feature_maps_of_a_frozen_convolution_are_drawn_once(job: TrainJob) -> None:
    observer = Warned()
    train(replace(job, log_activations=1, epochs=3), observer)
    assert list(sheets(job.output)) == ["epoch-001/blue/00.png.png"]
    assert "drawn once" in observer.warnings[0]
    reader = FeatureReader(load_model(job.output), ReadOptions(choice=ChannelChoice("index"), device="cpu"))
    picture = load(find_dataset(job.data, 0.2, 0).val[0].source, reader.network.preprocessing)
    assert isinstance(picture, Picture)
    (reading,) = reader.read([picture])
    assert reading.maps is not None
    with Image.open(Path(job.output, "activations/epoch-001/blue/00.png.png")) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(draw_sheet(reading.maps, picture.input)))

"""Draws heatmaps and first feature maps of a few fixed validation images after every epoch."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, zip_longest

from PIL import Image

from ..cams.engine.explainer import Explainer
from ..cams.engine.options import ExplainOptions
from ..cams.engine.targets import Target
from ..features.options import ChannelChoice, ReadOptions
from ..features.reader import FeatureReader
from ..features.sheet import draw_sheet
from ..images.geometry import Preprocessing
from ..images.picture import Picture, load
from ..maps.explanation import Explanation
from ..maps.heatmap import normalised
from ..models.catalog import Network
from ..models.classes import ClassNames
from ..models.gap import GapNetwork
from ..outputs.captions import Caption, captions_name
from ..outputs.drawing import Drawing, draw_overlay, encode_image
from ..outputs.folder import OutputFolder
from ..outputs.options import Rendering
from ..outputs.result_files import written_file
from ..outputs.rows import WrittenFile
from ..run_layout import output_name
from ..sentences import counted
from .data import Dataset, Sample
from .job import TrainJob
from .proofs import size_and_checksum
from .state import ACTIVATIONS, CAMS, GRADCAMS

#: Methods of the overlays in `cams/` and `gradcams/`, in this order.
METHODS = ("cam", "gradcam")


class Previews:
    """Writes the files of `--log-cams` and `--log-activations`, if the job has these options.

    The feature maps of a frozen first convolution never change: they are drawn only after `first_epoch`, the first one
    of this run. `files`: size and checksum of every file by its name, including those of earlier runs.
    """

    def __init__(
        self, job: TrainJob, preprocessing: Preprocessing, data: Dataset, folder: OutputFolder,
        precision: str, first_epoch: int, before: Mapping[str, WrittenFile],
    ) -> None:  # fmt: skip
        self.files = dict(before)
        self._folder = folder
        self._cams = CamLog(data.val, job.log_cams, preprocessing, data.classes)
        self._activations = ActivationLog(data.val, job.log_activations, preprocessing)
        self._precision = precision
        self._is_frozen = job.freeze == "backbone"
        self._last_drawn = first_epoch if self._is_frozen else job.epochs

    def write(self, network: GapNetwork, epoch: int) -> None:
        """Draws the images with the network after `epoch` (from 1)."""
        self._keep(self._cams.draw(network, epoch, self._precision))
        if epoch <= self._last_drawn:
            self._keep(self._activations.draw(network, epoch, self._precision))

    def restore(self, network: GapNetwork, epoch: int) -> Iterator[str]:
        """Redraws damaged and missing files that the network after `epoch` can draw. Yields warnings about all."""
        wrong = {name for name, file in self.files.items() if size_and_checksum(self._folder.file(name)) != file}
        if not wrong:
            return
        self._keep(self._cams.draw(network, epoch, self._precision), wrong)
        for drawn in sorted({_epoch_of(name) for name in wrong} if self._is_frozen else {epoch}):
            self._keep(self._activations.draw(network, drawn, self._precision), wrong)
        lost = sorted(name for name in wrong if size_and_checksum(self._folder.file(name)) != self.files[name])
        if again := len(wrong) - len(lost):
            yield f"{counted(again, 'preview image was', 'preview images were')} damaged or missing and drawn again."
        if lost:
            more = f", and {counted(len(lost) - 1, 'more')}" * (len(lost) > 1)
            yield (
                f"Preview images are damaged or missing: {lost[0]}{more}. They cannot be drawn again, because only the "
                "network of the last epoch is stored."
            )

    def _keep(self, drawn: Iterator[tuple[str, bytes]], wanted: Collection[str] | None = None) -> None:
        """Writes files; only those in `wanted` if it is given."""
        for name, data in drawn:
            if wanted is None or name in wanted:
                self._folder.write(name, data)
                self.files[name] = written_file(data)


class CamLog:
    """Draws `cams/epoch-003/<image>.png` (CAM of the true class), `gradcams/…` (its Grad-CAM) and
    `cams/epoch-003/captions.json` (predicted class and probability by image)."""

    def __init__(
        self, samples: Sequence[Sample], count: int, preprocessing: Preprocessing, classes: tuple[str, ...]
    ) -> None:
        self._preprocessing, self._classes = preprocessing, classes
        self._pictures = _loaded(samples, count, preprocessing)

    def draw(self, network: GapNetwork, epoch: int, precision: str) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of the files for the network after `epoch` (from 1)."""
        if not self._pictures:
            return
        named = Network(network, "", self._preprocessing, ClassNames(self._classes))
        targets = (Target("label"),)
        options = ExplainOptions(methods=METHODS, targets=targets, device=_device(network), precision=precision)
        explainer = Explainer(named, options)
        captions: dict[str, Caption] = {}
        for part in _in_batches(self._pictures):
            for explanation in explainer.explain(part):
                source = explanation.picture.source
                for place, kind in enumerate((CAMS, GRADCAMS)):
                    start = f"{kind}/epoch-{epoch:03}"
                    name = output_name(start, source.key, ".png", apart=source.apart)
                    captions[name.removeprefix(f"{start}/")] = _caption(explanation)
                    yield name, encode_image(_drawn(explanation, place), "png")
        yield captions_name(epoch), json.dumps(captions, ensure_ascii=True, sort_keys=True).encode("ascii")


class ActivationLog:
    """Draws `activations/epoch-003/<image>.png`: feature maps of the first convolution that runs.

    Sheets as in `camx activations`. Channels keep the order of the network, so that epochs can be compared.
    """

    def __init__(self, samples: Sequence[Sample], count: int, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._pictures = _loaded(samples, count, preprocessing)

    def draw(self, network: GapNetwork, epoch: int, precision: str) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of the files for the network after `epoch` (from 1). Raises `CamxError` if it has no
        convolution."""
        if not self._pictures:
            return
        named = Network(network, "", self._preprocessing, ClassNames(()))
        options = ReadOptions(choice=ChannelChoice("index"), device=_device(network), precision=precision)
        reader = FeatureReader(named, options)
        for part in _in_batches(self._pictures):
            for reading in reader.read(part):
                if reading.maps is not None:
                    source = reading.picture.source
                    name = output_name(f"{ACTIVATIONS}/epoch-{epoch:03}", source.key, ".png", apart=source.apart)
                    sheet = draw_sheet(reading.maps, reading.picture.input)
                    yield name, encode_image(sheet, "png")


def _epoch_of(name: str) -> int:
    """Epoch in the file name of a preview."""
    return int(name.split("/")[1].removeprefix("epoch-"))


def _loaded(samples: Sequence[Sample], count: int, preprocessing: Preprocessing) -> list[Picture]:
    loaded = [load(sample.source, preprocessing) for sample in of_all_classes(samples, count)]
    return [picture for picture in loaded if isinstance(picture, Picture)]


def _in_batches(pictures: Sequence[Picture]) -> Iterator[Sequence[Picture]]:
    for start in range(0, len(pictures), 16):
        yield pictures[start : start + 16]


def _device(network: GapNetwork) -> str:
    return str(next(network.parameters()).device)


def _caption(explanation: Explanation) -> Caption:
    best = explanation.ranking[0]
    return {"name": best.name, "prob": round(float(best.probability), 6), "right": bool(explanation.correct)}


def _drawn(explanation: Explanation, place: int) -> Image.Image:
    """Overlay of one map; the plain image if the map has no positive value."""
    picture = explanation.picture
    values = explanation.maps[place].values if place < len(explanation.maps) else None
    heat = normalised(values) if values is not None else None
    if heat is None or values is None:
        return Image.fromarray(picture.canvas)
    height, width = picture.canvas.shape[:2]
    frame = picture.frame_on(width, height)
    return draw_overlay(Drawing(picture.canvas, heat, values, frame), Rendering())


def of_all_classes(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first `count` samples, one class after the other in turn."""
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    turns = chain.from_iterable(zip_longest(*by_class.values()))
    return [sample for sample in turns if sample is not None][:count]

"""The same few validation images explained after every epoch: one sees the attention form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest

from PIL import Image

from ..cams.explainer import Explainer, ExplainOptions
from ..cams.explanation import Explanation
from ..cams.heatmaps import normalised
from ..cams.targets import Target
from ..images.geometry import Preprocessing
from ..images.picture import Picture, load
from ..models.catalog import Network
from ..models.classes import ClassNames
from ..models.gap import GapNetwork
from ..outputs.folder import OutputFolder, output_name
from ..outputs.pictures import Drawing, Rendering, draw_overlay, encode_image
from .data import Sample
from .state import CAMS


class CamLog:
    """Writes `cams/epoch-003/<image>.png`: the class activation map of each image's true class."""

    def __init__(
        self,
        samples: Sequence[Sample],
        count: int,
        preprocessing: Preprocessing,
        classes: tuple[str, ...],
        folder: OutputFolder,
    ) -> None:
        self._preprocessing, self._classes, self._folder = preprocessing, classes, folder
        loaded = [load(sample.source, preprocessing) for sample in of_all_classes(samples, count)]
        self._pictures = [picture for picture in loaded if isinstance(picture, Picture)]

    def write(self, network: GapNetwork, epoch: int, precision: str) -> None:
        """Explain the images with the network as it is after `epoch` (from 1)."""
        named = Network(network, "", self._preprocessing, ClassNames(self._classes))
        device = str(next(network.parameters()).device)
        options = ExplainOptions(methods=("cam",), targets=(Target("label"),), device=device, precision=precision)
        explainer = Explainer(named, options)
        for start in range(0, len(self._pictures), 16):
            for explanation in explainer.explain(self._pictures[start : start + 16]):
                name = output_name(f"{CAMS}/epoch-{epoch:03}", explanation.picture.source.key, ".png")
                self._folder.write(name, encode_image(_drawn(explanation), "png"))


def _drawn(explanation: Explanation) -> Image.Image:
    """The overlay; the bare picture while there is nothing that speaks for the class."""
    picture = explanation.picture
    values = explanation.maps[0].values if explanation.maps else None
    heat = normalised(values) if values is not None else None
    if heat is None or values is None:
        return Image.fromarray(picture.canvas)
    height, width = picture.canvas.shape[:2]
    frame = picture.frame.scaled(width / picture.width, height / picture.height)
    return draw_overlay(Drawing(picture.canvas, heat, values, frame), Rendering())


def of_all_classes(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first `count` samples, taken from the classes in turn."""
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    turns = chain.from_iterable(zip_longest(*by_class.values()))
    return [sample for sample in turns if sample is not None][:count]

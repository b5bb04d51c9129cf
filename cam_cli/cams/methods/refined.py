"""Maps joined from several layers or scales: B×T×h×w, finer than those of the target layer alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from ...errors import CamxError
from ..tracing.trace import Trace
from .gradients import gradcam, gradcampp
from .method import method
from .perturbation import each_image

#: SESS: sizes of the image, each larger than the one before by 2/7 of the original, and the number of explained
#: windows.
SCALES, KEPT = 12, 13
#: Cells of a map of SESS per cell of the layer: a window of the largest scale covers about a fourth of each side.
FINER = 4
#: Windows of all scales: as many along each side as cover it.
WINDOWS = sum((-(-(7 + 2 * scale) // 7)) ** 2 for scale in range(SCALES))


def needs_layers(trace: Trace) -> None:
    """Raises `CamxError` for a run with a single target layer."""
    layers = trace.replay.layers
    if len(layers) < 2:
        raise CamxError(
            f"`methods=refinecam` multiplies the maps of several layers, and there is one, {layers[0].name!r}.",
            "Give `layers` several times: `layers=auto` and earlier ones that `camx layers` lists.",
            field="methods",
        )


@method(
    "refinecam",
    summary="Grad-CAM++ of several layers multiplied: fine where early layers agree with late ones",
    paper="Domeniconi et al. 2026",
    equation="Π_l ReLU(M_l)/max M_l, M_l Grad-CAM++ at layer l",
    join="product",
    check=needs_layers,
)
def refinecam(trace: Trace, classes: Tensor) -> Tensor:
    """Grad-CAM++ at one of the layers; `fusion` multiplies those of all (Domeniconi et al. 2026, arXiv 2605.14641)."""
    return gradcampp(trace, classes)


@method(
    "sess",
    summary="Grad-CAM of windows at 12 scales, weighted by the probability of the class in them",
    paper="Tursun et al. 2022",
    equation="mean over windows n of (p_c^n/max_m p_c^m)·ReLU(Grad-CAM_n)/max, where it is positive",
    forwards=f"{WINDOWS} + {KEPT}·T",
    signed=False,
)
def sess(trace: Trace, classes: Tensor) -> Tensor:
    """The mean over windows of their Grad-CAM, weighted by the probability of the class (Tursun et al. 2022).

    The image is enlarged to 12 scales and cut into windows of its own size. The windows in which the class is most
    probable (a tenth) are explained. At each position, the mean is over the windows whose map is positive there. The
    paper's last blur is left out: it is finer than the cells of these maps.
    """
    replay = trace.replay
    height, width = replay.inputs.shape[2:]
    windows = _windows(height, width)
    size = (min(height, FINER * trace.features.shape[2]), min(width, FINER * trace.features.shape[3]))

    def one(image: int) -> Tensor:
        cut = _Cutter(replay.inputs[image : image + 1], windows)
        scores = replay.scores(len(windows), lambda part: cut(range(part.start, part.stop)), image)
        chances = replay.probabilities(scores)[:, classes[image]]
        return torch.stack([fused(image, cut, column, wanted) for column, wanted in zip(chances.T, classes[image])])

    def fused(image: int, cut: _Cutter, chances: Tensor, wanted: Tensor) -> Tensor:
        shares, kept = chances.topk(min(KEPT, len(windows)))
        chosen = kept.tolist()

        def maps(part: slice) -> Tensor:
            column = wanted.expand(part.stop - part.start, 1)
            found = gradcam(trace.retrace(cut(chosen[part])), column).clamp_min(0)
            return found / found.amax(dim=(2, 3), keepdim=True).clamp_min(1e-38)

        weights = (shares / shares[0].clamp_min(1e-38)).view(-1, 1, 1)
        found = replay.in_parts(len(chosen), maps)
        placed = weights * _placed(found, [windows[number] for number in chosen], (height, width), size)
        return placed.sum(dim=0) / (placed > 0).sum(dim=0).clamp_min(1)

    return torch.stack(each_image(trace, one))


#: The size of the enlarged image, and the corner of a window in it: height, width, top, left, in pixels.
Window = tuple[int, int, int, int]


def _windows(height: int, width: int) -> list[Window]:
    """Returns the windows of all scales, side by side; the last one along a side ends where the image ends."""
    found = []
    for scale in range(SCALES):
        high, wide = (round(side * (7 + 2 * scale) / 7) for side in (height, width))
        tops, lefts = (
            [min(start, whole - side) for start in range(0, whole, side)]
            for whole, side in ((high, height), (wide, width))
        )
        found += [(high, wide, top, left) for top in tops for left in lefts]
    return found


class _Cutter:
    """Cuts windows out of an image 1×C×H×W by their indices; keeps only the enlarged image of the last scale."""

    def __init__(self, picture: Tensor, windows: list[Window]) -> None:
        self._picture, self._windows = picture, windows
        self._large = picture

    def __call__(self, numbers: range | list[int]) -> Tensor:
        height, width = self._picture.shape[2:]
        cut = []
        for high, wide, top, left in (self._windows[number] for number in numbers):
            if self._large.shape[2:] != (high, wide):
                self._large = interpolate(self._picture, (high, wide), mode="bilinear", align_corners=False)
            cut.append(self._large[:, :, top : top + height, left : left + width])
        return torch.cat(cut)


def _placed(maps: Tensor, windows: list[Window], sides: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Places maps n×1×h×w of windows, as large as `sides`, in the image: n×H×W of `size`, 0 outside a window."""
    whole = torch.tensor(windows, dtype=torch.float32, device=maps.device)
    places = []
    for axis in (0, 1):
        centres = (torch.arange(size[axis], device=maps.device) + 0.5) / size[axis]
        # From −1 to 1 inside the window.
        places.append((centres * whole[:, axis, None] - whole[:, axis + 2, None]) / sides[axis] * 2 - 1)
    rows, columns = places
    grid = torch.stack([columns[:, None].expand(-1, size[0], -1), rows[:, :, None].expand(-1, -1, size[1])], dim=3)
    found = grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
    placed: Tensor = found[:, 0] * (grid.abs() <= 1).all(dim=3)
    return placed

"""A map from windows that cover an image one after the other: B×T×H×W of the network's input."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method
from .perturbation import each_image

#: The side of a window as a share of the image's, and the windows per side: they overlap by half.
WINDOW, WINDOWS = 1 / 8, 15


@method(
    "occlusion",
    summary="drop of the probability where a window covers the image",
    paper="Zeiler and Fergus 2014",
    equation="mean over the windows W that cover ij of p_c(x) − p_c(x without W)",
    forwards=str(WINDOWS**2),
    gradients=False,
    grid="pixels",
    reads_layer=False,
)
def occlusion(trace: Trace, classes: Tensor) -> Tensor:
    """p_c(x) − p_c(x without W), averaged at each pixel over the windows W that cover it (Zeiler and Fergus 2014, 4.2).

    A window covers an eighth of each side with the mean colour, and moves by half of itself, from edge to edge.
    """
    replay = trace.replay
    height, width = replay.inputs.shape[2:]
    rows, columns = _windows(height).to(replay.inputs), _windows(width).to(replay.inputs)
    cover = torch.einsum("iy,jx->yx", rows, columns)

    def one(image: int) -> Tensor:
        picture = replay.inputs[image : image + 1]

        def covered(part: slice) -> Tensor:
            index = torch.arange(part.start, part.stop, device=picture.device)
            down, across = rows[index // WINDOWS], columns[index % WINDOWS]
            return picture * (1 - down[:, None, :, None] * across[:, None, None])

        scores = replay.scores(WINDOWS**2, covered, image)
        drops = replay.probabilities(trace.logits[image : image + 1]) - replay.probabilities(scores)
        grid = drops[:, classes[image]].T.reshape(-1, WINDOWS, WINDOWS)
        return trace.sign * torch.einsum("tij,iy,jx->tyx", grid, rows, columns) / cover

    return torch.stack(each_image(trace, one))


def _windows(side: int) -> Tensor:
    """Returns masks WINDOWS×side, 1 where a window covers the side; at least one pixel each."""
    size = max(1, round(side * WINDOW))
    starts = (torch.arange(WINDOWS) * (side - size) // (WINDOWS - 1))[:, None]
    places = torch.arange(side)
    return ((places >= starts) & (places < starts + size)).float()

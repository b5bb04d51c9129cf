"""Trains the small detector of the tests: `python -m tools.tiny_detector tests/fixtures/tiny_detector.safetensors`.

Half an hour of one core. A scene of `cam_cli.demo` holds one or two of twelve drawn classes; FCOS of torchvision with a
small pyramid finds their boxes. The file holds its weights in half precision.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from cam_cli.demo import CLASSES, Scene, render
from cam_cli.images.annotations.shapes import Bitmap
from cam_cli.models.classes import ClassNames
from cam_cli.models.detectors import detector_preprocessing
from cam_cli.models.network import Network

from .tiny_training import fit

SIDE, STEPS, SCENES, BATCH, RATE = 160, 2000, 2500, 12, 2e-3
#: First seed of the training scenes; `tools.truth_scenes` has others.
FIRST_SEED = 5_000_000
WEIGHTS = Path(__file__).parents[1] / "tests" / "fixtures" / "tiny_detector.safetensors"


def detector() -> FCOS:
    """FCOS on levels of stride 8, 16, 32 and 64, with random weights."""
    stages = {
        "stem": nn.Sequential(_block(3, 16, 2), _block(16, 24, 2)),
        "fine": nn.Sequential(_block(24, 32, 2), _block(32, 32, 1)),
        "middle": nn.Sequential(_block(32, 48, 2), _block(48, 48, 1)),
        "coarse": nn.Sequential(_block(48, 64, 2), _block(64, 64, 1)),
    }
    levels = {"fine": "0", "middle": "1", "coarse": "2"}
    pyramid = BackboneWithFPN(nn.Sequential(OrderedDict(stages)), levels, [32, 48, 64], 32)
    anchors = AnchorGenerator(tuple((stride,) for stride in (8, 16, 32, 64)), ((1.0,),) * 4)
    return FCOS(pyramid, len(CLASSES), SIDE, 2 * SIDE, anchor_generator=anchors)


def build() -> FCOS:
    """The trained detector."""
    network = detector()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval()


def named() -> Network:
    """The trained detector with the names of its classes."""
    network = build()
    own = detector_preprocessing(network)
    assert own is not None
    return Network(network, "tiny_detector", own, ClassNames(tuple(CLASSES)))


def scene(seed: int, objects: int) -> Scene:
    """The scene of a seed, with `objects` objects of different classes."""
    names = np.random.default_rng(seed).choice(CLASSES, objects, replace=False)
    return render(seed, (SIDE, SIDE), tuple(map(str, names)))


def boxes_of(scene: Scene) -> dict[str, Tensor]:
    """Boxes around the visible parts of the objects, and their classes. Leaves out objects of up to 40 pixels."""
    seen = [one for one in scene.objects if one.mask.sum() > 40]
    boxes = torch.tensor([Bitmap(one.mask).bounds() for one in seen]).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor([one.index for one in seen], dtype=torch.int64)}


def trained(steps: int = STEPS) -> FCOS:
    """Trains a detector of the drawn classes."""
    torch.manual_seed(0)
    network = detector()
    drawn = [scene(FIRST_SEED + number, 1 + number % 2) for number in range(SCENES)]
    pixels = torch.from_numpy(np.stack([np.asarray(one.image) for one in drawn])).permute(0, 3, 1, 2)
    truths = [boxes_of(one) for one in drawn]
    print("scenes are drawn", flush=True)

    def loss_of(chosen: Tensor) -> Tensor:
        given = [_mirrored(pixels[i].float() / 255, truths[i]) for i in chosen.tolist()]
        losses: dict[str, Tensor] = network([image for image, _ in given], [truth for _, truth in given])
        return torch.stack(list(losses.values())).sum()

    fit(network, loss_of, SCENES, steps=steps, batch=BATCH, rate=RATE)
    return network.eval()


def _mirrored(image: Tensor, truth: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """An image and its boxes, mirrored with probability 1/2."""
    if torch.rand(()) < 0.5:
        return image, truth
    left, top, right, bottom = truth["boxes"].unbind(1)
    return image.flip(-1), {**truth, "boxes": torch.stack([SIDE - right, top, SIDE - left, bottom], 1)}


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.ReLU())


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file({name: value.half() for name, value in trained().state_dict().items()}, sys.argv[1])

"""The usual loop, as a baseline: pytorch-grad-cam, one image after the other, `cv2.imwrite`.

Follows the README and `cam.py` of the library: read, preprocess, `GradCAM`, `show_cam_on_image`, write.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import preprocess_image, show_cam_on_image
from torch import nn

from cam_cli.images.geometry import Preprocessing


def explained(
    module: nn.Module, layer: nn.Module, preprocessing: Preprocessing, paths: Sequence[str], out: str
) -> None:
    """Writes an overlay for every path, of the size of the network's input."""
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    device = next(module.parameters()).device
    height, width = preprocessing.input_size
    with GradCAM(model=module.eval(), target_layers=[layer]) as cam:
        for path in paths:
            picture = cv2.imread(path, 1)[:, :, ::-1]
            picture = np.float32(cv2.resize(picture, (width, height))) / 255
            inputs = preprocess_image(picture, mean=preprocessing.mean, std=preprocessing.std).to(device)
            heat = cam(input_tensor=inputs, targets=None)[0, :]
            shown = show_cam_on_image(picture, heat, use_rgb=True)
            cv2.imwrite(str(Path(out) / f"{Path(path).stem}.png"), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
    with torch.no_grad():
        module.zero_grad(set_to_none=True)

"""Small networks with known explanations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cam_cli.images.geometry import Preprocessing
from cam_cli.models.catalog import Network
from cam_cli.models.classes import ClassNames

PLAIN = Preprocessing((64, 64), (64, 64), "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class RedDetector(nn.Module):
    """Class 0 is evidence of red, class 1 of blue, on a grid of stride 8; global average pooling and a linear layer."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 2, 8, stride=8)
        self.act = nn.ReLU()
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            red, blue = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([-1.0, -1.0, 1.0])
            self.colours.weight.copy_(torch.stack([red, blue]).view(2, 3, 1, 1).expand(2, 3, 8, 8) / 64)
            self.colours.bias.fill_(-0.5)
            self.fc.weight.copy_(torch.eye(2))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.act(self.colours(pictures)).mean((2, 3)))


class InPlaceNet(nn.Module):
    """The operation after the target layer changes its input in place, as in DenseNet and VGG."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1))
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(12, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.act(self.features(pictures)).mean((2, 3)))


class DeepHeadNet(nn.Module):
    """Layers that are not linear between the last feature map and the scores: CAM does not apply, Grad-CAM does."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1), nn.Tanh())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 64, 16), nn.ReLU(), nn.Linear(16, classes))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))


def network(module: nn.Module, preprocessing: Preprocessing = PLAIN, names: tuple[str, ...] = ()) -> Network:
    return Network(module, type(module).__name__, preprocessing, ClassNames(names))


def seeded(module_class: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return module_class().eval()

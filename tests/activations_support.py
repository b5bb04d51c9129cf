"""Helpers of `test_activations` and `test_feature_logger`."""

from __future__ import annotations

from torch import Tensor, nn

from cli.main import run


def activations(*words: object) -> int:
    return run(["activations", *map(str, words)])


class TwoBranches(nn.Module):
    """Declares its convolutions in another order than they run; the first one to run gives no map."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Conv2d(4, 6, 3, padding=1)
        self.squeeze = nn.Conv2d(3, 3, 1)
        self.early = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.squeeze(x.mean((2, 3), keepdim=True)).sigmoid()
        maps: Tensor = self.late(self.early(x).relu_())
        return maps.mean((2, 3))

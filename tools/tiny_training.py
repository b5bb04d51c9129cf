"""The training loop of the small networks of the tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def fit(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], scenes: int, *, steps: int, batch: int, rate: float
) -> None:
    """Trains a network by AdamW with a rate that rises for 50 steps and then falls; prints the loss every 50 steps.

    loss_of: the loss of the scenes with these numbers, below `scenes`.
    """
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * max(0.02, 1 - step / steps)
        loss = loss_of(torch.randint(scenes, (batch,)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"{step}: {loss.item():.3f}", flush=True)

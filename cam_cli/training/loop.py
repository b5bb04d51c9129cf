"""Takes gradient steps: AdamW with warm-up and cosine decay, mixed precision and averaged weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CamxError
from .batches import Batches
from .cache import Tick
from .metrics import MOST_MISTAKES, Mistake, Scores

_WEIGHT_DECAY = 0.02
_CLIP = 5.0
#: Warm-up: share of all steps in which the learning rate rises.
_WARM_UP = 0.05
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the optimiser. `lr` is the peak rate of the new layers, `backbone_lr` that of the pretrained ones.

    `class_weights` K or None; `ema` is the decay of the averaged weights, 0 for none.
    """

    epochs: int
    lr: float
    backbone_lr: float
    precision: str = "fp32"
    ema: float = 0.0
    class_weights: Tensor | None = None
    seed: int = 0
    label_smoothing: float = 0.0


class Trainer:
    """Trains a module. The random numbers of an epoch depend only on the seed and its number."""

    def __init__(self, module: nn.Module, config: TrainingConfig, device: torch.device, steps_per_epoch: int) -> None:
        self.module = module.to(device)
        self.config = config
        self._device = device
        self._steps_per_epoch = steps_per_epoch
        self._optimizer = torch.optim.AdamW(_groups(module, config))
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._averaged = copy.deepcopy(module) if config.ema else None
        self._averagings = 0
        self.lr = 0.0

    @property
    def result(self) -> nn.Module:
        """The module to save: the averaged weights if `ema` is set, else the trained ones."""
        return self._averaged if self._averaged is not None else self.module

    def train_epoch(self, epoch: int, batches: Batches, tick: Tick) -> tuple[float, float]:
        """One pass over the images; returns mean loss and accuracy. Raises `CamxError` if it diverges."""
        self.module.train()
        loss_sum = torch.zeros((), device=self._device)
        correct = torch.zeros((), device=self._device)
        count = 0
        with _seeded(self.config.seed, epoch, self._device):
            for step, (inputs, labels) in enumerate(batches.train(epoch)):
                loss, scores = self._step(epoch * self._steps_per_epoch + step, inputs, labels)
                loss_sum += loss * len(labels)
                correct += (scores.argmax(1) == labels).sum()
                count += len(labels)
                tick(len(labels))
        mean = float(loss_sum) / count
        if not math.isfinite(mean):
            raise CamxError(
                f"The training diverged in epoch {epoch + 1} (the loss is {mean}).",
                f"Give a smaller `lr` than {self.config.lr:g}.",
            )
        return mean, float(correct) / count

    @torch.no_grad()
    def evaluate(self, batches: Batches, tick: Tick) -> Scores:
        """Loss and confusion on the validation images."""
        module = self.result.eval()
        loss, confusion = 0.0, None
        wrong: list[Mistake] = []
        position = 0
        for inputs, labels in batches.val():
            with self._autocast():
                scores = module(inputs)
            loss += float(nn.functional.cross_entropy(scores.float(), labels, reduction="sum"))
            classes = scores.shape[1]
            pairs = np.bincount((labels * classes + scores.argmax(1)).cpu().numpy(), minlength=classes * classes)
            confusion = pairs if confusion is None else confusion + pairs
            wrong += _mistakes(scores, labels, position)
            position += len(labels)
            tick(0)
        assert confusion is not None
        size = math.isqrt(len(confusion))
        most_confident = sorted(wrong, key=lambda one: (-one.prob, one.position))[:MOST_MISTAKES]
        return Scores(loss / int(confusion.sum()), confusion.reshape(size, size), tuple(most_confident))

    def state_dict(self) -> dict[str, Any]:
        """The state on which the next epoch depends, as plain values and tensors."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "averaged": self._averaged.state_dict() if self._averaged is not None else None,
            "averagings": self._averagings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])
        self._averagings = state["averagings"]

    def _step(self, step: int, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share = _rate(step, self.config.epochs * self._steps_per_epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
        self.lr = self.config.lr * share
        with self._autocast():
            scores = self.module(inputs)
        weights, smoothing = self.config.class_weights, self.config.label_smoothing
        loss = nn.functional.cross_entropy(scores.float(), labels, weights, label_smoothing=smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # of torch
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.module.parameters(), _CLIP)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._averaged is not None:
            self._average(self._averaged)
        return loss.detach(), scores.detach()

    @torch.no_grad()
    def _average(self, averaged: nn.Module) -> None:
        """Moves the averaged weights towards the new ones. The decay is smaller in the first steps."""
        self._averagings += 1
        decay = min(self.config.ema, (1 + self._averagings) / (10 + self._averagings))
        new = self.module.state_dict()
        for name, old in averaged.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name], 1 - decay)
            else:
                old.copy_(new[name])

    def _autocast(self) -> AbstractContextManager[object]:
        if self.config.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, _TYPES[self.config.precision])


def _mistakes(scores: Tensor, labels: Tensor, start: int) -> list[Mistake]:
    """Mistakes in a batch whose first image is at position `start`."""
    predicted = scores.argmax(1)
    probs = scores.float().softmax(1).gather(1, predicted[:, None])[:, 0]
    places = (predicted != labels).nonzero()[:, 0].tolist()
    return [Mistake(start + k, int(predicted[k]), float(probs[k])) for k in places]


def _groups(module: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Parameter groups: the backbone has its own rate; biases and normalisations have no weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        lr = config.backbone_lr if name.startswith("backbone.") else config.lr
        decay = _WEIGHT_DECAY if parameter.dim() > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    return [{"params": p, "lr": lr, "peak_lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def _rate(step: int, steps: int) -> float:
    """Fraction of the peak learning rate: a linear rise, then half a cosine down to zero."""
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


@contextlib.contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """While active, seeds torch for the epoch (dropout). Restores the random state of the caller afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence((seed, epoch, 3)).generate_state(1)[0]))
        yield

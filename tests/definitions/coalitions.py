"""Slow definitions of methods that cover superpixels: KernelSHAP and LIME."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

import numpy as np
import torch

from cam_cli.cams.methods.superpixels import superpixels

from .slow import Slow


def pixels_of(s: Slow) -> np.ndarray:
    found: np.ndarray = s.x.numpy().transpose(1, 2, 0) / 2 + 0.5  # mean and deviation are 0.5
    return found


def with_superpixels(s: Slow, labels: np.ndarray, seen: Collection[int]) -> np.ndarray:
    """The scores of the image with only these superpixels; the others have the mean colour, which is 0."""
    return s.scores(s.x * torch.from_numpy(np.isin(labels, list(seen))))


def kernel_shap(s: Slow) -> np.ndarray:
    """Shapley values: the mean change of the score when a superpixel joins a set of others, weighted by its chance."""
    labels = superpixels(pixels_of(s), 6)
    players = range(labels.max() + 1)
    known = {
        seen: with_superpixels(s, labels, seen)[s.c]
        for size in range(len(players) + 1)
        for seen in map(frozenset, itertools.combinations(players, size))
    }
    found = np.zeros(labels.shape)
    for one in players:
        for seen in known:
            if one not in seen:
                chance = 1 / (len(players) * math.comb(len(players) - 1, len(seen)))
                found[labels == one] += chance * (known[seen | {one}] - known[seen])
    return found


def lime(s: Slow, count: int = 300) -> np.ndarray:
    """Least squares over the samples and, for the ridge, over one more equation β_i = 0 per superpixel."""
    labels = superpixels(pixels_of(s), 6)
    players = int(labels.max()) + 1
    rows = (torch.rand(count, players, generator=torch.Generator().manual_seed(0)) < 0.5).double().numpy()
    rows[0] = 1
    equations, sides = [], []
    for row in rows:
        cosine = row.sum() / math.sqrt(max(row.sum(), 1e-30) * players)
        weight = math.sqrt(math.exp(-((1 - cosine) ** 2) / 0.25**2))
        equations.append(math.sqrt(weight) * np.array([1, *row]))
        sides.append(math.sqrt(weight) * s.p(with_superpixels(s, labels, np.flatnonzero(row).tolist())))
    equations += [np.eye(players + 1)[one + 1] for one in range(players)]
    found = np.linalg.lstsq(np.array(equations), np.array(sides + [0.0] * players), rcond=None)[0]
    drawn: np.ndarray = found[1:][labels]
    return drawn

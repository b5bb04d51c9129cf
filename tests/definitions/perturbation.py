"""Slow definitions of methods that compute scores of changed images or activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .slow import Slow, bilinear, weighted


def _mask(A: np.ndarray, s: Slow) -> np.ndarray:
    mask = bilinear(A, *s.x.shape[1:])
    found: np.ndarray = (mask - mask.min()) / (mask.max() - mask.min())
    return found


def _by_scores(s: Slow, score: Callable[[np.ndarray], float]) -> np.ndarray:
    """Σ_k softmax_k(score of the mask of channel k)·A_k."""
    scores = [score(_mask(A, s)) for A in s.A]
    weights = np.exp(np.array(scores) - max(scores))
    return weighted(list(weights / weights.sum()), s.A)


def _score_of(s: Slow, mask: np.ndarray) -> float:
    return float(s.scores(s.x * torch.from_numpy(mask))[s.c])


def scorecam(s: Slow) -> np.ndarray:
    return _by_scores(s, lambda mask: _score_of(s, mask))


def sscam(s: Slow) -> np.ndarray:
    noise = 2 * torch.randn(10, 1, *s.x.shape[1:], generator=torch.Generator().manual_seed(0)).double().numpy()[:, 0]
    return _by_scores(s, lambda mask: float(np.mean([_score_of(s, mask + one) for one in noise])))


def iscam(s: Slow) -> np.ndarray:
    return _by_scores(s, lambda mask: float(np.mean([_score_of(s, mask * n / 10) for n in range(1, 11)])))


def ablationcam(s: Slow) -> np.ndarray:
    weights = []
    for k in range(len(s.A)):
        without = s.A.copy()
        without[k] = 0
        weights.append(s.y[s.c] - s.scores_with(without)[s.c])
    return weighted(weights, s.A)


def reciprocam(s: Slow) -> np.ndarray:
    found = np.zeros(s.A.shape[1:])
    for i, j in np.ndindex(found.shape):
        mask = np.zeros(found.shape)
        for di, dj in np.ndindex(3, 3):
            y, x = i + di - 1, j + dj - 1
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                mask[y, x] = (1, 2, 1)[di] * (1, 2, 1)[dj] / 16
        found[i, j] = s.p(s.scores_with(s.A * mask))
    return found - found.min()


def rise(s: Slow, count: int = 40) -> np.ndarray:
    draw = torch.Generator().manual_seed(0)
    cells = (torch.rand(count, 1, 8, 8, generator=draw) < 0.5).double().numpy()[:, 0]
    shifts = torch.rand(count, 2, generator=draw).numpy()
    height, width = s.x.shape[1:]
    cell_y, cell_x = -(-height // 7), -(-width // 7)
    masks, chances = [], []
    for one, (down, right) in zip(cells, shifts):
        large = bilinear(one, 8 * cell_y, 8 * cell_x)
        top, left = int(down * cell_y), int(right * cell_x)
        masks.append(large[top : top + height, left : left + width])
        chances.append(s.p(s.scores(s.x * torch.from_numpy(masks[-1]))))
    return np.sum([(p - np.mean(chances)) * (m - 0.5) for p, m in zip(chances, masks)], axis=0) / (count * 0.25)


def occlusion(s: Slow) -> np.ndarray:
    """Covers windows with the mean colour, which is 0: an eighth of the side each, 15 per side from edge to edge."""
    height, width = s.x.shape[1:]
    down, across = round(height / 8), round(width / 8)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for i, j in np.ndindex(15, 15):
        top, left = (height - down) * i // 14, (width - across) * j // 14
        window = (slice(top, top + down), slice(left, left + across))
        covered = s.x.clone()
        covered[:, window[0], window[1]] = 0
        total[window] += s.p(s.y) - s.p(s.scores(covered))
        count[window] += 1
    return total / count

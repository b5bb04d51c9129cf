"""Slow definitions of methods by principal components and statistics of the activations."""

from __future__ import annotations

import numpy as np

from .slow import Slow


def _first_component(M: np.ndarray) -> np.ndarray:
    positions = M.reshape(len(M), -1).T
    _, _, right = np.linalg.svd(positions)
    found = positions @ right[0]
    return (found if found @ positions.sum(1) >= 0 else -found).reshape(M.shape[1:])


def eigencam(s: Slow) -> np.ndarray:
    found = _first_component(s.A)
    return found if found.sum() >= 0 else -found


def kpcacam(s: Slow) -> np.ndarray:
    a = (s.A - s.A.mean((1, 2), keepdims=True)).reshape(len(s.A), -1).T
    K = np.tanh(a @ a.T / a.shape[1] + 1)
    J = np.eye(len(K)) - 1 / len(K)
    values, vectors = np.linalg.eigh(J @ K @ J)
    return _largest_positive(np.sqrt(values[-1]) * vectors[:, -1].reshape(s.A.shape[1:]))


def _largest_positive(found: np.ndarray) -> np.ndarray:
    return found if found.max() >= -found.min() else -found


def eigengradcam(s: Slow) -> np.ndarray:
    products = s.g * s.A
    return _first_component(products - products.mean((1, 2), keepdims=True))


def segeigencam(s: Slow) -> np.ndarray:
    products = np.abs(s.g) * s.A
    return _largest_positive(_first_component(products - products.mean((1, 2), keepdims=True)))


def fem(s: Slow) -> np.ndarray:
    return np.sum([A.mean() * (A.mean() + 2 * A.std() < A) for A in s.A], axis=0)

"""Clusters directions by spectral clustering: nearest-neighbour graph, its spectrum, and k-means (von Luxburg 2007)."""

from __future__ import annotations

import numpy as np

#: Points in the decomposed graph; the others join the cluster of their nearest ones.
SAMPLE = 2000
#: Edges of each point, and neighbours that decide for a point outside the sample.
_NEIGHBOURS = 10
#: For an automatic number of clusters: points per cluster, and most clusters.
PER_CLUSTER, MOST_CLUSTERS = 25, 20
_TRIES, _STEPS = 8, 50
#: Smallest cosine of the means of clusters to join: parts of an object stay below 0.8, pieces of one mark above 0.85.
_ALIKE = 0.85
#: Products of points in memory at once.
_BLOCK = 4096


def cluster_count(points: int, wanted: int | None) -> int:
    """Number of clusters: `wanted`, or one for every 25 points, at most 20."""
    chosen = wanted or min(MOST_CLUSTERS, round(points / PER_CLUSTER))
    return max(1, min(chosen, points))


def clustered(points: np.ndarray, owners: np.ndarray, wanted: int | None, rng: np.random.Generator) -> np.ndarray:
    """Cluster of each of N points: int N, from 0.

    points: unit vectors float32 N×D. owners: int N; points of one owner are never neighbours, because two peaks of one
    image are similar for trivial reasons. The result depends only on points, their order and `rng`. Takes about 8·N·D
    bytes, and 40 MB for the sample.
    """
    count = len(points)
    sample = np.sort(rng.permutation(count)[:SAMPLE])
    found = _spectral(points[sample], owners[sample], cluster_count(count, wanted), rng)
    if len(sample) == count:
        return found
    clusters = np.empty(count, np.int64)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        clusters[block] = _joined(points[block] @ points[sample].T, found)
    clusters[sample] = found
    return clusters


def joined(points: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Joins clusters with similar means, also transitively: a fixed number of clusters may cut one in pieces."""
    count = int(clusters.max()) + 1
    means = unit(np.array([points[clusters == one].sum(axis=0) for one in range(count)]))
    linked = means @ means.T >= _ALIKE
    np.fill_diagonal(linked, True)
    for _ in range(count):
        linked = linked @ linked
    _, names = np.unique(linked.argmax(axis=1), return_inverse=True)
    found: np.ndarray = names[clusters]
    return found


def _joined(alike: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Cluster by a vote of the nearest points of the sample, weighted by similarity."""
    near = np.argpartition(-alike, min(_NEIGHBOURS, alike.shape[1] - 1), axis=1)[:, :_NEIGHBOURS]
    weights = np.clip(np.take_along_axis(alike, near, axis=1), 1e-6, None)
    votes = np.zeros((len(alike), int(clusters.max()) + 1), np.float32)
    np.add.at(votes, (np.arange(len(alike))[:, None], clusters[near]), weights)
    chosen: np.ndarray = votes.argmax(axis=1)
    return chosen


def _spectral(points: np.ndarray, owners: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Spectral clusters from the first eigenvectors of the normalised graph Laplacian (Ng et al. 2001)."""
    if count == 1 or len(points) <= count:
        return np.arange(len(points)) % count
    alike = (points @ points.T).astype(np.float64)
    alike[owners[:, None] == owners] = 0.0
    near = np.argsort(-alike, axis=1, kind="stable")[:, :_NEIGHBOURS]
    graph = np.zeros_like(alike)
    np.put_along_axis(graph, near, np.clip(np.take_along_axis(alike, near, axis=1), 0.0, None), axis=1)
    graph = np.maximum(graph, graph.T)
    scale = 1 / np.sqrt(np.clip(graph.sum(axis=1), 1e-9, None))
    _, vectors = np.linalg.eigh(scale[:, None] * graph * scale)
    return _k_means(unit(vectors[:, -count:]), count, rng)


def _k_means(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means: the best of several runs with k-means++ seeds (Arthur and Vassilvitskii 2007)."""
    best, chosen = np.inf, np.zeros(len(points), np.int64)
    for _ in range(_TRIES):
        centres = _seeds(points, count, rng)
        found = np.full(len(points), -1)
        for _ in range(_STEPS):
            distances = _distances(points, centres)
            nearest = distances.argmin(axis=1)
            if (nearest == found).all():
                break
            found = nearest
            for cluster in range(count):
                if (found == cluster).any():
                    centres[cluster] = points[found == cluster].mean(axis=0)
        cost = float(_distances(points, centres).min(axis=1).sum())
        if cost < best - 1e-9:
            best, chosen = cost, found
    return chosen


def _seeds(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    centres = [points[rng.integers(len(points))]]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, _distances(points, centres[-1][None])[:, 0])
        total = nearest.sum()
        chances = nearest / total if total > 0 else None
        centres.append(points[rng.choice(len(points), p=chances)])
    return np.array(centres)


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    clipped: np.ndarray = np.clip(squares, 0.0, None)
    return clipped


def unit(vectors: np.ndarray) -> np.ndarray:
    """Normalises rows to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(lengths > 0, lengths, 1.0)
    return scaled


def centred(vectors: np.ndarray) -> np.ndarray:
    """Subtracts the mean of unit vectors, which all peaks of a class share, and normalises again."""
    directions = unit(vectors)
    return unit(directions - directions.mean(axis=0))

"""Finds the patterns of a run: clusters of spots of a class with similar contributions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..audit.reading import read_run
from ..gates import Condition
from ..outputs.spots import unpacked
from ..statistics import wilson, z_of
from .checking import suspects
from .clustering import centred, clustered, joined, unit
from .gating import check, judged
from .options import PatternsOptions
from .outside import outside_truth
from .records import ONE_CLASS, OUTSIDE, SAME_PLACE, Number, Pattern, Patterns
from .spots import SpotTable, chosen_classes, read_spots

#: Largest spread for the flag `same_place`, as a share of a side.
SAME = 0.06
#: Smallest share of spots outside objects, and smallest share of images of one class, for a flag.
MOSTLY, ALONE = 0.5, 0.95
_BORDER = 0.1
#: A spot of another class matches a pattern if it is nearer to its mean than this share of the pattern's own spots.
_TYPICAL = 0.5
_BLOCK = 8192


def find_patterns(path: str, options: PatternsOptions = PatternsOptions()) -> Patterns:
    """Finds the patterns in the run of `camx explain` in `path`. Reads its rows and spots, and changes nothing.

    Does not cover spots: `pipeline.check.check_patterns` does, and judges gates on drops. Takes about 250 bytes of
    memory per spot, plus the names of the images. Raises `CamxError` for an unfinished run, a run without spots, an
    unreadable truth, and an option that does not fit.
    """
    for text in options.fail_if:
        check(Condition.parse(text), options)
    run = read_run(path, partial=options.partial, why="its images may be those of the first classes only")
    spots = read_spots(run)
    outside, notes = outside_truth(run, spots, options)
    patterns = patterns_of(spots, options, outside)
    cluster = np.full(len(spots), -1, np.int64)
    for place, pattern in enumerate(patterns):
        cluster[pattern.spots] = place
    notes = [*notes, *_notes(spots, patterns)]
    left_out = _left_out(spots)
    result = Patterns(run.record, path, spots, patterns, cluster, (), left_out, notes, options.confidence)
    suspects(result, options.cover)
    return with_gates(result, options)


def with_gates(found: Patterns, options: PatternsOptions) -> Patterns:
    """Patterns with their gates judged."""
    return replace(found, gates=tuple(judged(Condition.parse(text), found, options) for text in options.fail_if))


def patterns_of(
    spots: SpotTable, options: PatternsOptions = PatternsOptions(), outside: np.ndarray | None = None
) -> tuple[Pattern, ...]:
    """Patterns of each class, most images first. outside: for each spot 1 if it lies outside all objects, 0 or NaN;
    None without truth. Raises `CamxError` for a class without maps."""
    found = [
        pattern
        for target in dict.fromkeys(chosen_classes(spots, options.classes))
        for pattern in _of_class(spots, target, outside, options)
    ]
    return tuple(_flagged(spots, found, outside is not None))


def _left_out(spots: SpotTable) -> dict[str, int]:
    counts = {
        "failed": int(spots.table.failed.sum()),
        "blank map": int(spots.table.blank.sum()),
        "with damaged spots": spots.damaged,
    }
    return {why: count for why, count in counts.items() if count}


def _notes(spots: SpotTable, found: Sequence[Pattern]) -> Iterator[str]:
    if not np.isfinite(spots.table.correct).any():
        yield "No image has a label that is a class of the network, so accuracies are missing."
    if one_class_is_usual(one.exclusive for one in found if one.exclusive is not None):
        yield "Most patterns occur in the maps of one class only, so no pattern gets the flag 'one class'."
    if not found:
        yield "No map has a spot."


def _of_class(spots: SpotTable, target: int, outside: np.ndarray | None, options: PatternsOptions) -> list[Pattern]:
    """Patterns of a class, most images first."""
    places = np.flatnonzero(spots.target == target)
    if not len(places):
        return []
    vectors = _centred_blocks(spots.vectors[places])
    rng = np.random.default_rng((options.seed, target))
    clusters = clustered(vectors, spots.owner[places], options.patterns, rng)
    if options.patterns is None:
        clusters = joined(vectors, clusters)
    z = z_of(1 - options.confidence)
    found = [
        _pattern(spots, target, places[order], outside, options, z)
        for cluster in range(int(clusters.max()) + 1)
        if len(order := _typical_first(vectors, np.flatnonzero(clusters == cluster)))
    ]
    found.sort(key=lambda one: (-len(one.images), spots.table.images[int(one.images.min())], int(one.spots.min())))
    return [replace(one, number=number) for number, one in enumerate(found, 1)]


def _centred_blocks(packed: np.ndarray) -> np.ndarray:
    """Unpacks vectors, subtracts their mean, and normalises: float32."""
    return centred(unpacked(packed)).astype(np.float32)


def _typical_first(vectors: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Members of a cluster, nearest to its mean first."""
    if not len(members):
        return members
    nearness = vectors[members] @ vectors[members].mean(axis=0)
    return members[np.argsort(-nearness, kind="stable")]


def _pattern(
    spots: SpotTable, target: int, members: np.ndarray, outside: np.ndarray | None, options: PatternsOptions, z: float
) -> Pattern:
    owners = spots.owner[members]
    images = owners[np.sort(np.unique(owners, return_index=True)[1])]
    shown = spots.maps[target]
    x, y = spots.x[members], spots.y[members]
    middle = float(np.median(x)), float(np.median(y))
    away = np.maximum(np.abs(x - middle[0]), np.abs(y - middle[1]))
    edge = (np.minimum(x, 1 - x) < _BORDER) | (np.minimum(y, 1 - y) < _BORDER)
    has = np.isin(shown, images)
    return Pattern(
        number=0,
        target=target,
        spots=members,
        images=images,
        share=_share(len(images), len(shown), z),
        x=middle[0],
        y=middle[1],
        spread=float(np.median(away)),
        border=float(edge.mean()),
        exclusive=None,
        with_=_accuracy(spots, shown[has], z),
        without=_accuracy(spots, shown[~has], z),
        outside=_outside(outside, members, z),
        flags=(),
        small=len(images) < options.min_images,
    )


def _share(right: int, total: int, z: float) -> Number:
    low, high = wilson(right, total, z)
    return Number(right / total, float(low), float(high), total)


def _accuracy(spots: SpotTable, images: np.ndarray, z: float) -> Number | None:
    correct = spots.table.correct[images]
    known = correct[np.isfinite(correct)]
    return _share(int(known.sum()), len(known), z) if len(known) else None


def _outside(outside: np.ndarray | None, members: np.ndarray, z: float) -> Number | None:
    if outside is None:
        return None
    known = outside[members]
    known = known[np.isfinite(known)]
    return _share(int(known.sum()), len(known), z) if len(known) else None


def _flagged(spots: SpotTable, found: list[Pattern], has_truth: bool) -> Iterator[Pattern]:
    """Patterns with their exclusive share of images and their flags."""
    exclusive = _exclusive(spots, found)
    informative = not one_class_is_usual(one for one in exclusive if one is not None)
    for pattern, alone in zip(found, exclusive):
        flags = {
            SAME_PLACE: pattern.spread <= SAME,
            OUTSIDE: has_truth and pattern.outside is not None and pattern.outside.low > MOSTLY,
            ONE_CLASS: informative and alone is not None and alone >= ALONE,
        }
        names = () if pattern.small else tuple(name for name, holds in flags.items() if holds)
        yield replace(pattern, exclusive=alone, flags=names)


def one_class_is_usual(exclusive: Iterable[float]) -> bool:
    """Whether most patterns occur in the maps of one class only, which makes that uninformative.

    This holds for a head of two classes: the same channels are evidence for one and against the other.
    """
    found = list(exclusive)
    return sum(one >= ALONE for one in found) > len(found) / 2


def _exclusive(spots: SpotTable, found: list[Pattern]) -> list[float | None]:
    """For each pattern: share of images of its class among all images with a matching spot; None for a single class."""
    if len(spots.maps) < 2 or not found:
        return [None] * len(found)
    means, limits = [], []
    for pattern in found:
        own = unit(unpacked(spots.vectors[pattern.spots]))
        mean = unit(own.mean(axis=0)[None])[0]
        means.append(mean)
        limits.append(float(np.quantile(own @ mean, _TYPICAL)))
    matrix, least, targets = np.array(means).T, np.array(limits), np.array([one.target for one in found])
    alike: list[list[np.ndarray]] = [[] for _ in found]
    own_count = np.zeros(len(found))
    for start in range(0, len(spots), _BLOCK):
        block = slice(start, start + _BLOCK)
        near = unit(unpacked(spots.vectors[block])) @ matrix >= least
        ours = spots.target[block][:, None] == targets
        for place in np.flatnonzero((near & ~ours).any(axis=0)).tolist():
            alike[place].append(spots.owner[block][near[:, place] & ~ours[:, place]])
    for place, pattern in enumerate(found):
        own_count[place] = max(1.0, len(pattern.images) * (1 - _TYPICAL))
    others = [len(np.unique(np.concatenate(some))) if some else 0 for some in alike]
    return [float(own / (own + other)) for own, other in zip(own_count, others)]

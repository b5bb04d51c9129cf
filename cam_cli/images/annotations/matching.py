"""Matches truths to the images of a run by the last parts of their paths."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .truth import Problems, TruthImage


def match_truths(
    images: Sequence[TruthImage], keys: Iterable[str], base: str, *, stems: bool, problems: Problems
) -> dict[str, TruthImage]:
    """Returns the truth of each image. keys: relative to the folder `base`. stems: names of the truth lack extensions.

    A truth belongs to the image that shares most parts of its path, counted from the end. A truth becomes a problem
    if it matches no image, several equally well, or one that another truth matches as well or better.
    """
    paths: defaultdict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for key in keys:
        parts = _parts(f"{base}/{key}", stems=stems)
        paths[parts[0]].append((key, parts))
    claims: defaultdict[str, list[tuple[int, TruthImage]]] = defaultdict(list)
    for image in images:
        # With `stems` the name has no extension to remove.
        parts = _parts(image.name, stems=False)
        scored = sorted(((_shared(parts, own), key) for key, own in paths.get(parts[0], ())), reverse=True)
        if not scored:
            problems.add(image.name, "", "not in the run")
        elif len(scored) > 1 and scored[0][0] == scored[1][0]:
            problems.add(image.name, "", "belongs to several images", f"{scored[0][1]}, {scored[1][1]}")
        else:
            claims[scored[0][1]].append((scored[0][0], image))
    return dict(_unique_claims(claims, problems))


def _unique_claims(
    claims: dict[str, list[tuple[int, TruthImage]]], problems: Problems
) -> Iterable[tuple[str, TruthImage]]:
    for key, several in claims.items():
        best = max(shared for shared, _ in several)
        fitting = [image for shared, image in several if shared == best]
        for shared, image in several:
            if shared < best:
                problems.add(image.name, "", "not in the run")
        if len(fitting) == 1:
            yield key, fitting[0]
        else:
            for image in fitting:
                problems.add(image.name, "", "several truths for one image", key)


def _parts(path: str, *, stems: bool) -> list[str]:
    """Parts of a path from the end, the file name without its extension if `stems`."""
    folder, name = os.path.split(path)
    return [os.path.splitext(name)[0] if stems else name, *reversed(folder.split("/"))]


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    for one, other in zip(a, b):
        if one != other:
            break
        count += 1
    return count

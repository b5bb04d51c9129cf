"""The order in which the candidates of a probe are tried as the target layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from torch import nn

from ..tracing.autograd_graph import reachable
from .candidates import Candidate, Output
from .probe import Probe

_ATTENTION = re.compile(r"attn|attention|mhsa|\bmha\b", re.IGNORECASE)
_CONTAINER = re.compile(r"block|layer|stage", re.IGNORECASE)
_POOLING = re.compile(r"pool", re.IGNORECASE)
#: A layer is alive if its gradient reaches this share of positions, and of its elements the last share (a ReLU or a
#: maximum behind it may silence most); partly alive if it reaches the second share of positions.
_ALIVE, _PARTLY, _ELEMENTS = 0.95, 0.3, 0.02
#: A layer is not alive if the best class alone reaches less than this share, as behind a maximum over the tokens.
_TOP1 = 0.1
#: Shares of elements with a gradient that count as dense: for a map of one branch, for a normalisation.
_DENSE, _DENSE_NORM = 0.9, 0.98
#: A dominator with more than this share of the graph behind it is too early to explain the score.
_LATE = 0.6
#: Candidates that one backward measures, from the last one on.
_CHUNK = 12


def rank_candidates(found: Probe, module: nn.Module) -> Iterator[tuple[Candidate, str]]:
    """Yields the candidates in the order in which they are tried, each with the reason for the user."""
    attention = inside_attention(module)
    pool = [c for c in found.candidates if not all(attention(o.name) for o in c.outputs)]
    spatial = [c for c in pool if not all(is_bare_pooling(o) for o in c.outputs)]
    dominator = _last(found, spatial, lambda c: c.dominator and _alive(c) and not found.is_class_map(c))
    why = "the last feature map that every path to the score crosses, with gradient at every position"
    if dominator is None:
        dominator = _last(found, spatial, lambda c: c.dominator and partly_alive(c) and not found.is_class_map(c))
        why = "the last feature map that every path to the score crosses; a ReLU behind it silences some positions"
    if dominator is not None and found.graph.share_after(dominator.node) <= _LATE:
        reading = _normalisation_after(found, pool, dominator)
        if reading is not None:
            yield reading, "the normalisation that reads the last feature map which every path crosses"
        yield dominator, why
    dense = _last(found, spatial, lambda c: _alive(c) and _elements(c) >= _DENSE and not found.is_class_map(c))
    if dense is not None:
        branches = "" if dense.dominator else " (several branches lead to the score)"
        yield dense, f"the last feature map with gradient at every position{branches}"
    if dominator is not None:
        yield dominator, why
    partly = _last(found, pool, partly_alive)
    if partly is not None:
        yield partly, "the last feature map with gradient at many positions"
    for candidate in _backwards(found, spatial, lambda c: _alive(c) and (c.dominator or dominator is None)):
        yield candidate, "a feature map before later ones that are not in the place of the image"


def other_branches(found: Probe, module: nn.Module, chosen: Candidate) -> list[Candidate]:
    """Returns the last feature map of every other branch that leads to the scores, in order of execution.

    Such a map is neither before the chosen candidate nor behind it: those of the networks of an ensemble, for example.
    """
    attention, before, ends = inside_attention(module), reachable(chosen.edge.node), list[frozenset[int]]()
    branches = []
    for one in reversed(found.candidates):
        if one.node in before or any(one.node in end for end in ends):
            continue
        own = reachable(one.edge.node)
        if chosen.node in own or all(is_bare_pooling(o) or attention(o.name) for o in one.outputs):
            continue
        found.measure([one])
        if _alive(one) and not found.is_class_map(one):
            branches.append(one)
            ends.append(own)
    return branches[::-1]


def _normalisation_after(found: Probe, candidates: Sequence[Candidate], dominator: Candidate) -> Candidate | None:
    """Returns the first normalisation behind the dominator with an equal shape, if the gradient there is dense."""
    after = candidates[candidates.index(dominator) + 1 :]
    norm = next((c for c in after if c.shape == dominator.shape and _is_normalisation(c)), None)
    if norm is None:
        return None
    found.measure([norm])
    return norm if _alive(norm) and _elements(norm) >= _DENSE_NORM else None


def _last(found: Probe, candidates: Sequence[Candidate], wanted: Callable[[Candidate], bool]) -> Candidate | None:
    """Returns the last candidate for which `wanted` holds."""
    return next(_backwards(found, candidates, wanted), None)


def _backwards(
    found: Probe, candidates: Sequence[Candidate], wanted: Callable[[Candidate], bool]
) -> Iterator[Candidate]:
    """Yields the candidates for which `wanted` holds, from the score backwards; measures a few at a time."""
    backwards = list(reversed(candidates))
    for start in range(0, len(backwards), _CHUNK):
        chunk = backwards[start : start + _CHUNK]
        found.measure(chunk)
        for candidate in chunk:
            if wanted(candidate):
                yield candidate


def measure_all(found: Probe) -> None:
    """Sets the coverage of all candidates."""
    for start in range(0, len(found.candidates), _CHUNK):
        found.measure(found.candidates[start : start + _CHUNK])


def _alive(candidate: Candidate) -> bool:
    coverage = candidate.coverage
    if coverage is None or not coverage.finite:
        return False
    enough = coverage.positions >= _ALIVE and coverage.top1_positions >= _TOP1
    return enough and coverage.elements >= _ELEMENTS


def partly_alive(candidate: Candidate) -> bool:
    """Whether the gradient reaches at least a third of the positions of a candidate."""
    coverage = candidate.coverage
    if coverage is None or not coverage.finite:
        return False
    return coverage.positions >= _PARTLY and coverage.elements >= _ELEMENTS


def _elements(candidate: Candidate) -> float:
    return candidate.coverage.elements if candidate.coverage else 0.0


def inside_attention(module: nn.Module) -> Callable[[str], bool]:
    """Returns a test of a layer's name: whether the layer lies inside an attention module."""
    prefixes = {
        name
        for name, m in module.named_modules()
        if name and _ATTENTION.search(type(m).__name__) and not _CONTAINER.search(type(m).__name__)
    }

    def inside(name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:i]) in prefixes for i in range(1, len(parts) + 1))

    return inside


def is_bare_pooling(output: Output) -> bool:
    """Whether an output is that of a pooling without parameters."""
    return bool(_POOLING.search(type(output.module).__name__)) and not list(output.module.parameters())


def _is_normalisation(candidate: Candidate) -> bool:
    return any("norm" in type(o.module).__name__.lower() and not list(o.module.children()) for o in candidate.outputs)

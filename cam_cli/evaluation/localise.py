"""Evaluates a run against its truth: scores, figures of all maps and of groups, gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import CamxError, nearest
from ..images.annotations.formats import read_truth
from ..images.annotations.matching import match_truths
from .cases import Ground, cases
from .figures import ChosenThreshold, Measured, add_top1, measure
from .folder import ExplainedRun
from .gating import Gate
from .marks import Marks
from .names import ClassMatcher, read_synonyms
from .options import LocaliseOptions
from .records import CLASS, Grouped, Localisation, MapSet
from .scores import Scores, scored
from .thresholds import AUTO, choose_threshold, thresholds_with


def localise(path: str, options: LocaliseOptions) -> Localisation:
    """Evaluates the run of `camx explain` in `path`. Reads its rows and changes nothing.

    Raises `CamxError` for an unfinished run, a truth that is unreadable or matches no image, and an option that does
    not fit.
    """
    gates = [Gate.parse(text) for text in options.fail_if]
    thresholds = thresholds_with(options.threshold)
    run = ExplainedRun(path, partial=options.partial)
    assert options.truth is not None
    truth = read_truth(options.truth, options.truth_format)
    matcher = ClassMatcher(read_synonyms(options.names) if options.names else None)
    images = match_truths(truth.images, run.images, run.base, stems=truth.stems, problems=truth.problems)
    if not images:
        raise CamxError(
            f"No image of {options.truth!r} is in {path!r}. "
            f"The truth names {_example(one.name for one in truth.images)}, the run {_example(run.images)}."
        )
    ground = Ground(images, matcher, run.classes, run.orientation, truth.problems)
    marks = Marks()
    scores = scored(marks.collected(cases(run.rows(), ground)), thresholds, options.calibrate)
    if not scores.cases:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in truth.problems.counts().items())
        raise CamxError(
            f"No map of {path!r} can be scored against {options.truth!r}: {reasons or 'it has no objects'}.",
            "Check that the truth belongs to these images and names the classes of the network (`names`).",
        )
    sets = tuple(_map_set(scores, method, thresholds, options, gates) for method in _methods(scores))
    return Localisation(
        run=run,
        options=options,
        truth_format=truth.format,
        images=len({case.image for case in scores.cases}),
        sets=sets,
        thresholds=thresholds,
        ground=ground,
        marks=marks,
        problems=truth.problems,
        notes=(*run.notes(), *truth.notes, *_notes(sets, options)),
        gates=tuple(
            result for gate in gates for one in sets for result in gate.judged(one, options, several=len(sets) > 1)
        ),
    )


def _example(names: Iterable[str]) -> str:
    return repr(next(iter(names), ""))


def _methods(scores: Scores) -> list[str]:
    return list(dict.fromkeys(case.method for case in scores.cases))


def _map_set(
    scores: Scores, method: str, thresholds: np.ndarray, options: LocaliseOptions, gates: Sequence[Gate]
) -> MapSet:
    of_method = scores.of(np.array([case.method == method for case in scores.cases]))
    place = choose_threshold(of_method, thresholds, options.threshold)
    own_class = np.array([case.which == "own" for case in of_method.cases])
    own, other = of_method.of(own_class), of_method.of(~own_class)
    wanted = dict.fromkeys([CLASS, *options.by, *(gate.condition.by for gate in gates if gate.condition.by)])
    whole = _whole(own, place, options)
    add_top1(whole, of_method, place, options.confidence)
    return MapSet(
        method=method,
        layer=of_method.cases[0].layer,
        chosen=place,
        scores=own,
        other=other,
        whole=whole,
        whole_other=_whole(other, place, options),
        groups=tuple(_grouped(own, by, place, options) for by in wanted) if own.cases else (),
    )


def _whole(scores: Scores, place: ChosenThreshold, options: LocaliseOptions) -> Measured:
    return measure(scores, np.zeros(len(scores.cases), int), 1, place, options.confidence)


def _grouped(scores: Scores, by: str, place: ChosenThreshold, options: LocaliseOptions) -> Grouped:
    """Groups by the attribute `by`. Raises `CamxError` if no image has it."""
    values = [case.name if by == CLASS else dict(case.attributes).get(by, "") for case in scores.cases]
    names = sorted({value for value in values if value})
    if not names:
        known = [CLASS, *dict.fromkeys(name for case in scores.cases for name, _ in case.attributes)]
        hint = nearest(by, known) or f" There are {', '.join(known)}."
        raise CamxError(f"There is no attribute {by!r}.{hint}")
    places = {name: place for place, name in enumerate(names)}
    groups = np.array([places.get(value, -1) for value in values])
    return Grouped(by, tuple(names), measure(scores, groups, len(names), place, options.confidence))


def _notes(sets: Sequence[MapSet], options: LocaliseOptions) -> list[str]:
    notes = []
    for one in sets:
        if not one.scores.cases:
            notes.append(
                f"{one.method}: no map shows a class of the truth, so the maps of the predicted classes are scored. "
                "Explain the images again with `target=label`, or match the class names with `names`."
            )
        elif one.chosen.ours is None and options.threshold == AUTO:
            notes.append(
                f"{one.method}: no threshold can be chosen, because no box fits on the held-out images. "
                "Give more images, or a `threshold`."
            )
    return notes

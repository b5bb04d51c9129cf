"""Compares two runs: flips, accuracy, moved maps, and gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..audit.attributes import Attributes
from ..audit.groups import CLASS, Attribute
from ..audit.groups_file import read_groups
from ..audit.reading import read_run
from ..errors import CamxError
from ..gates import Condition
from ..outputs.run_folder import RunFolder
from .join import LABEL, PREDICTION, TARGET, Pairs, Side, join, read_side
from .judging import Gate, check, equivalence, has, judged
from .numbers import Figures
from .options import CompareOptions
from .pairing import Pairing, paired
from .records import Accuracy, Comparison

#: Most unmatched classes to name in a note.
_MOST_NAMES = 20


def compare(path_a: str, path_b: str, options: CompareOptions = CompareOptions()) -> Comparison:
    """Compares the runs of `camx explain` in two folders; A is the old one. Reads their rows and changes nothing.

    Raises `CamxError` for unfinished runs, runs without a common image, and options that do not fit.
    """
    conditions = _checked(options)
    runs = [
        read_run(path, partial=options.partial, why="the comparison would leave out its missing images")
        for path in (path_a, path_b)
    ]
    side_a, side_b = (read_side(run, options.on, common_method(runs)) for run in runs)
    pairs = join(side_a, side_b)
    pairing, relabelled = paired(side_a, side_b, pairs)
    figures = Figures(options, pairing)
    attributes, gates, strangers = _attributes(options, conditions, pairing, runs[0])
    accuracy = figures.accuracy() if has("labels", pairing) else None
    results = [judged(gate, pairing, options) for gate in gates]
    if options.equivalent_within is not None:
        if accuracy is None:
            raise CamxError(
                "`equivalent_within` needs labels that both networks know.",
                "Explain both again: `camx explain … --labels folder`.",
                field="equivalent_within",
            )
        results.append(equivalence(accuracy, options.equivalent_within, options.confidence))
    left_out = {**pairs.left_out, "with another label in B": relabelled, "in the groups file, not compared": strangers}
    return Comparison(
        records=(runs[0].record, runs[1].record),
        a=pairing.a,
        b=pairing.b,
        flips=pairing.flips,
        likeness=pairing.likeness,
        borders=pairing.borders,
        accuracy=accuracy,
        maps=figures.maps() if has("maps", pairing) else {},
        groups=tuple(row for attribute in attributes for row in figures.group_rows(attribute)),
        gates=tuple(results),
        left_out={why: count for why, count in left_out.items() if count},
        unmatched=_unmatched(runs),
        notes=tuple(_notes(options, runs, (side_a, side_b), pairs, accuracy)),
        confidence=options.confidence,
    )


def _checked(options: CompareOptions) -> list[Condition]:
    """Conditions of the gates. Raises `CamxError` for an option that fits no runs at all."""
    conditions = [Condition.parse(text) for text in options.fail_if]
    for condition in conditions:
        check(condition)
    on = options.on
    if on not in (PREDICTION, LABEL) and not (on.startswith(TARGET) and on.removeprefix(TARGET).strip()):
        raise CamxError(f"`on` {on!r} is unknown.", "Give prediction, label, or target:CLASS.", field="on")
    return conditions


def common_method(runs: Sequence[RunFolder]) -> str | None:
    """First method of A that B also has; None if there is none."""
    first, second = (run.record.get("fingerprint", {}).get("methods", []) for run in runs)
    return next((method for method in first if method in second), None)


def _attributes(
    options: CompareOptions, conditions: Sequence[Condition], pairing: Pairing, run: RunFolder
) -> tuple[list[Attribute], list[Gate], int]:
    """Attributes of the table, gates with their attributes, and number of images of --groups in no pair."""
    table, strangers = pairing.a, 0
    if options.groups is not None:
        found = read_groups(options.groups, table.images, run.inputs)
        table, strangers = table.with_attributes(found.columns), found.strangers
    known = Attributes(table, options.bins)
    gates = [Gate(condition, known.find(condition.by) if condition.by else None) for condition in conditions]
    named = [known.find(name) for name in options.by] + [gate.attribute for gate in gates if gate.attribute]
    for attribute in named:
        if not attribute.groups:
            raise CamxError(f"No image has a group of {attribute.name!r}. Leave it out of `by` and `fail_if`.")
    of_class = known.find(CLASS)
    shown = {one.name: one for one in (*named, *([of_class] if of_class.groups else []))}
    return list(shown.values()), gates, strangers


def _unmatched(runs: Sequence[RunFolder]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes only in A, and only in B; empty if a run does not list its classes."""
    first, second = (run.record.get("classes", []) for run in runs)
    if not first or not second:
        return (), ()
    return tuple(name for name in first if name not in {*second}), tuple(
        name for name in second if name not in {*first}
    )


def _notes(
    options: CompareOptions, runs: Sequence[RunFolder], sides: Sequence[Side], pairs: Pairs, accuracy: Accuracy | None
) -> Iterator[str]:
    """Sentences that readers need to interpret the figures."""
    if pairs.by_content:
        yield "No image has the same name in both runs, so images are paired by file content."
    methods = [" and ".join(sorted(f"{method} at {layer}" for method, layer in side.methods)) for side in sides]
    if methods[0] != methods[1]:
        first, second = (method or "no such class" for method in methods)
        yield f"The maps show {first} in A and {second} in B, so they are compared by place, not by value."
    frames = [run.record.get("fingerprint", {}).get("preprocessing") for run in runs]
    if frames[0] != frames[1]:
        yield "The networks have different preprocessing (size, crop or normalisation)."
    for name, only in zip("AB", _unmatched(runs)):
        if only:
            more = f" and {len(only) - _MOST_NAMES} more" if len(only) > _MOST_NAMES else ""
            yield f"Only {name} has the classes {', '.join(only[:_MOST_NAMES])}{more}. Classes are matched by name."
    if not all(run.record.get("classes") for run in runs):
        yield "A run does not list its classes (an earlier camx wrote it): they are matched by the names in its rows."
    if accuracy is None:
        yield "No image has a label that both networks know, so only flips and maps are compared."
    elif accuracy.p > 1 - options.confidence and options.equivalent_within is None:
        yield "The accuracies do not differ significantly. `equivalent_within` tests whether they are equal."

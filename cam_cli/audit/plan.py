"""Resolves the options of an audit to metrics, attributes and gates of a table, or raises an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CamxError, nearest
from ..gates import FORMS, Condition
from .attributes import Attributes
from .groups import CLASS, Attribute, crossing
from .image_table import ImageTable
from .metrics import METRICS, USUAL
from .options import AuditOptions

_MISSING = {
    "labels": "{metric!r} needs labels that are classes of the network, but the run has none. Explain the images again "
    "with `camx explain … --labels folder`, or give only `metrics` such as prob,cam_border.",
    "maps": "{metric!r} needs maps, but the run has none that can be measured. Leave this metric out.",
    "predictions": "No image of the run was explained, so there is no {metric!r}. predictions.csv lists the reasons.",
    "label_prob": "{metric!r} needs the probability of the true class, but the run has none: an earlier camx wrote it, "
    "or it has no labels. Explain the images again with `camx explain … --labels folder`.",
    "truth": "{metric!r} needs true boxes, but the run was not compared with any. Do that first: "
    "`camx evaluate OUT --truth FILE`.",
}
#: Column that shows whether a run has the data of a metric.
_COLUMN = {"maps": "cam_area", "predictions": "prob", "truth": "energy_in_box"}


@dataclass(frozen=True)
class PlannedGate:
    """A condition with its metric, form ("" for one value over all images) and attributes."""

    condition: Condition
    metric: str
    form: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Plan:
    """A resolved audit. references: index of the reference group by attribute. positive: index of the class of recall
    and precision. clusters: cluster of each image."""

    metrics: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    gates: tuple[PlannedGate, ...]
    references: Mapping[str, int]
    positive: int | None
    clusters: np.ndarray | None
    notes: tuple[str, ...]


def plan(options: AuditOptions, conditions: Sequence[Condition], table: ImageTable) -> Plan:
    """Plans an audit. Raises `CamxError` for an unknown metric, attribute, class or group."""
    forms = [_form(condition) for condition in conditions]
    known = Attributes(table, options.bins)
    metrics = _metrics(options, [metric for metric, _ in forms], table)
    shown, notes = ([known.find(name) for name in options.by], []) if options.by else known.defaults()
    # A column with one value has nothing to compare; it is judged only if named.
    gated = shown if options.by else [one for one in shown if one.kind == "column" and len(one.groups) > 1]
    crossed = _crossed(options, gated)
    of_gates = [_attributes_of(condition, form, gated, known) for condition, (_, form) in zip(conditions, forms)]
    attributes = {one.name: one for one in (*shown, *crossed, *(one for some in of_gates for one in some))}
    for attribute in attributes.values():
        if not attribute.groups:
            raise CamxError(f"No image has a group of {attribute.name!r}. Leave it out of `by` and `fail_if`.")
    gates = [PlannedGate(c, metric, form, some) for c, (metric, form), some in zip(conditions, forms, of_gates)]
    return Plan(
        metrics,
        tuple(attributes.values()),
        tuple(gates),
        _references(options.reference, list(attributes.values())),
        _class_number(options.positive, table.classes),
        known.clusters(options.cluster) if options.cluster else None,
        tuple(notes),
    )


def check_conditions(texts: Sequence[str]) -> None:
    """Raises `CamxError` for a condition that no run can satisfy: of an unknown form or metric."""
    for text in texts:
        _form(Condition.parse(text))


def _form(condition: Condition) -> tuple[str, str]:
    condition.expect_flag()
    metric, form = condition.split_form(METRICS, tuple(FORMS))
    if condition.by and not form:
        choices = ", ".join(f"{metric}_{name}" for name in FORMS)
        raise CamxError(
            f"`fail_if` {condition.text!r} does not say how groups are compared.",
            f"Write one of {choices}.",
            field="fail_if",
        )
    return metric, form


def _metrics(options: AuditOptions, of_gates: Sequence[str], table: ImageTable) -> tuple[str, ...]:
    """Default metrics for which the run has data, and requested ones."""
    for name in options.metrics:
        if name not in METRICS:
            hint = nearest(name, METRICS) or f" There are {', '.join(METRICS)}."
            raise CamxError(f"`metrics`: there is no metric {name!r}.{hint}", field="metrics")
    asked = [*options.metrics, *of_gates] or ([] if _has("labels", table) else ["accuracy"])
    for name in asked:
        if not _has(METRICS[name].needs, table):
            raise CamxError(_MISSING[METRICS[name].needs].format(metric=name))
    return tuple(dict.fromkeys([*(name for name in USUAL if _has(METRICS[name].needs, table)), *asked]))


def _has(need: str, table: ImageTable) -> bool:
    if need == "labels":
        return bool(table.labelled.any())
    column = _COLUMN.get(need, need)
    return column in table.numbers and bool(np.isfinite(table.numbers[column]).any())


def _crossed(options: AuditOptions, attributes: Sequence[Attribute]) -> list[Attribute]:
    if not options.cross:
        return []
    if len(attributes) < 2:
        raise CamxError("`cross` needs two attributes.", "Name them with `by`.", field="cross")
    return [crossing(attributes)]


def _attributes_of(
    condition: Condition, form: str, usual: Sequence[Attribute], known: Attributes
) -> tuple[Attribute, ...]:
    """Attributes of a gate: the one it names, those of --by or of the labels file, else the class."""
    if not form:
        return ()
    if condition.by:
        return (known.find(condition.by),)
    return tuple(usual) or (known.find(CLASS),)


def _references(name: str | None, attributes: Sequence[Attribute]) -> dict[str, int]:
    if name is None:
        return {}
    found = {one.name: one.groups.index(name) for one in attributes if name in one.groups}
    if not found:
        groups = [group for one in attributes for group in one.groups]
        raise CamxError(f"`reference` {name!r}: there is no such group.{nearest(name, groups)}", field="reference")
    return found


def _class_number(name: str | None, classes: Sequence[str]) -> int | None:
    if name is None:
        return None
    found = [place for place, known in enumerate(classes) if known.casefold() == name.strip().casefold()]
    if not found:
        raise CamxError(f"`positive` {name!r}: the run has no such class.{nearest(name, classes)}", field="positive")
    return found[0]

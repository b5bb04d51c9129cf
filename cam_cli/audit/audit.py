"""Audits a run: groups, their metrics and differences, and gates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..gates import Condition, GateResult, Groups, Judge, comparisons_of, pairs_of
from ..outputs.run_folder import RunFolder
from ..sentences import counted
from ..statistics import Estimates, Resampler, difference, holm, p_values, z_of
from .groups import Attribute
from .groups_file import read_groups
from .image_table import UNKNOWN, ImageTable
from .metrics import METRICS, Question
from .options import AuditOptions
from .plan import Plan, PlannedGate, plan
from .reading import read_run, read_table
from .records import AuditResult, GroupRow, PairRow, Value

#: Most pairs of groups to list per attribute; with `reference` only pairs with one group are listed.
MOST_PAIRS = 1000


def audit(path: str, options: AuditOptions = AuditOptions()) -> AuditResult:
    """Audits the run of `camx explain` in `path`. Reads its rows and changes nothing.

    Raises `CamxError` for an unfinished run, a run without labels of known classes (if a metric needs them) or without
    an image in a group, and for an option that does not fit.
    """
    run = read_run(path, partial=options.partial, why="its images may be those of the first classes only")
    return audit_table(run, read_table(run), options)


def audit_table(run: RunFolder, table: ImageTable, options: AuditOptions) -> AuditResult:
    """Audits rows that have been read. Raises `CamxError` as `audit` does."""
    conditions = [Condition.parse(text) for text in options.fail_if]
    left_out = dict[str, int]()
    if options.groups is not None:
        found = read_groups(options.groups, table.images, run.inputs)
        table = table.with_attributes(found.columns)
        left_out = {"in the groups file, not in the run": found.strangers, "not in the groups file": found.unnamed}
    planned = plan(options, conditions, table)
    work = _Work(options, planned, table)
    pairs, unlisted = work.pairs()
    return AuditResult(
        run=run.record,
        table=table,
        attributes=planned.attributes,
        metrics=planned.metrics,
        overall={metric: work.values(metric, work.everything)[0] for metric in planned.metrics},
        groups=tuple(row for attribute in planned.attributes for row in work.group_rows(attribute)),
        pairs=tuple(pairs),
        gates=tuple(result for gate in planned.gates for result in work.judged(gate)),
        left_out={why: count for why, count in {**left_out, **_left_out(table, planned)}.items() if count},
        notes=(*planned.notes, *unlisted, *_several(table)),
        confidence=options.confidence,
    )


def _several(table: ImageTable) -> Iterator[str]:
    if count := int(table.several.sum()):
        having = counted(count, "image has", "images have")
        yield f"{having} several true classes. Only the one with the highest rank counts."


def _left_out(table: ImageTable, planned: Plan) -> dict[str, int]:
    """Number of left-out images by reason."""
    unlabelled = ~table.failed & ~table.labelled
    return {
        "failed": int(table.failed.sum()),
        "without a label": int((unlabelled & (table.label != UNKNOWN)).sum()),
        "with a label that is no class of the network": int((unlabelled & (table.label == UNKNOWN)).sum()),
        "blank map": int(table.blank.sum()),
        **{
            f"without a group of {attribute.name}": int((~table.failed & (attribute.codes < 0)).sum())
            for attribute in planned.attributes
            if attribute.kind == "column"
        },
    }


class _Work:
    """Computes and caches the estimates of one table."""

    def __init__(self, options: AuditOptions, planned: Plan, table: ImageTable) -> None:
        self.options, self.planned, self.table = options, planned, table
        self.everything = Attribute("", ("all images",), np.zeros(len(table), int))
        self._question = partial(
            Question,
            table,
            resampler=Resampler(seed=options.seed, clusters=planned.clusters),
            positive=planned.positive,
        )
        self._estimates: dict[tuple[str, str], Estimates] = {}

    def estimates(self, metric: str, attribute: Attribute) -> Estimates:
        key = (metric, attribute.name)
        if key not in self._estimates:
            self._estimates[key] = METRICS[metric].estimate(self._question(attribute))
        return self._estimates[key]

    def values(self, metric: str, attribute: Attribute) -> list[Value]:
        """The metric in each group, each with its own interval."""
        found = self.estimates(metric, attribute)
        low, high = found.limits(z_of(1 - self.options.confidence), np.arange(len(attribute.groups)))
        columns = zip(found.value.tolist(), low.tolist(), high.tolist(), found.total.astype(int).tolist())
        return [Value(*column) for column in columns]

    def group_rows(self, attribute: Attribute) -> Iterator[GroupRow]:
        table, judges = self.table, "accuracy" in self.planned.metrics
        explained, labelled = ~table.failed, table.labelled & ~table.failed
        images, failed, unlabelled, right, known = (
            np.bincount(attribute.codes[chosen & (attribute.codes >= 0)], minlength=len(attribute.groups)).tolist()
            for chosen in (explained, table.failed, explained & ~labelled, labelled & (table.correct == 1), labelled)
        )
        values = {metric: self.values(metric, attribute) for metric in self.planned.metrics}
        for group, name in enumerate(attribute.groups):
            yield GroupRow(
                by=attribute.name,
                group=name,
                images=images[group],
                failed=failed[group],
                unlabelled=unlabelled[group],
                right=right[group] if judges else None,
                values={metric: found[group] for metric, found in values.items()},
                small=(known if judges else images)[group] < self.options.min_group,
            )

    def pairs(self) -> tuple[list[PairRow], list[str]]:
        """Differences of all pairs of groups, and sentences about attributes with too many pairs."""
        rows: list[PairRow] = []
        unlisted: list[str] = []
        for attribute in self.planned.attributes:
            found = [(metric, self._groups(metric, attribute)) for metric in self.planned.metrics]
            most = max(comparisons_of("gap", groups.usable, groups.reference) for _, groups in found)
            if most > MOST_PAIRS:
                unlisted.append(
                    f"{attribute.name} has {counted(most, 'pair')} of groups, too many to list. List the pairs with "
                    "one group: `reference`."
                )
                continue
            rows += [row for metric, groups in found for row in self._pair_rows(metric, groups)]
        return rows, unlisted

    def _pair_rows(self, metric: str, groups: Groups) -> Iterator[PairRow]:
        """Pairs of sufficiently large groups, with simultaneous intervals."""
        if groups.reference is not None and groups.reference not in groups.usable:
            return
        a, b = pairs_of(groups.usable, groups.reference)
        gaps, low, high = difference(groups.estimates, a, b, z_of(1 - self.options.confidence, len(a)))
        columns = (gaps, low, high, holm(p_values(groups.estimates, a, b)))
        for first, second, *numbers in zip(a, b, *(column.tolist() for column in columns)):
            yield PairRow(groups.by, groups.names[first], groups.names[second], metric, *numbers)

    def judged(self, gate: PlannedGate) -> Iterator[GateResult]:
        """Verdict on each attribute of a gate; they share its level."""
        found = [self._groups(gate.metric, attribute) for attribute in gate.attributes or (self.everything,)]
        count = sum(comparisons_of(gate.form, groups.usable, groups.reference) for groups in found)
        options, share = self.options, METRICS[gate.metric].share
        judge = Judge(gate.condition, gate.metric, gate.form, count, options.confidence, options.prove, share)
        yield from (judge.on(groups) for groups in found)

    def _groups(self, metric: str, attribute: Attribute) -> Groups:
        found = self.estimates(metric, attribute)
        least = 1 if attribute is self.everything else self.options.min_group
        usable = np.flatnonzero((found.total >= least) & np.isfinite(found.value)).tolist()
        return Groups(attribute.name, attribute.groups, found, usable, self.planned.references.get(attribute.name))

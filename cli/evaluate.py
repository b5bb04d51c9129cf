"""`camx evaluate`: scores maps against boxes and masks, or measures their faithfulness."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cam_cli.errors import CamxError
from cam_cli.evaluation.options import LocaliseOptions
from cam_cli.options import FILLED, options_of
from cam_cli.pipeline.job import EVALUATED, EVALUATION, PAGE, EvaluateJob
from cam_cli.tracking.options import TrackingOptions

from .bind import Command
from .evaluate_truth import evaluate_truth
from .gates import Junit
from .remote_folders import require_local, run_folder
from .run_command import Ending, RunFlags, run_command
from .run_summary import Words

if TYPE_CHECKING:
    from cam_cli.pipeline import Summary

WORDS = Words(done="evaluated", layer="target layer", table="faithfulness.csv")


@dataclass(frozen=True)
class LocaliseJob:
    """Options of an evaluation against a truth, and gates of both kinds of evaluation."""

    sources: Annotated[tuple[str, ...], EVALUATED]
    localise: LocaliseOptions = LocaliseOptions()
    output: Annotated[str | None, EVALUATION] = None
    report: Annotated[bool, PAGE] = True
    junit: Junit = None
    origins: Annotated[Mapping[str, str], FILLED] = dataclasses.field(default_factory=dict, compare=False)


#: Flags of both kinds of evaluation.
_SHARED = {
    *("sources", "output", "report", "junit", "fail-if", "confidence"),
    *("config", "isolated", "json", "quiet", "no-color", "summary"),
}


def evaluate(localise: LocaliseJob, job: EvaluateJob, run: RunFlags) -> int:
    """Score class activation maps in one of two ways. Exit code 1 if a gate fails.

    OUT and --truth: compare the maps of a finished run with boxes or masks. Needs no model.

    SOURCES and --model: measure whether the network depends on the regions in its maps, and rank --methods.
    """
    # A model in the environment is meant for other commands.
    model = job.model.name and (not localise.localise.truth or job.origins.get("model") == "flag")
    if bool(localise.localise.truth) == bool(model):
        raise CamxError(
            "`camx evaluate` needs either a run and its truth, or images and a model.",
            "Give OUT and --truth (scores against boxes or masks), or SOURCES and --model (faithfulness).",
        )
    if localise.localise.truth:
        _refuse("`model`", {**job.origins, **run.origins}, _names(LocaliseJob) | _names(TrackingOptions))
        require_local(localise.output)
        with ExitStack() as held:
            folders = tuple(held.enter_context(run_folder(source)) for source in localise.sources)
            return evaluate_truth(
                folders, localise.localise, localise.output, localise.junit, run, page=localise.report
            )
    from cam_cli.evaluation.faithful_files import check_gates

    _refuse("`truth`", localise.origins, _names(EvaluateJob) | _names(RunFlags))
    check_gates(localise.localise.fail_if, job.faithful.metrics)
    ending = partial(_ending, localise, job)
    return run_command(job, run, WORDS, ending)


def _names(part: type) -> set[str]:
    return {option.name for option in options_of(part)}


def _refuse(wanted: str, origins: Mapping[str, str], known: set[str]) -> None:
    """Raises `CamxError` for a flag of the other kind of evaluation."""
    for name, origin in origins.items():
        if origin == "flag" and name not in known | _SHARED:
            raise CamxError(f"--{name} has no effect here: it needs {wanted}.", "Leave it out.")


def _ending(localise: LocaliseJob, job: EvaluateJob, summary: Summary) -> Ending:
    """Writes figures, gates and the JUnit file of a complete run; nothing while shards are missing."""
    from cam_cli.evaluation.faithful_files import faithfulness, lines, markdown, write_faithfulness
    from cam_cli.evaluation.faithful_files import summary as as_json
    from cam_cli.gates import exit_code, junit
    from cam_cli.images.remote import is_remote
    from cam_cli.outputs.derived import write_beside
    from cam_cli.outputs.run_folder import RunFolder
    from cam_cli.outputs.store import remove_if_there

    if is_remote(job.output) or not RunFolder.read(job.output).complete:
        return Ending()
    options = localise.localise
    found = faithfulness(job.output, options.fail_if, options.confidence)
    write_faithfulness(found)
    written = os.path.join(job.output, "evaluate", "summary.json")
    if job.report:
        from cam_cli.report.evaluation import build_faithfulness

        written = build_faithfulness(found)
    else:
        remove_if_there(os.path.join(job.output, "evaluate", "index.html"))
    if localise.junit:
        write_beside(localise.junit, junit("evaluate", found.gates))
    judged = [f"{gate.verdict.upper()} {gate.text}: {gate.sentence}" for gate in found.gates]
    figures = as_json(found)
    return Ending(
        {"evaluation": figures},
        [*lines(found), *judged, written],
        exit_code(found.gates),
        markdown(found),
    )


COMMAND = Command(
    evaluate,
    examples={
        "camx evaluate camx-out --truth instances.json": "every score with that of the centre baseline",
        "camx evaluate camx-out --truth labels/ --fail-if 'pointing < 0.8'": "exit code 1 if that is proven",
        "camx evaluate ./images --model resnet50 --methods gradcam,layercam,eigencam": "rank methods by faithfulness",
        "camx evaluate ./images --model resnet50 --metrics sanity --fail-if 'sanity_head > 0.5'": "test whether maps "
        "change with the classifier",
    },
    page="evaluate.md",
)

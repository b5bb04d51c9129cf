"""`camx merge`: merges the parts of a sharded run into one folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cam_cli.options import FILLED, Flag
from cam_cli.sentences import counted

from . import activations, ask, caption, evaluate, explain
from .bind import Command
from .names import Names
from .remote_folders import fetched
from .run_command import AsJson, Quiet
from .terminal import Reporter, announces_start, fail, out, out_json

if TYPE_CHECKING:
    from cam_cli.distributed import Merged


@dataclass(frozen=True)
class MergeJob:
    """Options of `camx merge`."""

    output: Annotated[str, Flag("Common output folder of the shards.", argument=True, metavar="OUT")]
    as_json: AsJson = False
    quiet: Quiet = False
    names: Annotated[Names, FILLED] = Names()


@fetched("output")
def merge(job: MergeJob) -> int:
    """Merge the parts of a sharded run: table, report and totals. Exit code 1 while a shard is missing or
    unfinished."""
    reporter = Reporter(quiet=job.quiet, verbose=False, color=True, names=job.names)
    if announces_start(reporter.console):
        reporter.inform(f"reading {job.output} …")
    from cam_cli.distributed import merge as join

    merged = join(job.output, reporter)
    if job.as_json:
        unfinished = {str(shard): state for shard, state in merged.unfinished.items()}
        out_json({"output": job.output, "unfinished": unfinished, **merged.record})
    elif not job.quiet:
        out(_text(merged, job.output))
    if merged.unfinished:
        states = ", ".join(f"{shard} {state}" for shard, state in merged.unfinished.items())
        fail(
            f"Not all shards are finished: {states}. "
            f"Run these again with their --shard, then `camx merge {job.output}`."
        )
    return int(bool(merged.unfinished))


def _text(merged: Merged, output: str) -> str:
    record = merged.record
    if "images" not in record:
        return f"no shard has finished yet\n{output}"
    texts = {"caption": caption.WORDS, "ask": ask.WORDS}
    commands = {"activations": activations.WORDS, "evaluate": evaluate.WORDS, **texts}
    words = commands.get(record["fingerprint"].get("command", ""), explain.WORDS)
    images = counted(record["images"], "image")
    lines = [f"{record['ok']} of {images} {words.done}, {record['failed']} failed, {record['blank']} blank"]
    if record.get("labelled"):
        lines.append(f"top-1 accuracy {record['accuracy']:.1%} on {counted(record['labelled'], 'labelled image')}")
    if shards := record.get("shards"):
        lines.append(f"{counted(len(shards), 'shard')}, the longest {record['seconds']:.1f} s")
    return "\n".join([*lines, f"{output}/{words.table}"])


COMMAND = Command(
    merge,
    examples={
        "camx explain ./images --model resnet50 --shard 1/2": "on one machine, and 2/2 on another",
        "camx merge camx-out": "afterwards, on either",
    },
    page="scaling.md",
)

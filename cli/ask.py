"""`camx ask`: runs an `AskJob` and returns the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cam_cli.pipeline.text_jobs import AskJob
from cam_cli.sentences import counted

from .bind import Command
from .run_command import Ending, RunFlags, run_command
from .run_summary import Words

if TYPE_CHECKING:
    from cam_cli.pipeline import Summary

WORDS = Words(done="asked about", layer="image tokens", table="answers.csv", backends=False)


def ask(job: AskJob, run: RunFlags) -> int:
    """Ask a network about images, and show which region made it give its answer. Needs camx[text]."""
    return run_command(job, run, WORDS, lambda summary: _ending(job, summary))


def _ending(job: AskJob, summary: Summary) -> Ending:
    """Adds the share of right answers, if true ones are known."""
    from cam_cli.outputs.answers import judged
    from cam_cli.outputs.run_folder import RunFolder

    if job.questions is None or job.shard is not None or "://" in job.output:
        return Ending()
    right, total = judged(RunFolder.read(job.output).rows())
    if not total:
        return Ending()
    share = right / total
    line = f"{share:.1%} of {counted(total, 'answer')} right"
    return Ending({"answers_judged": total, "answers_right": right}, [line])


COMMAND = Command(
    ask,
    examples={
        "camx ask ./images --model hf:dandelin/vilt-b32-finetuned-vqa --question 'is there a cat?'": "of every image",
        "camx ask ./images --model hf:Salesforce/blip-vqa-base --questions questions.csv": "questions about each image",
        "camx ask photo.jpg --model hf:./my-llava --question 'what is on the left?'": "the answer of a language model",
    },
    page="hub.md",
)

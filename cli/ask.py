"""`camx ask`: runs an `AskJob`, judges its gates, and returns the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from cam_cli.pipeline.text_jobs import AskJob
from cam_cli.sentences import counted

from .afterwards import Afterwards, expect_whole, judged_ending
from .bind import Command
from .run_command import Ending, RunFlags, run_command
from .run_summary import Words

if TYPE_CHECKING:
    from cam_cli.gates import GateResult
    from cam_cli.pipeline import Summary

WORDS = Words(done="asked about", layer="image tokens", table="answers.csv", backends=False)


def ask(job: AskJob, run: RunFlags, afterwards: Afterwards) -> int:
    """Ask a network about images, and show for each answer the image regions that caused it. Needs camx[text]."""
    if afterwards.fail_if:
        from cam_cli.audit.answer_gates import check_answer_conditions

        check_answer_conditions(afterwards.fail_if, job.questions)
        expect_whole(job, "Give them to the same command without `shard`, when all shards are merged.")
    return run_command(job, run, WORDS, partial(_ending, job, afterwards))


def _ending(job: AskJob, afterwards: Afterwards, summary: Summary) -> Ending:
    """Judges the gates, and adds the share of right answers if true ones are known."""
    from cam_cli.outputs.answers import judged
    from cam_cli.outputs.run_folder import RunFolder

    more, lines = {}, []
    if job.questions is not None and job.shard is None and "://" not in job.output:
        right, total = judged(RunFolder.read(job.output).rows())
        if total:
            more = {"answers_judged": total, "answers_right": right}
            lines = [f"{right / total:.1%} of {counted(total, 'answer')} right"]

    def judge() -> Sequence[GateResult]:
        from cam_cli.audit.answer_gates import judged_answers

        return judged_answers(job.output, afterwards.fail_if, afterwards.confidence)

    return judged_ending("ask", job.output, afterwards, summary, judge, more=more, lines=lines)


COMMAND = Command(
    ask,
    examples={
        "camx ask ./images --model hf:dandelin/vilt-b32-finetuned-vqa --question 'is there a cat?'": "of every image",
        "camx ask ./images --model hf:Salesforce/blip-vqa-base --questions questions.csv": "questions about each image",
        "camx ask ./images --model hf:./my-vqa --questions q.csv --fail-if 'accuracy < 0.9'": "exit code 1 if proven",
        "camx ask photo.jpg --model hf:./my-llava --question 'what is on the left?'": "the answer of a language model",
    },
    page="hub.md",
)

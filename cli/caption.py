"""`camx caption`: runs a `CaptionJob` and returns the exit code."""

from __future__ import annotations

from cam_cli.pipeline.text_jobs import CaptionJob

from .bind import Command
from .run_command import RunFlags, run_command
from .run_summary import Words

WORDS = Words(done="captioned", layer="image tokens", table="captions.csv", backends=False)


def caption(job: CaptionJob, run: RunFlags) -> int:
    """Caption images, and show for each word the image regions that caused it. Needs camx[text]."""
    return run_command(job, run, WORDS)


COMMAND = Command(
    caption,
    examples={
        "camx caption ./images --model hf:Salesforce/blip-image-captioning-base": "a caption per image, a map per word",
        "camx caption ./images --model hf:./my-captioner --text captions.csv": "maps of the words of given captions",
        "camx caption photo.jpg --model hf:./my-captioner --text 'a cat on a mat'": "maps of one text for all images",
    },
    page="hub.md",
)

"""Keeps the image names of an earlier run of OUT when sources lie below the folder of that run."""

from __future__ import annotations

import dataclasses
import os

from ..images.listing import Inputs
from ..images.remote import is_remote
from ..outputs.record_file import recovered_record
from .job import RunOptions


def named_as_before(inputs: Inputs, job: RunOptions) -> Inputs:
    """Renames inputs as in an earlier run of the output folder, so that finished images are recognised.

    A run over `images/monday` can then continue a run over `images`. Sources elsewhere are unchanged.
    """
    if is_remote(job.output) or is_remote(inputs.base) or not inputs.base:
        return inputs
    record, _ = recovered_record(job.output)
    before = record.get("fingerprint", {}).get("inputs", "") if record is not None else ""
    if not isinstance(before, str) or not inputs.base.startswith(before.rstrip(os.sep) + os.sep) or not before:
        return inputs
    folder = os.path.relpath(inputs.base, before).replace(os.sep, "/")
    sources = tuple(dataclasses.replace(source, key=f"{folder}/{source.key}") for source in inputs.sources)
    return dataclasses.replace(inputs, base=before, sources=sources)

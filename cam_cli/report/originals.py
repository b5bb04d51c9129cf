"""Links from the page of a run to its explained images on this machine."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from ..outputs.run_folder import RunFolder


@dataclass(frozen=True)
class Originals:
    """Images below `folder`, relative to the page in `page_folder`. Both are absolute paths."""

    folder: str
    page_folder: str

    def link(self, key: str) -> str:
        """Quoted address of an image relative to the page, from its name in the run.

        "" unless a regular file of that name exists in the folder. Names that lead out of the folder are never linked.
        """
        if PurePosixPath(key).is_absolute() or ".." in key.replace("\\", "/").split("/") or "\0" in key:
            return ""
        path = os.path.join(self.folder, key)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                return ""
        except (OSError, ValueError):
            return ""
        below = os.path.relpath(path, self.page_folder).replace(os.sep, "/")
        return quote(below.encode("utf-8", "surrogateescape"), safe="/")


def originals_of(run: RunFolder, page_folder: str) -> Originals | None:
    """`Originals` of a run whose images have a local folder; else None."""
    folder = run.record.get("fingerprint", {}).get("inputs", "")
    if not os.path.isabs(folder) or not os.path.isdir(folder):
        return None
    return Originals(folder, os.path.abspath(page_folder))

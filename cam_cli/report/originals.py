"""Links from the page of a run to the images that it explained, where they lie on this machine."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from ..outputs.run_folder import RunFolder


@dataclass(frozen=True)
class Originals:
    """Images below `folder`, seen from the page in `page_folder`. Both are absolute paths."""

    folder: str
    page_folder: str

    def link(self, key: str) -> str:
        """The quoted address of an image by its name in the run, seen from the page.

        Empty where no regular file of that name lies in the folder now: other kinds of files, and names that lead out
        of the folder, are never linked.
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
    """Those of a run whose images had a folder of their own on this machine; None for any other."""
    folder = run.record.get("fingerprint", {}).get("inputs", "")
    if not os.path.isabs(folder) or not os.path.isdir(folder):
        return None
    return Originals(folder, os.path.abspath(page_folder))

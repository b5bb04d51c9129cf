"""A run in Weights & Biases: online, or offline in `OUT/wandb` without a server, for a later upload."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import CamxError
from ..models.timm_import import WANDB_HIDDEN
from ..outputs import store
from ..outputs.folder_errors import explained_errors
from ..redaction import redacted
from ..regular_files import read_regular
from .background import Timeouts
from .options import WandbOptions, check_public
from .tracker import Files, RunInfo, Scalar, Step, Value
from .wandb_values import artifact, as_wandb

#: File in OUT with the id of the W&B run of its results.
RUN_FILE = ".wandb-run"
_RUN_FILE_BYTES = 10_000
_DATA_DIR = "WANDB_DATA_DIR"
#: Share of the final timeout after which W&B itself gives up with an error.
_OF_FINISH = 0.8


class WandbTracker:
    """One W&B run. The constructor imports wandb and, unless offline, checks that the server answers.

    `say` receives the address of the run; `warn` the command that uploads an offline run later.
    Raises `CamxError` if mode is online and no server answers.
    """

    def __init__(
        self, options: WandbOptions, say: Callable[[str], None], warn: Callable[[str], None],
        timeouts: Timeouts = Timeouts(),
    ) -> None:  # fmt: skip
        # W&B's own error reports would delay the end of the process if the server is silent.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        with WANDB_HIDDEN:
            import wandb

        # `wandb.init` reads these variables itself.
        for variable in ("WANDB_PROJECT", "WANDB_ENTITY"):
            check_public(variable, os.environ.get(variable))
        self._wandb: Any = wandb
        self._options, self._say, self._warn, self._timeouts = options, say, warn, timeouts
        self._run: Any = None
        self._output = ""
        self._axes: set[str] = set()
        self._data_dir = os.environ.get(_DATA_DIR)
        # Before anything else: a wandb that is set up without it prints to the terminal.
        wandb.setup(wandb.Settings(silent=True))
        self._why_offline = self._obstacle()
        if self._why_offline and options.mode == "online":
            raise _unreachable(self._why_offline)

    def begin(self, info: RunInfo) -> None:
        self._output = info.output
        store.system.make_folder(info.output)
        if self._data_dir is None:  # W&B copies images of tables here, not into the home folder.
            os.environ[_DATA_DIR] = os.path.abspath(os.path.join(info.output, "wandb"))
        if self._why_offline is None:
            try:
                self._run = self._started(info, "online")
            except self._wandb.Error as error:
                self._why_offline = _in_a_line(error)
                if self._options.mode == "online":
                    raise _unreachable(self._why_offline) from error
                # The id is in use until the failed run is removed.
                self._wandb.teardown()
                self._run = self._started_offline(info)
        if self._run is None:
            self._run = self._started(info, "offline")
        if self._why_offline is None:
            self._say(f"W&B run: {self._run.url}")

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        if at is not None:
            for name in values:
                self._on_axis(name, at.axis)
        logged = {name: as_wandb(value) for name, value in values.items() if not isinstance(value, Files)}
        if logged:
            self._run.log(logged if at is None else {at.axis: at.value, **logged})
        for name, value in values.items():
            if isinstance(value, Files):
                self._run.log_artifact(artifact(f"{name}-{self._run.id}", value))

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        self._run.summary.update({name: value for name, value in summary.items() if value is not None})
        folder = os.path.join(self._output, "wandb", os.path.basename(os.path.dirname(self._run.dir)))
        try:
            self._run.finish(exit_code)
        except TimeoutError:
            self._warn(f"W&B has not accepted everything yet. Upload the rest with: wandb sync {folder}")
        if self._data_dir is None:
            os.environ.pop(_DATA_DIR, None)
        if self._why_offline is not None:
            say = self._say if self._options.mode == "offline" else self._warn
            say(f"W&B run kept offline ({self._why_offline}). Upload it with: wandb sync {folder}")

    def _obstacle(self) -> str | None:
        """Reason why a run cannot be online, or None."""
        if "offline" in (self._options.mode, os.environ.get("WANDB_MODE")):
            return "wandb_mode=offline"
        try:
            if not self._wandb.login(prompt=False, verify=False):
                return "no API key: `wandb login` or WANDB_API_KEY"
        except self._wandb.Error as error:
            return _in_a_line(error)
        server = self._wandb.setup().settings.base_url
        return None if _answers(server, self._timeouts.answer) else f"{server} does not answer"

    def _started(self, info: RunInfo, mode: str) -> Any:
        settings = self._wandb.Settings(
            console="off",
            silent=True,
            init_timeout=self._timeouts.start,
            finish_timeout=_OF_FINISH * self._timeouts.finish,
            finish_timeout_raises=True,
            # W&B must record neither code nor the address of a repository, which may hold a password.
            disable_git=True,
            disable_code=True,
            save_code=False,
            disable_job_creation=True,
        )
        with _public_arguments():
            return self._init(info, mode, settings)

    def _started_offline(self, info: RunInfo) -> Any:
        """Starts an offline run after an online one failed to begin."""
        try:
            return self._started(info, "offline")
        # If another program started camx, its W&B service still holds the id of the failed run. The errors of the
        # service have no class of W&B.
        except Exception:
            store.remove_if_there(os.path.join(info.output, RUN_FILE))
            return self._started(info, "offline")

    def _init(self, info: RunInfo, mode: str, settings: Any) -> Any:
        options = self._options
        return self._wandb.init(
            mode=mode,
            dir=os.path.abspath(info.output),  # the writing process may have another working folder
            project=options.project or os.environ.get("WANDB_PROJECT") or "camx",
            entity=options.entity,
            name=redacted(options.name or info.name),
            group=options.group and redacted(options.group),
            tags=[redacted(tag) for tag in options.tags] or None,
            job_type=info.command,
            config=dict(info.config),
            allow_val_change=True,
            id=run_id(info.output, info.identity),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def _on_axis(self, name: str, axis: str) -> None:
        if name not in self._axes:
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(name, step_metric=axis)
            self._axes.add(name)


def run_id(output: str, identity: str) -> str:
    """Id of the W&B run for results of this identity in a folder: the stored one, or a new one."""
    path = os.path.join(output, RUN_FILE)
    with contextlib.suppress(OSError, ValueError, RecursionError):
        before = json.loads(read_regular(path, _RUN_FILE_BYTES))
        if isinstance(before, dict) and before.get("identity") == identity and isinstance(before.get("id"), str):
            return str(before["id"])
    new = secrets.token_hex(4)
    with explained_errors(output):
        store.write_file(path, json.dumps({"id": new, "identity": identity}).encode() + b"\n")
    return new


@contextlib.contextmanager
def _public_arguments() -> Iterator[None]:
    """While active, W&B records the command line without secrets in addresses."""
    before = sys.argv
    sys.argv = [redacted(word) for word in before]
    try:
        yield
    finally:
        sys.argv = before


def _answers(url: str, seconds: float) -> bool:
    """Whether a server answers at all, through the proxies of the environment."""
    try:
        with urllib.request.urlopen(url, timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _unreachable(why: str) -> CamxError:
    return CamxError(f"W&B cannot be reached: {why}. Try again, or leave `wandb_mode=online` out.")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")

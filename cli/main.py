"""`camx`: the commands and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cam_cli.errors import CamxError

from . import activations, audit, compare, evaluate, explain, export, layers, merge, models, push, report, train_gap
from .bind import bind, epilog
from .terminal import fail

app = typer.Typer(
    name="camx",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain image classifiers over whole folders with Grad-CAM and other class activation maps.",
)
#: Every command by its name, in the order of the help.
COMMANDS = {
    "explain": explain.COMMAND,
    "activations": activations.COMMAND,
    "train-gap": train_gap.COMMAND,
    "push": push.COMMAND,
    "layers": layers.COMMAND,
    "models": models.COMMAND,
    "report": report.COMMAND,
    "merge": merge.COMMAND,
    "audit": audit.COMMAND,
    "compare": compare.COMMAND,
    "evaluate": evaluate.COMMAND,
    "export": export.COMMAND,
}
for name, command in COMMANDS.items():
    app.command(name, epilog=epilog(command))(bind(command.run))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"camx {version('camx')}")
        raise typer.Exit()


@app.callback()
def camx(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake is one sentence on stderr and code 2."""
    try:
        code = app(args=None if argv is None else list(argv), prog_name="camx", standalone_mode=False)
    except CamxError as error:
        fail(str(error))
        return 2
    except typer.TyperException as error:
        if not error.format_message():  # the help was shown instead of an error
            return error.exit_code
        fail(
            f"{error.format_message()} (`camx --help` lists what there is.)"
            if error.exit_code == 2
            else error.format_message()
        )
        return error.exit_code
    except typer.Abort:
        return 1
    except (MemoryError, RuntimeError) as error:
        if (
            not isinstance(error, MemoryError)
            and "allocate memory" not in str(error)
            and "out of memory" not in str(error)
        ):
            raise
        fail("Not enough memory for this model. Give a smaller --image-size or --batch-size, or another --device.")
        return 2
    return code if isinstance(code, int) else 0


def main() -> None:
    """The entry point of the `camx` script."""
    sys.exit(run())


if __name__ == "__main__":
    main()

"""The program `camx`: its commands, and the only place that turns errors into messages and exit codes."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from cam_cli.errors import CamxError
from cam_cli.library_messages import quiet_libraries
from cam_cli.shortages import advice, is_memory, is_threads

from . import (
    settings,
)
from .bind import bind, epilog, flags_of, message_of, source_of
from .commands import COMMANDS as OTHERS
from .help import HelpfulCommand, HelpfulGroup
from .streams import lost_output, open_streams
from .terminal import fail, out_json, warn
from .variables import mistyped

app = typer.Typer(
    name="camx",
    cls=HelpfulGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain image classifiers over whole folders with Grad-CAM and other class activation maps.",
)
#: Commands by name, in the order of the help.
COMMANDS = {**OTHERS, settings.OWN: settings.COMMAND}
for name, command in COMMANDS.items():
    app.command(name, cls=HelpfulCommand, epilog=epilog(command))(bind(command.run))


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from cam_cli.outputs.versions import own_version

        print(f"camx {own_version()}")
        if context.params.get("verbose"):
            from cam_cli.doctor import versions

            print("\n".join(f"{name} {found}" for name, found in versions().items()))
        raise typer.Exit()


@app.callback()
def camx(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", is_eager=True, help="With --version: also show versions of Python, torch and others."
        ),
    ] = False,
) -> None:
    if verbose:
        raise CamxError(
            "-v needs --version or a command.", "Give it with --version, or after the command: `camx explain … -v`."
        )


@functools.cache
def _program() -> Callable[..., Any]:
    """The commands with their flags, built once for all calls in a process."""
    return typer.main.get_command(app)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. A user's mistake gives one sentence on stderr and code 2."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if not {"-q", "--quiet"} & {*words}:
            for hint in mistyped(os.environ, (flags_of(command.run) for command in COMMANDS.values())):
                warn(hint)
        code = _program()(args=words, prog_name="camx", standalone_mode=False)
    except CamxError as error:
        return _refused(str(error), as_json=getattr(error, "as_json", False) or "--json" in words)
    except typer.TyperException as error:
        if not error.format_message():  # Typer has shown the help instead of an error
            return error.exit_code
        more = source_of(error) or " (`camx --help` lists the commands.)" * (error.exit_code == 2)
        return _refused(f"{message_of(error)}{more}", as_json="--json" in words, code=error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        # Ctrl-C without a run to finish, also while the commands are built.
        return 128 + signal.SIGINT
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if not (text := _of_system(error)):
            raise
        return _refused(text, as_json="--json" in words)
    return code if isinstance(code, int) else 0


def _refused(message: str, *, as_json: bool, code: int = 2) -> int:
    """Prints an error, for `--json` also as an object on stdout, and returns the exit code."""
    fail(message)
    if as_json:
        out_json({"state": "refused", "error": message, "exit_code": code})
    return code


def _of_system(error: Exception) -> str:
    """Sentence about an unexpected error of the system; "" for other errors."""
    if is_memory(error):
        return "Not enough memory. Give a smaller --image-size or --batch-size, fewer --workers, or another --device."
    if is_threads(error):
        return "The system starts no more processes or threads. Raise the limit (ulimit -u), or give fewer --workers."
    if isinstance(error, OSError):
        place = f"{error.filename!r}: " if error.filename else ""
        return f"{place}{error.strerror or error}. {advice(error, 'Correct that, and run the same command again.')}"
    return ""


def main() -> None:
    """The entry point of the `camx` script."""
    open_streams()
    quiet_libraries()
    code = run()
    if lost := lost_output():
        fail(f"Standard output cannot be written: {lost.strerror}. The printed text is incomplete; files are complete.")
    sys.exit(code or 2 * (lost is not None))


if __name__ == "__main__":
    main()

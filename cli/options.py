"""How options are declared: one line each, with an environment variable and a place in the help."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cam_cli.errors import CamxError, nearest

if TYPE_CHECKING:
    from cam_cli.models.catalog import ModelSpec

INPUT, MODEL, EXPLANATION, PICTURE, OUTPUT, SPEED, TRACKING, BEHAVIOUR = (
    "Input",
    "Model",
    "Explanation",
    "Picture",
    "Output",
    "Speed",
    "Tracking",
    "Behaviour",
)


def option(panel: str, *names: str, help: str, **more: Any) -> Any:  # noqa: A002
    """A flag of a help panel that can also be set as `CAMX_<LONG NAME>`."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "CAMX_" + long.removeprefix("--").replace("-", "_").upper()
    return typer.Option(*names, help=help, rich_help_panel=panel, envvar=variable, show_envvar=False, **more)


def read_config(path: str) -> dict[str, Any]:
    """The content of a TOML or YAML file of options."""
    try:
        text = Path(path).read_text("utf-8")
        if path.endswith((".yaml", ".yml")):
            import yaml

            content = yaml.safe_load(text) or {}
        else:
            content = _toml(text)
    except OSError as error:
        raise CamxError(f"--config {path!r} cannot be read: {error.strerror}. Check the path.") from error
    except ValueError as error:
        raise CamxError(f"--config {path!r} is no valid TOML: {error}.") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] != "yaml":
            raise
        raise CamxError(f"--config {path!r} is no valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise CamxError(f"--config {path!r} must hold `key = value` lines, the keys named as the flags are.")
    return content


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    content: dict[str, Any] = tomllib.loads(text)
    return content


def apply_config(context: typer.Context, path: str | None) -> str | None:
    """Make the values of a config file the defaults of the command: the eager callback of `--config`."""
    if path is None:
        return None
    parameters = _by_key(context)
    defaults = dict(context.default_map or {})
    for key, value in read_config(path).items():
        flag = str(key).replace("_", "-")
        if flag not in parameters:
            raise CamxError(
                f"--config {path!r}: unknown key {key!r}.{nearest(flag, parameters)} Keys are named as the flags are."
            )
        parameter = parameters[flag]
        defaults[parameter.name] = _as_given(parameter, flag, value, path)
    context.default_map = defaults
    return path


def _as_given(parameter: Any, flag: str, value: Any, path: str) -> Any:
    """A value of a config file as the flag would have it on the command line."""
    if isinstance(value, dict):
        if flag != "model-arg":
            raise CamxError(
                f"--config {path!r}: {flag!r} is a table. Only model-arg is one; all other keys stand above it."
            )
        value = [f"{key}={one}" for key, one in value.items()]
    if f"--{flag}" in parameter.secondary_opts and isinstance(value, bool):
        return not value
    several = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    if isinstance(value, list):
        return value if several else ",".join(map(str, value))
    return [value] if several else value


def _by_key(context: typer.Context) -> dict[str, Any]:
    """The parameters of a command by the names of their flags, or of the argument."""
    keys: dict[str, Any] = {}
    for parameter in context.command.params:
        opts = [*parameter.opts, *parameter.secondary_opts]
        flags = [flag.removeprefix("--") for flag in opts if flag.startswith("--")]
        for key in flags or [str(parameter.name)]:
            if key not in ("config", "help"):
                keys[key] = parameter
    return keys


def key_value(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` with numbers, true/false and none as such, everything else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise CamxError(f"--model-arg {text!r}: give KEY=VALUE, such as pad_type=same.")
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return key, words[value.lower()]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return key, value


def numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    """`0.5` or `0.485,0.456,0.406`."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise CamxError(f"{flag} {text!r}: give one number, or three separated by commas (0.485,0.456,0.406).")
    return values


def model_spec(
    name: str,
    *,
    checkpoint: str | None,
    no_pretrained: bool,
    model_arg: list[str] | None,
    image_size: int | None,
    mean: str | None,
    std: str | None,
    crop_pct: float | None,
    crop_mode: str | None,
    interpolation: str | None,
    seed: int,
    class_names: str | None = None,
    ema: bool | None = None,
) -> ModelSpec:
    """The flags of the model panel as the engine takes them."""
    from cam_cli.models.catalog import ModelSpec
    from cam_cli.models.preprocessing import PreprocessingOptions

    preprocessing = PreprocessingOptions(
        image_size, numbers("--mean", mean), numbers("--std", std), crop_pct, crop_mode, interpolation
    )
    args = dict(map(key_value, model_arg or []))
    return ModelSpec(name, checkpoint, not no_pretrained, args, class_names, ema, preprocessing, seed)


def auto_or_number(flag: str, text: str) -> int | None:
    """`auto` as None, else a number from 1."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise CamxError(f"{flag} {text!r}: give a number from 1, or auto.")
    return int(text)


def canvas(text: str) -> int | Any:
    """`--size`: a number of pixels, `original` or `model`."""
    if text.isdecimal():
        return int(text)
    if text not in ("original", "model"):
        raise CamxError(f"--size {text!r}: give the long side in pixels, `original` or `model`.")
    return text


def chosen_engine(engine: str, address: str | None, shard: str | None, *, tracked: bool = False) -> str:
    """`--engine`, with what cannot go with it, and with `--shard`."""
    if shard is not None and tracked:
        raise CamxError("--shard knows its part alone: leave trackers out, and log the merged folder with `camx push`.")
    if engine not in ("local", "ray"):
        raise CamxError(f"Unknown engine {engine!r}. Give local or ray.")
    if engine == "local" and address is not None:
        raise CamxError("--ray-address is for --engine ray. Give both, or neither.")
    if engine == "ray" and shard is not None:
        raise CamxError("--shard is for runs without a cluster: Ray divides the images itself. Leave it out.")
    return engine


def words(flag: str, text: str) -> tuple[str, ...]:
    """A list separated by commas, not empty."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise CamxError(f"{flag} {text!r} names nothing. Leave it out for the default.")
    return found


def allowed_failures(text: str, images: int) -> float:
    """`--max-failures`: how many images of a run may fail, from a number or a percentage."""
    number = text.removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not value >= 0 or (text.endswith("%") and value > 100) or (not text.endswith("%") and not number.isdecimal()):
        raise CamxError(f"--max-failures {text!r}: give a number of images, or a percentage such as 5%.")
    return images * value / 100 if text.endswith("%") else value

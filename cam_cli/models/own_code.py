"""Calls the user's own function, `my_module.py:build` or `package.module:build`: the only user code that camx runs."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..errors import CamxError, nearest

_FORM = re.compile(r"(?P<place>.+\.py|[A-Za-z_]\w*(\.\w+)*):(?P<function>[A-Za-z_]\w*)")
#: Prefixes of network names.
_NO_MODULES = ("timm", "torchvision", "hf", "hub", "hf_hub", "http", "https", "s3", "gs", "memory")


@dataclass(frozen=True)
class OwnCode:
    """A function that returns a network. place: a Python file or dotted module name."""

    place: str
    function: str

    def __str__(self) -> str:
        """Name without the folder: results depend on the content of the file, not on its place."""
        return f"{os.path.basename(self.place)}:{self.function}"

    @property
    def placed(self) -> str:
        """Name of the model for a process in another working folder."""
        place = os.path.abspath(self.place) if self.place.endswith(".py") else self.place
        return f"{place}:{self.function}"

    @classmethod
    def parse(cls, name: str) -> OwnCode | None:
        """Parses the name of a model; None if it names no function."""
        found = _FORM.fullmatch(name)
        if found is None or found["place"] in _NO_MODULES:
            return None
        return cls(os.path.expanduser(os.path.expandvars(found["place"])), found["function"])

    def call(self, args: Mapping[str, Any]) -> object:
        """Imports the module and calls the function. Raises `CamxError` with the file and line of an error."""
        module = self._module()
        function = getattr(module, self.function, None)
        if not callable(function):
            defined = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
            raise CamxError(
                f"`model` {self}: {self.place} has no function {self.function!r}.{nearest(self.function, defined)}",
                "It must return a torch.nn.Module or a cam_cli.Network.",
            )
        try:
            with _importable(self._folder):
                return function(**args)
        except Exception as error:
            raise CamxError(f"`model` {self} with {dict(args)} raises {_where(error)}.", "Correct it.") from error

    def source_digest(self) -> str:
        """SHA-256 of the file with the function: results depend on it."""
        path = getattr(self._module(), "__file__", None)
        if not path or not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    @property
    def _folder(self) -> str:
        return os.path.dirname(os.path.abspath(self.place)) if self.place.endswith(".py") else os.getcwd()

    def _module(self) -> ModuleType:
        try:
            with _importable(self._folder):
                return self._file() if self.place.endswith(".py") else importlib.import_module(self.place)
        except CamxError:
            raise
        except ModuleNotFoundError as error:
            raise CamxError(
                f"`model` {self}: there is no module {error.name!r}.",
                "Install it, or run camx in its folder.",
            ) from error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise CamxError(
                f"`model` {self} cannot be imported: it raises {_where(error)}.", "Correct your code."
            ) from error

    def _file(self) -> ModuleType:
        """Imports a file once per process, and registers the module so that its classes can be pickled."""
        path = os.path.abspath(self.place)
        if not os.path.isfile(path):
            raise CamxError(f"`model` {self}: there is no file {self.place!r}.", "Check the path.")
        stem = re.sub(r"[^A-Za-z0-9]", "_", os.path.basename(path)[:-3])
        name = f"camx_{stem}_{hashlib.sha256(path.encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """While active, modules in a folder can be imported, as from a script there."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _where(error: BaseException) -> str:
    """Describes an exception in one line, with the file and line of the user."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "cam_cli" not in name and "importlib" not in name:
            place = f" in {os.path.basename(name)}, line {trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        place = f" in {os.path.basename(error.filename or '')}, line {error.lineno}"
    text = (str(error) or "without a message").splitlines()[0]
    return f"{type(error).__name__}: {text}{place}"

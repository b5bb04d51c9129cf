"""Objects of other packages that honest training files hold, read as plain data: none of those packages is run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any


class Inert:
    """What stands for an object of another package: its arguments and its state, and no behaviour."""

    def __new__(cls, *args: Any) -> Inert:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    args: tuple[Any, ...]
    state: Any

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class InertDict:
    """Stands for subclasses of `dict`. Makes an ordinary mapping: torch fills no other kind with items."""

    def __new__(cls, *_args: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()

    def __init__(self, *args: Any) -> None:
        pass


_LIGHTNING = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")

#: Names under which these stand in pickles of today and of some years ago.
_OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"pathlib{local}.{name}" for local in ("", "._local") for name in ("PosixPath", "WindowsPath", "Path")),
    *(f"pathlib{local}.Pure{name}" for local in ("", "._local") for name in ("PosixPath", "WindowsPath", "Path")),
    "datetime.datetime",
    "datetime.timedelta",
    "torch.torch_version.TorchVersion",
    *(f"numpy.{c}.multiarray.{name}" for c in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Int64", "Int32", "Bool")),
    *(f"omegaconf.{name}" for name in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Enum", "Bytes")),
    *("omegaconf.nodes.PathNode", "typing.Any"),
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "int", "float", "str", "bool", "bytes", "slice")),
    *("__builtin__.dict", "__builtin__.list", "collections.deque"),
    *(f"{package}.callbacks.{name}" for package in _LIGHTNING[:2] for name in (
        "model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")),
)  # fmt: skip
_MAPPINGS = (
    "collections.defaultdict",
    *(f"{package}.utilities.{module}.AttributeDict" for package in _LIGHTNING for module in ("parsing", "data")),
    "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode",
    "easydict.EasyDict",
    "addict.addict.Dict",
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "timm.utils.misc.AttrDict",
)

#: For `torch.serialization.safe_globals`: a harmless class under each of the names.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((Inert, name) for name in _OBJECTS),
    *((InertDict, name) for name in _MAPPINGS),
]


def plain(value: Any, depth: int = 24) -> Any:
    """What a stand-in says, in dicts and lists: the attributes of a namespace, the content of an OmegaConf node."""
    if depth == 0:
        return None
    if isinstance(value, Inert):
        state = value.state
        if isinstance(state, Mapping):
            return plain(state.get("_content", state.get("_val", state)), depth - 1)
        return plain(value.args[0], depth - 1) if len(value.args) == 1 else None
    if isinstance(value, Mapping):
        return {key: plain(item, depth - 1) for key, item in value.items() if isinstance(key, (str, int))}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    return value

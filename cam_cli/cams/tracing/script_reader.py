"""Interprets a network of TorchScript node by node, so that its layers can have hooks like those of any other network.

TorchScript runs its modules without hooks. A reader runs the graph of each module in Python instead: a call of a child
is a call of a `torch.nn.Module`, with its hooks, and every other node is the operation that TorchScript would run. A
module whose graph has other nodes (custom functions, for one) runs as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...models.layouts import tensors_in

#: Nodes that build or take apart Python values.
_VALUES: dict[str, Callable[..., Any]] = {
    "prim::ListConstruct": lambda *items: list(items),
    "prim::TupleConstruct": lambda *items: items,
    "prim::TupleIndex": lambda items, index: items[index],
    "prim::unchecked_cast": lambda value: value,
    "prim::dtype": lambda tensor: tensor.dtype,
    "prim::device": lambda tensor: tensor.device,
    "prim::NumToTensor": torch.tensor,
    "aten::__is__": lambda one, other: one is other,
    "aten::__isnot__": lambda one, other: one is not other,
    "aten::__getitem__": lambda items, key: items[key],
    "aten::len": len,
    "aten::Int": int,
    "aten::Float": float,
    "aten::Bool": bool,
    "aten::append": lambda items, item: items.append(item),
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::format": str.format,
    "prim::Uninitialized": lambda: None,
}


class _Unreadable(Exception):
    """Only TorchScript can run a node."""


class ScriptReader(nn.Module):
    """One module of TorchScript as a `torch.nn.Module` with the same weights; its children are readers, too."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        training = script.training
        self.__dict__["_script"] = script
        super().__init__()
        self.training = training
        self._whole = False
        for name, parameter in script.named_parameters(recurse=False):
            # Set directly: in a copied module it is no `nn.Parameter`, which `register_parameter` would refuse.
            self._parameters[name] = parameter
        for name, buffer in script.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in script.named_children():
            assert isinstance(child, torch.jit.ScriptModule)
            self.add_module(name, reader_of(child))

    @property
    def training(self) -> bool:
        """Whether the module is in training mode."""
        return bool(self.__dict__["_script"].training)

    @training.setter
    def training(self, value: bool) -> None:
        self.__dict__["_script"].training = value

    def forward(self, *inputs: Any, method: str = "forward") -> Any:
        """Returns the result of a method of the module; in a traced module, `forward1` serves a second call."""
        if not self._whole:
            try:
                return self.interpret(method, inputs)
            except _Unreadable:
                self._whole = True
        # A traced module cannot be called, but its method can.
        return self._method(method)(*inputs)

    def interpret(self, method: str, inputs: Sequence[Any]) -> Any:
        """Runs the graph of a method in Python, node by node. Raises `_Unreadable` where only TorchScript can."""
        own = self._method(method)
        names = [one.debugName() for one in own.graph.inputs()][1:]
        rest = own.schema.arguments[len(inputs) + 1 :]
        if len(names) > len(inputs) + len(rest) or not all(one.has_default_value() for one in rest):
            raise _Unreadable
        values = {next(iter(own.graph.inputs())).debugName(): self}
        values.update(zip(names, (*inputs, *(one.default_value for one in rest))))
        self._run(own.graph.nodes(), values)
        (result,) = (values[one.debugName()] for one in own.graph.outputs())
        return result

    def attribute(self, name: str) -> Any:
        """Returns a child, a tensor or another value of the module."""
        return getattr(self if name in self._modules else self.__dict__["_script"], name)

    def _method(self, name: str) -> Any:
        return self.__dict__["_script"]._c._get_method(name)

    def _run(self, nodes: Any, values: dict[str, Any]) -> None:
        """Runs nodes in their order, and adds their results to `values`, by their names in the graph."""
        for node in nodes:
            for output, result in zip(node.outputs(), self._results(node, values)):
                values[output.debugName()] = result

    def _results(self, node: Any, values: dict[str, Any]) -> Sequence[Any]:
        kind = node.kind()
        if kind == "prim::Constant":
            return (_constant(node),)
        operands = [values[one.debugName()] for one in node.inputs()]
        match kind:
            case "prim::GetAttr" if isinstance(operands[0], ScriptReader):
                return (operands[0].attribute(node.s("name")),)
            case "prim::CallMethod" if isinstance(operands[0], ScriptReader):
                name, first, *rest = node.s("name"), *operands
                called = first(*rest, method=name) if name.startswith("forward") else first.interpret(name, rest)
                return (called,)
            case "prim::CallFunction":
                return (operands[0](*operands[1:]),)
            case "prim::TupleUnpack" | "prim::ListUnpack":
                return tuple(operands[0])
            case "prim::If":
                block = list(node.blocks())[0 if operands[0] else 1]
                self._run(block.nodes(), values)
                return [values[one.debugName()] for one in block.outputs()]
        return (_VALUES[kind](*operands),) if kind in _VALUES else _operation(node, kind, operands)


def reader_of(script: torch.jit.ScriptModule) -> ScriptReader:
    """Returns a reader of a module of TorchScript; its class has the name of the original class."""
    kind: type[ScriptReader] = type(script.original_name, (ScriptReader,), {})
    return kind(script)


def _constant(node: Any) -> Any:
    if node.output().type().kind() == "FunctionType":
        found = getattr(functional, node.s("name"), None)
        if found is None:
            raise _Unreadable
        return found
    return node.output().toIValue() if node.attributeNames() else None


def _operation(node: Any, kind: str, operands: Sequence[Any]) -> Sequence[Any]:
    """Returns the results of an operation of torch. Raises `_Unreadable` for any other node."""
    space, _, name = kind.partition("::")
    if space != "aten" or node.schema() == "(no schema)":
        raise _Unreadable
    arguments = torch._C.parse_schema(node.schema()).arguments
    plain = [value for value, one in zip(operands, arguments) if not one.kwarg_only]
    named = {one.name: value for value, one in zip(operands, arguments) if one.kwarg_only}
    try:
        result = getattr(torch.ops.aten, name)(*plain, **named)
    except (AttributeError, NotImplementedError) as error:
        raise _Unreadable from error
    return result if node.outputsSize() > 1 else (result,)


def is_readable(script: torch.jit.ScriptModule, picture: Tensor) -> bool:
    """Whether a reader can run a network: it has layers, and gives TorchScript's output for an image 1×C×H×W."""
    try:
        with torch.no_grad():
            reader = reader_of(script)
            layers = [one for one in reader.modules() if one is not reader]
            found, expected = reader(picture.clone()), script(picture.clone())
    # A graph may hold anything.
    except Exception:
        return False
    pairs = list(zip(tensors_in(found), tensors_in(expected)))
    equal = all(one.shape == other.shape and torch.allclose(one, other, 1e-4, 1e-5) for (_, one), (_, other) in pairs)
    return bool(layers) and not reader._whole and bool(pairs) and equal

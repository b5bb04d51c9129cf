"""Operations on non-zero rows, and the backward of fused attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from cam_cli.cams.tracing.sparse_backward import LazyMatmul, materialise, mean_over_grid
from cam_cli.cams.tracing.sparse_rows import SparseRows
from cam_cli.cams.tracing.sparse_rules import apply_rule
from cam_cli.cams.tracing.trace import trace
from cam_cli.models.layouts import Layout

from .backward_support import CLASSES, GRID, block
from .test_engine import batch

aten = torch.ops.aten


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def rows(axis: int, *shape: int, start: int = 2, count: int = 2) -> SparseRows:
    """Random numbers in some rows of a tensor of this shape."""
    return SparseRows.along(axis, some(*shape[:axis], count, *shape[axis + 1 :]), start, shape[axis])


def with_zeros(one: SparseRows) -> Tensor:
    return SparseRows(one.held, one.start, one.length, one.shape).dense()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten.select_backward.default, (some(3, 4), (3, 7, 4), -2, -1)),
        (aten.slice_backward.default, (some(3, 2, 4), (3, 7, 4), 1, -4, -2, 1)),
        (aten.add.Tensor, (rows(1, 3, 9, 4, start=1), rows(1, 3, 9, 4, start=3, count=1))),
        (aten.mul.Tensor, (some(9, 1), rows(1, 3, 9, 4))),
        (aten.div.Tensor, (rows(1, 3, 9, 4), some(4))),
        (aten.mm.default, (SparseRows(some(3, 2, 4), 2, 9, (27, 4)), some(4, 5))),
        (aten.bmm.default, (rows(1, 3, 9, 4), some(3, 4, 5))),
        (aten.bmm.default, (rows(2, 3, 4, 9), some(3, 9, 5))),
        (aten.bmm.default, (some(3, 5, 9), rows(1, 3, 9, 4))),
        (aten.bmm.default, (some(3, 5, 4), rows(2, 3, 4, 9))),
        (aten.view.default, (rows(1, 3, 9, 4), (27, 2, 2))),
        (aten.unsqueeze.default, (rows(1, 3, 9, 4), 1)),
        (aten.expand.default, (rows(1, 3, 9, 4), (3, 9, 4))),
        (aten.transpose.int, (rows(1, 3, 9, 4), -1, 1)),
        (aten.permute.default, (rows(1, 3, 9, 4), (1, -1, 0))),
        (aten.t.default, (rows(1, 3, 9),)),
        (aten._to_copy.default, (rows(1, 3, 9, 4), {"dtype": torch.float32, "device": torch.device("cpu")})),
        (aten._softmax_backward_data.default, (rows(1, 3, 9, 4), some(3, 9, 4), -1, torch.float64)),
        (
            aten.native_layer_norm_backward.default,
            (rows(1, 3, 9, 4), some(3, 9, 4), (4,), some(3, 9, 1), some(3, 9, 1), some(4), some(4), (True, False, False)),
        ),
        (aten.expand.default, (rows(1, 3, 9, 1), (3, -1, 5))),
        (aten.sum.dim_IntList, (rows(1, 3, 9, 4), (-1,), True)),
    ],
    ids=lambda value: str(value) if callable(value) else "",
)  # fmt: skip
def test_an_operation_on_rows_is_that_on_all_of_them(func: Any, args: Any) -> None:
    *args, kwargs = args if isinstance(args[-1], dict) else (*args, {})
    found = apply_rule(func, args, kwargs)
    assert found is not NotImplemented
    dense = tree_map_only(SparseRows, with_zeros, args)
    expected = func(*dense, **kwargs)
    for one, other in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        if other is not None:
            assert isinstance(one, SparseRows) or func is aten.bmm.default
            assert torch.allclose(materialise(one), other, atol=1e-12)


def test_the_kernel_of_rms_normalisation_that_only_a_gpu_has() -> None:
    gradient = SparseRows.along(1, torch.empty(3, 2, 4, device="meta"), 2, 9)
    features, rstd, weight = (torch.empty(*shape, device="meta") for shape in ((3, 9, 4), (3, 9, 1), (4,)))
    args = (gradient, features, (4,), rstd, weight, (True, False))
    found, _ = apply_rule(aten._fused_rms_norm_backward.default, args, {})
    assert isinstance(found, SparseRows)
    assert (found.shape, found.start, found.axis) == ((3, 9, 4), 2, 1)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten.add.Tensor, (rows(1, 3, 9, 4, start=0), rows(1, 3, 9, 4, start=7))),
        (aten.add.Tensor, (rows(1, 3, 9, 9), rows(2, 3, 9, 9))),
        (aten.div.Tensor, (some(3, 9, 4), rows(1, 3, 9, 4))),
        (aten.mul.Tensor, (rows(1, 3, 9, 4), some(2, 3, 9, 4))),
        (aten.mm.default, (rows(1, 3, 9), some(9, 4))),
        (aten.expand.default, (rows(1, 1, 9, 4), (3, 1, 9, 4))),
        (aten.sum.dim_IntList, (rows(1, 3, 9, 4), (1,), True)),
        (aten.exp.default, (rows(1, 3, 9, 4),)),
        (aten._softmax_backward_data.default, (rows(1, 3, 9, 4), some(3, 9, 4), 1, torch.float64)),
        (aten.slice_backward.default, (some(3, 6, 4), (3, 7, 4), 1, 1, 7, 1)),
        (
            aten.native_layer_norm_backward.default,
            (rows(1, 3, 9, 4), some(3, 9, 4), (9, 4), some(3, 1, 1), some(3, 1, 1), None, None, (True, False, False)),
        ),
        (aten.slice_backward.default, (some(3, 2, 4), (3, 7, 4), 1, 0, 4, 2)),
    ],
)  # fmt: skip
def test_operations_that_do_not_keep_rows_get_the_zeros(func: Any, args: Any) -> None:
    assert apply_rule(func, args, {}) is NotImplemented
    expected = tree_leaves(func(*tree_map_only(SparseRows, with_zeros, args)))
    found = tree_leaves(func(*args))
    assert torch.equal(found[0], expected[0]), "also when nobody watches"


FUSED = {
    "flash on a CPU": (aten._scaled_dot_product_flash_attention_for_cpu_backward.default, {"attn_mask": 0}),
    "flash": (aten._scaled_dot_product_flash_attention_backward.default, {}),
    "efficient": (aten._scaled_dot_product_efficient_attention_backward.default, {"attn_bias": 0}),
    "cudnn": (aten._scaled_dot_product_cudnn_attention_backward.default, {"attn_bias": 0}),
}


@pytest.mark.parametrize("kernel", FUSED)
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_backward_of_every_fused_attention(kernel: str, with_bias: bool) -> None:
    """camx reads the arguments of each kernel by name, so that this test covers those of a GPU without one."""
    func, biases = FUSED[kernel]
    if with_bias and not biases:
        pytest.skip("this kernel takes no bias")
    query, key, value = (some(2, 3, 9, size).requires_grad_() for size in (4, 4, 5))
    key = some(2, 3, 9, 4).add(1).detach().requires_grad_()
    bias = some(1, 1, 9, 9) if with_bias else None
    if bias is not None:
        bias[..., 2, :] = -math.inf
    output = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=0.3)
    gradient = rows(2, 2, 3, 9, 5)
    expected = torch.autograd.grad(output, (query, key, value), with_zeros(gradient))
    given: dict[str, Any] = {
        "grad_out": gradient, "grad_out_": gradient, "query": query, "key": key, "value": value, "out": output,
        "attn_mask": bias, "attn_bias": bias, "grad_input_mask": [True, True, True, False], "dropout_p": 0.0,
        "is_causal": False, "scale": 0.3,
    }  # fmt: skip
    schema = func._schema.arguments
    args = [given.get(one.name) for one in schema if not one.kwarg_only]
    kwargs = {one.name: given.get(one.name) for one in schema if one.kwarg_only}
    with torch.no_grad():
        found = apply_rule(func, args, kwargs)
    assert len(found) == len(func._schema.returns)
    for one, other in zip(found, expected):
        assert torch.allclose(materialise(one), other, atol=1e-12)
    given["is_causal"] = True
    assert apply_rule(func, [given.get(one.name) for one in schema if not one.kwarg_only], kwargs) is NotImplemented


def test_attention_in_half_precision_is_computed_in_full() -> None:
    """With scores rounded to 8 bits before the softmax, these gradients would change by a quarter."""
    query, key, value = some(1, 2, 9, 8), some(1, 2, 9, 8).flip(2), some(1, 2, 9, 5)
    query, key, value = (one.bfloat16().requires_grad_() for one in (query, key, value))
    output = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    gradient = rows(2, 1, 2, 9, 5)
    half = SparseRows(gradient.held.bfloat16(), gradient.start, gradient.length, gradient.shape)
    exact = [one.detach().double().requires_grad_() for one in (query, key, value)]
    attended = functional.scaled_dot_product_attention(*exact, scale=1.0)
    expected = torch.autograd.grad(attended, exact, with_zeros(half).double())
    func = aten._scaled_dot_product_flash_attention_for_cpu_backward.default
    args = (half, query, key, value, output, None, 0.0, False)
    with torch.no_grad():
        found = apply_rule(func, args, {"scale": 1.0})
    for one, other in zip(found, expected):
        assert materialise(one).dtype == torch.bfloat16
        assert (materialise(one) - other).abs().max() <= 0.01 * other.abs().max()


def test_a_mean_needs_no_product_at_every_position() -> None:
    with FlopCounterMode(display=False) as mean:
        trace(block(), batch(3), GRID).mean_gradients(CLASSES)
    with FlopCounterMode(display=False) as every:
        trace(block(), batch(3), GRID).gradients(CLASSES)
    # Of 2 columns and 3 images 17 of 18 tokens: 72 channels of queries, keys and values times 24.
    assert every.get_total_flops() - mean.get_total_flops() == 2 * 2 * 3 * (18 - 1) * 72 * 24


@pytest.mark.parametrize(
    "layout", [Layout("NLC", 3, 2, 4, prefix=1), Layout("LNC", 3, 2, 4, prefix=1), Layout("NHWC", 3, 2, 4)]
)
def test_the_mean_behind_a_linear_layer(layout: Layout) -> None:
    shape = {"NLC": (5, 7), "LNC": (7, 5), "NHWC": (5, 3, 2)}[layout.kind]
    left, right = some(*shape, 6).float(), some(6, 4).float()
    found = mean_over_grid(LazyMatmul(left, right, torch.float32), layout)
    assert torch.allclose(found, layout.to_nchw(left @ right).mean((2, 3)), atol=1e-6)
    columns = Layout("NCL", 3, 2, 7, prefix=0)
    product = LazyMatmul(some(5, 7, 3).float(), some(3, 6).float(), torch.float32)
    assert torch.allclose(
        mean_over_grid(product, columns), columns.to_nchw(materialise(product)).mean((2, 3)), atol=1e-6
    )

"""Kinds of functions for layer-wise relevance propagation: the rule of each function of torch, by its name.

Names are those of `torch`, `torch.nn.functional` and methods of `Tensor`, without underscores at their ends. A function
in none of these sets has no rule: a network that calls it on values of the image is an error.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Linear layers with weights.
CONVOLUTIONS = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
#: Move, copy or choose values.
MOVES = _names(
    """view view_as reshape reshape_as flatten unflatten ravel permute transpose t swapaxes swapdims movedim moveaxis
    adjoint squeeze unsqueeze expand expand_as broadcast_to repeat repeat_interleave tile contiguous clone alias to type
    type_as float double half bfloat16 cuda cpu cat concat concatenate stack hstack vstack split tensor_split chunk
    unbind getitem select narrow index_select gather take_along_dim roll flip rot90 pad pixel_shuffle pixel_unshuffle
    channel_shuffle native_channel_shuffle unfold dropout alpha_dropout dropout1d dropout2d dropout3d
    feature_alpha_dropout get diagonal copy setitem detach"""
)
#: The moves of which only the shape or the type of the second argument counts.
BY_EXAMPLE = _names("view_as reshape_as expand_as type_as")
#: Add or subtract, value by value: relevance is shared in proportion to the summands, and constants absorb their share.
SUMS = _names("add sub subtract rsub radd iadd isub neg negative")
#: Products, value by value or of matrices.
PRODUCTS = _names("mul multiply rmul imul matmul rmatmul bmm mm mv einsum baddbmm addmm addcmul")
#: The products that multiply value by value.
BY_VALUE = _names("mul multiply rmul imul addcmul")
#: The products whose first argument is added.
WITH_ADDEND = _names("baddbmm addmm addcmul")
#: Quotients; the divisor counts as a constant.
QUOTIENTS = _names("div divide true_divide truediv itruediv idiv")
#: Piecewise linear and zero at zero: the ordinary derivative shares relevance in proportion to the summands, and a
#: maximum hands it to the largest value.
PIECEWISE_LINEAR = _names(
    """sum mean cumsum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    max_pool1d max_pool2d max_pool3d max_pool2d_with_indices adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d amax amin max min maximum minimum relu leaky_relu prelu abs where masked_fill interpolate
    upsample grid_sample fold tril triu topk scatter_add index_add nan_to_num"""
)
#: Value by value and zero at zero, or a positive factor times the value: output and input have equal relevance.
PASSING = _names(
    """relu6 hardtanh clamp clamp_min clamp_max clip gelu silu hardswish mish elu celu selu tanh softsign pow square
    sqrt normalize rms_norm local_response_norm"""
)
#: Their results are positive factors without relevance of their own.
GATES = _names(
    """sigmoid hardsigmoid expit log_softmax exp norm vector_norm linalg_vector_norm var std rsqrt reciprocal rtruediv
    rdiv"""
)
#: Return no values of the image.
WITHOUT_VALUES = _names(
    """zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full new_tensor
    grad"""
)

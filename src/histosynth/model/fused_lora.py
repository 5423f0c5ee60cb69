"""Fused layers that train an adapter on a text-conditioned base with fewer passes over memory.

Their results are unchanged but for the order of sums. A LoRA layer of PEFT makes three arrays of
the size of its output, and the three layers of a self-attention read their input nine times; here
products are added in place, and layers of one input share it (`sums_of_products`). A gated
feed-forward layer is computed in pieces that fit a CPU's cache (`geglu`). `fuse_lora_layers` gives
a network both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

GATE_PIECE_SIZE = 1 << 17
"""Numbers of a gated layer that a CPU computes at a time."""
MIN_BF16_HEAD_CHANNELS = 32
MIN_BF16_KEYS = 129
"""Channels of a head, and keys, from which bfloat16 attention is trained in bfloat16 on a CPU, not
in float32."""


@dataclass(frozen=True)
class FusedLayer:
    """A frozen linear layer, and the change that one adapter adds to it.

    Attributes:
        weight: (out, in).
        bias: (out,) or None.
        down: (rank, in), or None: nothing is added.
        up: (out, rank).
        scale: of what is added.
    """

    weight: Tensor
    bias: Tensor | None
    down: Tensor | None = None
    up: Tensor | None = None
    scale: float = 0.0

    def takes(self, x: Tensor) -> bool:
        """Whether all of its matrices have the input's number type."""
        matrices = (self.weight, self.down, self.up)
        return all(matrix is None or matrix.dtype == x.dtype for matrix in matrices)


def layer_of(module: nn.Module) -> FusedLayer | None:
    """A layer with its active adapter; None if it is more than a frozen layer and one plain
    adapter.
    """
    base = module.get_base_layer() if isinstance(module, LoraLayer) else module
    if type(base) is not nn.Linear or base.weight.requires_grad:
        return None
    frozen = FusedLayer(base.weight, base.bias)
    if not isinstance(module, LoraLayer):
        return frozen
    if module.disable_adapters or module.merged:
        return frozen
    return _with_active_adapter(frozen, module)


def _with_active_adapter(frozen: FusedLayer, module: LoraLayer) -> FusedLayer | None:
    """A frozen layer with the adapter that is active; None if it is not one plain adapter."""
    active = [name for name in module.active_adapters if name in module.lora_A]
    if not active:
        return frozen
    name = active[0]
    if len(active) > 1 or not _is_plain(module, name):
        return None
    return FusedLayer(
        frozen.weight,
        frozen.bias,
        down=module.lora_A[name].weight,
        up=module.lora_B[name].weight,
        scale=float(module.scaling[name]),
    )


def _is_plain(module: LoraLayer, name: str) -> bool:
    """Whether an adapter of a layer is two matrices and nothing more."""
    drops_out = not isinstance(module.lora_dropout[name], nn.Identity)
    if module.training and drops_out:
        return False
    if name in module.lora_variant:
        return False
    return module.lora_B[name].bias is None


def apply_layers(
    modules: Sequence[nn.Module],
    x: Tensor,
) -> tuple[Tensor, ...]:
    """The outputs of linear layers for one input, (..., in) => (..., out) each."""
    layers = []
    for module in modules:
        layer = layer_of(module)
        if layer is None or not layer.takes(x):
            return tuple(module(x) for module in modules)
        layers.append(layer)
    return sums_of_products(x, layers)


def sums_of_products(
    x: Tensor,
    layers: Sequence[FusedLayer],
) -> tuple[Tensor, ...]:
    """Sums x W^T + b + s (x A^T) B^T, one for each layer; gradients flow to x, and to A and B of
    each.

    Args:
        x: (..., in).
        layers: of that input.

    Returns:
        (..., out) for each layer.
    """
    tensors: list[Tensor | None] = []
    for layer in layers:
        tensors += [layer.weight, layer.bias, layer.down, layer.up]
    scales = tuple(layer.scale for layer in layers)
    rows = x.reshape(-1, x.shape[-1])
    outputs = _Sums.apply(scales, rows, *tensors)  # type: ignore[no-untyped-call]
    shape = x.shape[:-1]
    return tuple(output.view(*shape, output.shape[-1]) for output in outputs)


class _LayerTensors(NamedTuple):
    """Tensors of a `FusedLayer`, as autograd takes them."""

    weight: Any
    bias: Any
    down: Any
    up: Any


def _grouped(tensors: Sequence[Tensor | None]) -> list[_LayerTensors]:
    starts = range(0, len(tensors), 4)
    return [_LayerTensors(*tensors[start : start + 4]) for start in starts]


def _rank_spans(layers: Sequence[_LayerTensors]) -> list[slice | None]:
    """The rows of each layer's down matrix in the joined one; None without an adapter."""
    spans: list[slice | None] = []
    start = 0
    for layer in layers:
        if layer.down is None:
            spans.append(None)
        else:
            stop = start + len(layer.down)
            spans.append(slice(start, stop))
            start = stop
    return spans


class _Sums(torch.autograd.Function):
    """See `sums_of_products`."""

    @staticmethod
    def forward(
        ctx: Any,
        scales: tuple[float, ...],
        x: Tensor,
        *tensors: Tensor | None,
    ) -> Any:
        layers = _grouped(tensors)
        downs = [layer.down for layer in layers if layer.down is not None]
        joined = torch.cat(downs) if downs else None
        low = None if joined is None else x @ joined.T
        spans = _rank_spans(layers)
        outputs = []
        for scale, layer, span in zip(scales, layers, spans, strict=True):
            output = _frozen_output(x, layer)
            if low is not None and span is not None:
                output.addmm_(
                    low[:, span],
                    layer.up.T,
                    alpha=scale,
                )
            outputs.append(output)
        ctx.save_for_backward(x, joined, low, *tensors)
        ctx.scales = scales
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, joined, low, *tensors = ctx.saved_tensors
        layers = _grouped(tensors)
        spans = _rank_spans(layers)
        low_gradient = None if low is None else torch.empty_like(low)
        x_gradient: Tensor | None = None
        up_gradients: list[Tensor | None] = []
        for scale, gradient, layer, span in zip(ctx.scales, gradients, layers, spans, strict=True):
            if ctx.needs_input_grad[1]:
                x_gradient = _add_product(x_gradient, gradient, layer.weight)
            if low_gradient is None or span is None:
                up_gradients.append(None)
                continue
            own_gradient = gradient @ layer.up
            low_gradient[:, span] = own_gradient.mul_(scale)
            up_gradient = gradient.T @ low[:, span]
            up_gradients.append(up_gradient.mul_(scale))
        joined_gradient = None if low_gradient is None else low_gradient.T @ x
        if low_gradient is not None and x_gradient is not None:
            x_gradient.addmm_(low_gradient, joined)
        tensor_gradients = _tensor_gradients(spans, joined_gradient, up_gradients)
        return (None, x_gradient, *tensor_gradients)


def _frozen_output(x: Tensor, layer: _LayerTensors) -> Tensor:
    weight: Tensor = layer.weight
    if layer.bias is None:
        return x @ weight.T
    return torch.addmm(layer.bias, x, weight.T)


def _add_product(
    total: Tensor | None,
    left: Tensor,
    right: Tensor,
) -> Tensor:
    """`total` + left @ right, in place."""
    if total is None:
        return left @ right
    total.addmm_(left, right)
    return total


def _tensor_gradients(
    spans: Sequence[slice | None],
    joined_gradient: Tensor | None,
    up_gradients: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Gradients of weight, bias, down and up of each layer; the first two are frozen."""
    gradients: list[Tensor | None] = []
    for span, up_gradient in zip(spans, up_gradients, strict=True):
        down_gradient = None
        if joined_gradient is not None and span is not None:
            down_gradient = joined_gradient[span]
        gradients += [None, None, down_gradient, up_gradient]
    return gradients


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """Attention, (B, heads, N, C) each, in the number type that is faster to train in.

    A CPU has no bfloat16 products for the backward pass: with narrow heads or few keys the
    conversions cost more than the forward pass gains.
    """
    if not _is_slow_in_bf16(query, key):
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
        )
    attended = F.scaled_dot_product_attention(
        query.float(),
        key.float(),
        value.float(),
        attn_mask=None if mask is None else mask.float(),
    )
    return attended.to(query.dtype)


def _is_slow_in_bf16(query: Tensor, key: Tensor) -> bool:
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return False
    if not torch.is_grad_enabled():
        return False
    channels = query.shape[-1]
    keys = key.shape[-2]
    return channels < MIN_BF16_HEAD_CHANNELS or keys < MIN_BF16_KEYS


class FusedAttention:
    """diffusers' attention of transformer blocks, with the products of its layers summed in place.

    It computes the same as `AttnProcessor2_0`, which also handles inputs that such blocks do not
    have.
    """

    def __init__(self) -> None:
        self.standard = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """See `AttnProcessor2_0`: (B, N, C) => (B, N, C)."""
        if hidden_states.ndim != 3:
            output: Tensor = self.standard(
                attn,
                hidden_states,
                encoder_hidden_states,
                attention_mask,
                temb,
            )
            return output
        if encoder_hidden_states is None:
            layers = (attn.to_q, attn.to_k, attn.to_v)
            query, key, value = apply_layers(layers, hidden_states)
        else:
            (query,) = apply_layers((attn.to_q,), hidden_states)
            key, value = apply_layers((attn.to_k, attn.to_v), encoder_hidden_states)
        mask = _head_mask(
            attn,
            attention_mask,
            keys=key.shape[1],
            batch=len(key),
        )
        attended = _attend(
            _by_head(attn, query),
            _by_head(attn, key),
            _by_head(attn, value),
            mask,
        )
        joined_heads = attended.transpose(1, 2).flatten(-2)
        (projected,) = apply_layers((attn.to_out[0],), joined_heads)
        return cast(Tensor, attn.to_out[1](projected))

    @staticmethod
    def fits(attn: Attention) -> bool:
        """Whether an attention has nothing that this one leaves out."""
        extras = (
            attn.spatial_norm,
            attn.group_norm,
            attn.norm_q,
            attn.norm_k,
            attn.norm_cross,
            attn.residual_connection,
        )
        if any(extras) or attn.rescale_output_factor != 1:
            return False
        return isinstance(attn.processor, AttnProcessor2_0)


def _by_head(attn: Attention, values: Tensor) -> Tensor:
    """(B, N, heads C) => (B, heads, N, C)."""
    batch, length, _ = values.shape
    split = values.view(batch, length, attn.heads, -1)
    return split.transpose(1, 2)


def _head_mask(
    attn: Attention,
    attention_mask: Tensor | None,
    *,
    keys: int,
    batch: int,
) -> Tensor | None:
    """The mask as (B, heads, 1, N), or None."""
    if attention_mask is None:
        return None
    mask: Tensor = attn.prepare_attention_mask(attention_mask, keys, batch)
    return mask.view(batch, attn.heads, -1, mask.shape[-1])


class _Geglu(torch.autograd.Function):
    """See `geglu`."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        width = both.shape[-1] // 2
        output = both.new_empty(*both.shape[:-1], width)
        pieces = zip(_pieces(both), _pieces(output, like=both), strict=True)
        for piece, output_piece in pieces:
            value = piece[:, :width]
            gate = piece[:, width:]
            torch.mul(value, F.gelu(gate), out=output_piece)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        width = both.shape[-1] // 2
        both_gradient = torch.empty_like(both, memory_format=torch.contiguous_format)
        pieces = zip(
            _pieces(both),
            _pieces(gradient, like=both),
            _pieces(both_gradient),
            strict=True,
        )
        for piece, output_gradient, piece_gradient in pieces:
            value = piece[:, :width]
            gate = piece[:, width:]
            torch.mul(
                output_gradient,
                F.gelu(gate),
                out=piece_gradient[:, :width],
            )
            gate_gradient = torch.ops.aten.gelu_backward(output_gradient * value, gate)
            piece_gradient[:, width:] = gate_gradient
        return both_gradient


def _pieces(values: Tensor, like: Tensor | None = None) -> Sequence[Tensor]:
    """Rows of a tensor, on a CPU as many at a time as its cache holds of `like`; all of them on a
    GPU.
    """
    rows = values.reshape(-1, values.shape[-1])
    if values.device.type != "cpu":
        return (rows,)
    sized = values if like is None else like
    row_size = sized.shape[-1]
    piece_rows = max(GATE_PIECE_SIZE // row_size, 1)
    return torch.split(rows, piece_rows)


def geglu(both: Tensor) -> Tensor:
    """Value * gelu(gate) of (..., 2 C) => (..., C), values before gates (Shazeer 2020)."""
    return cast(Tensor, _Geglu.apply(both))  # type: ignore[no-untyped-call]


class FusedGate(GEGLU):  # type: ignore[misc]
    """diffusers' gated layer, around the same linear layer."""

    def __init__(self, proj: nn.Module) -> None:
        nn.Module.__init__(self)
        self.proj = proj

    def forward(
        self,
        hidden_states: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """(..., in) => (..., out)."""
        return geglu(self.proj(hidden_states))


def fuse_lora_layers(network: nn.Module) -> nn.Module:
    """Replace the layers of a network's transformer blocks by fused ones; names of weights stay.

    Returns:
        The network, changed.
    """
    for module in list(network.modules()):
        if isinstance(module, Attention) and FusedAttention.fits(module):
            module.set_processor(FusedAttention())
        for name, child in list(module.named_children()):
            if type(child) is GEGLU:
                linear = cast(nn.Module, child.proj)
                setattr(module, name, FusedGate(linear))
    return network

"""The layers of another base's transformer blocks, with fewer passes over memory while they are
trained.

What they compute is unchanged but for the order of sums. A LoRA layer as PEFT writes it makes three
arrays of the size of its output, and the three of a self-attention read their input nine times;
here products are added where their sum stands, and layers of one input share it
(`sums_of_products`). A gated feed-forward layer is worked through in pieces that a processor's
cache holds (`gated`). `fuse_lora_layers` gives a network both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PIECE = 1 << 17
"""Numbers of a gated layer that a processor takes at a time."""

NARROW = 32
FEW = 128
"""Channels of a head, and keys, below which bfloat16 attention is trained in float32 on a
processor."""


@dataclass(frozen=True)
class Layer:
    """A frozen linear layer, and what one adapter adds to it.

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
        """Whether all of it is of the input's type."""
        return all(
            each is None or each.dtype == x.dtype for each in (self.weight, self.down, self.up)
        )


def layer_of(module: nn.Module) -> Layer | None:
    """A layer as it is worn now; None where it is more than a frozen layer and one plain
    adapter.
    """
    base = module.get_base_layer() if isinstance(module, LoraLayer) else module
    if type(base) is not nn.Linear or base.weight.requires_grad:
        return None
    frozen = Layer(base.weight, base.bias)
    if not isinstance(module, LoraLayer) or module.disable_adapters or module.merged:
        return frozen
    worn = [name for name in module.active_adapters if name in module.lora_A]
    if not worn:
        return frozen
    (name, *others) = worn
    dropped = module.training and not isinstance(module.lora_dropout[name], nn.Identity)
    if others or dropped or name in module.lora_variant or module.lora_B[name].bias is not None:
        return None
    down = module.lora_A[name].weight
    up = module.lora_B[name].weight
    return Layer(
        base.weight,
        base.bias,
        down,
        up,
        float(module.scaling[name]),
    )


def apply(modules: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, ...]:
    """What linear layers say of one input, (..., in) => (..., out) each."""
    layers = [layer for module in modules if (layer := layer_of(module)) and layer.takes(x)]
    if len(layers) < len(modules):
        return tuple(module(x) for module in modules)
    return sums_of_products(x, layers)


def sums_of_products(x: Tensor, layers: Sequence[Layer]) -> tuple[Tensor, ...]:
    """Sums x W^T + b + s (x A^T) B^T, one for each layer; gradients flow to x, and to A and B of
    each.

    Args:
        x: (..., in).
        layers: of that input.

    Returns:
        (..., out) for each layer.
    """
    tensors = [
        each for layer in layers for each in (layer.weight, layer.bias, layer.down, layer.up)
    ]
    scales = tuple(layer.scale for layer in layers)
    rows = x.reshape(-1, x.shape[-1])
    said = _Sums.apply(scales, rows, *tensors)  # type: ignore[no-untyped-call]
    return tuple(each.view(*x.shape[:-1], each.shape[-1]) for each in said)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scales: tuple[float, ...], x: Tensor, *tensors: Tensor | None) -> Any:
        layers = _grouped(tensors)
        downs = [down for _, _, down, _ in layers if down is not None]
        joined = torch.cat(downs) if downs else None
        low = x @ joined.T if joined is not None else None
        said = []
        place = 0
        for scale, (weight, bias, down, up) in zip(scales, layers, strict=True):
            total = x @ weight.T if bias is None else torch.addmm(bias, x, weight.T)
            if low is not None and down is not None and up is not None:
                total.addmm_(low[:, place : place + len(down)], up.T, alpha=scale)
                place += len(down)
            said.append(total)
        ctx.save_for_backward(x, joined, low, *tensors)
        ctx.scales = scales
        return tuple(said)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, joined, low, *tensors = ctx.saved_tensors
        layers = _grouped(tensors)
        back = torch.empty_like(low) if low is not None else None
        of_x = None
        of_layers = []
        place = 0
        for scale, gradient, (weight, _, down, up) in zip(
            ctx.scales, gradients, layers, strict=True
        ):
            if ctx.needs_input_grad[1]:
                of_x = gradient @ weight if of_x is None else of_x.addmm_(gradient, weight)
            of_up = None
            if back is not None and down is not None and up is not None:
                span = slice(place, place + len(down))
                back[:, span] = (gradient @ up).mul_(scale)
                of_up = (gradient.T @ low[:, span]).mul_(scale)
                place += len(down)
            of_layers.append(of_up)
        of_joined = None
        if back is not None:
            of_joined = back.T @ x
            if of_x is not None:
                of_x.addmm_(back, joined)
        given = []
        place = 0
        for of_up, (_, _, down, _) in zip(of_layers, layers, strict=True):
            of_down = None
            if of_joined is not None and down is not None:
                of_down = of_joined[place : place + len(down)]
                place += len(down)
            given += [None, None, of_down, of_up]
        return (None, of_x, *given)


def _grouped(tensors: Sequence[Tensor | None]) -> list[tuple[Any, ...]]:
    return [tuple(tensors[at : at + 4]) for at in range(0, len(tensors), 4)]


def _look(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """Attention, (B, heads, N, C) each, in the type that is faster to train in.

    A processor's backward pass has no bfloat16 products: with narrow heads or few keys what is lost
    in converting is more than what its forward pass gains.
    """
    slow = query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or (query.shape[-1] >= NARROW and key.shape[-2] > FEW):
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
        )
    wide = None if mask is None else mask.float()
    said = F.scaled_dot_product_attention(
        query.float(),
        key.float(),
        value.float(),
        attn_mask=wide,
    )
    return said.to(query.dtype)


class FusedAttention:
    """diffusers' attention of transformer blocks, its layers' products summed in place.

    Computes what `AttnProcessor2_0` does, which it leaves the cases that such blocks have not.
    """

    def __init__(self) -> None:
        self.usual = AttnProcessor2_0()

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
            said: Tensor = self.usual(
                attn,
                hidden_states,
                encoder_hidden_states,
                attention_mask,
                temb,
            )
            return said
        if encoder_hidden_states is None:
            query, key, value = apply((attn.to_q, attn.to_k, attn.to_v), hidden_states)
        else:
            (query,) = apply((attn.to_q,), hidden_states)
            key, value = apply((attn.to_k, attn.to_v), encoder_hidden_states)
        query, key, value = (
            each.view(*each.shape[:-1], attn.heads, -1) for each in (query, key, value)
        )
        mask = attention_mask
        if mask is not None:
            mask = attn.prepare_attention_mask(mask, key.shape[1], len(key))
            mask = mask.view(len(key), attn.heads, -1, mask.shape[-1])
        looked = _look(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            mask,
        )
        (out,) = apply((attn.to_out[0],), looked.transpose(1, 2).flatten(-2))
        return cast(Tensor, attn.to_out[1](out))

    @staticmethod
    def fits(attn: Attention) -> bool:
        """Whether an attention has nothing that this one leaves out."""
        absent = (attn.spatial_norm, attn.group_norm, attn.norm_q, attn.norm_k, attn.norm_cross)
        return (
            not any(absent)
            and not attn.residual_connection
            and attn.rescale_output_factor == 1
            and isinstance(attn.processor, AttnProcessor2_0)
        )


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        width = both.shape[-1] // 2
        said = both.new_empty(*both.shape[:-1], width)
        for piece, out in zip(_pieces(both), _pieces(said, like=both), strict=True):
            torch.mul(piece[:, :width], F.gelu(piece[:, width:]), out=out)
        return said

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        width = both.shape[-1] // 2
        given = torch.empty_like(both, memory_format=torch.contiguous_format)
        pieces = zip(
            _pieces(both),
            _pieces(gradient, like=both),
            _pieces(given),
            strict=True,
        )
        for piece, of_out, out in pieces:
            value = piece[:, :width]
            gate = piece[:, width:]
            torch.mul(of_out, F.gelu(gate), out=out[:, :width])
            out[:, width:] = torch.ops.aten.gelu_backward(of_out * value, gate)
        return given


def _pieces(values: Tensor, like: Tensor | None = None) -> Sequence[Tensor]:
    """Rows of a tensor, as many at a time as the cache holds of `like`; all of them on a GPU."""
    rows = values.reshape(-1, values.shape[-1])
    if values.device.type != "cpu":
        return (rows,)
    return torch.split(rows, max(PIECE // (values if like is None else like).shape[-1], 1))


def gated(both: Tensor) -> Tensor:
    """Value * gelu(gate) of (..., 2 C) => (..., C), values before gates (Shazeer 2020)."""
    return cast(Tensor, _Gated.apply(both))  # type: ignore[no-untyped-call]


class FusedGate(GEGLU):  # type: ignore[misc]
    """diffusers' gated layer, around the very layer that it had."""

    def __init__(self, proj: nn.Module) -> None:
        nn.Module.__init__(self)
        self.proj = proj

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in) => (..., out)."""
        return gated(self.proj(hidden_states))


def fuse_lora_layers(network: nn.Module) -> nn.Module:
    """Let a network's transformer blocks compute the same with less; names of its weights stay.

    Returns:
        The network, changed.
    """
    for module in list(network.modules()):
        if isinstance(module, Attention) and FusedAttention.fits(module):
            module.set_processor(FusedAttention())
        for name, child in list(module.named_children()):
            if type(child) is GEGLU:
                setattr(module, name, FusedGate(cast(nn.Module, child.proj)))
    return network

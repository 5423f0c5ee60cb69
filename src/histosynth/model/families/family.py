"""What a bundle knows of a base that it did not bring itself: its family, its noise, its words.

Two families stand behind one seam. A Stable Diffusion U-Net takes the structure as residuals of its
down blocks (T2I-Adapter, Mou et al. 2023); a PixArt transformer takes it added to its patches.
Which prompt an item is given stands in the vector that a compact base is given as its style: the
flag that something is told, and the label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..denoiser import Denoiser
from ..info import Family
from ..prediction import Level, PredictionType, x0_from
from ..structure import StructureFeatures
from .schedule import Schedule
from .text import Text

Ports = tuple[tuple[int, ...], tuple[int, ...]]
"""Channels of each place that takes structure, and how much smaller its grid is than the
latents'."""


@dataclass(frozen=True, eq=False)
class Base:
    """Facts of a foreign base.

    Attributes:
        family: how its network is called.
        schedule: its noise.
        text: its prompts, embedded.
        told: place of the flag in the style vector; labels stand after it.
        inpainting: it also takes hole and known latents, 9 channels in all.
    """

    family: Family
    schedule: Schedule
    text: Text
    told: int
    inpainting: bool = False
    _moved: dict[str, Tensor] = field(
        default_factory=dict,
        init=False,
        repr=False,
    )

    def seam(self, network: Any) -> Denoiser:
        """The network behind the seam."""
        return DiscreteDenoiser(network, self, RAW[self.family])

    def words(self, style: Tensor, like: Tensor) -> Words:
        """The prompt of each item, on the device and in the type of `like`."""
        rows = self.text.rows(style[:, self.told], style[:, self.told + 1 :]).to(like.device)
        states = self._kept("states", self.text.states, like)[rows]
        mask = None if self.text.mask is None else self._kept("mask", self.text.mask, like)[rows]
        return states, mask

    def _kept(
        self,
        name: str,
        value: Tensor,
        like: Tensor,
    ) -> Tensor:
        key = f"{name} {like.device} {like.dtype}"
        if key not in self._moved:
            self._moved[key] = value.to(like.device, like.dtype)
        return self._moved[key]


Words = tuple[Tensor, Tensor | None]
"""States (B, L, D) of each item's prompt, and their mask (B, L); None: all are looked at."""
Raw = Callable[[Any, Tensor, Tensor, StructureFeatures, Words], Tensor]
"""How a family's network is called: (network, latents in its type, its steps, features, words)."""


class DiscreteDenoiser:
    """See `Denoiser`: steps instead of times, and the way of flows, the same for every family.

    Args:
        network: the base, with or without adapters worn.
        base: its noise and its words.
        said: how its family is called.
    """

    def __init__(
        self,
        network: Any,
        base: Base,
        said: Raw,
    ) -> None:
        self.network = network
        self.base = base
        self.said = said
        self.prediction_type: PredictionType = base.schedule.prediction_type

    def level(self, time: Tensor) -> Level:
        """See `Denoiser.level`."""
        return self.base.schedule.level(time)

    def undefined(self, style: Tensor) -> Tensor:
        """See `Denoiser.undefined`: the empty prompt."""
        return torch.zeros_like(style)

    def raw(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.raw`."""
        like = noisy.to(self.network.dtype)
        words = self.base.words(style, like)
        step = self.base.schedule.step_of(time)
        return self.said(self.network, like, step, features, words).float()

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict_x0`."""
        size, step, level = self.base.schedule.along_flow(time)
        mixed = noisy * size.reshape(-1, 1, 1, 1)
        return x0_from(
            self.prediction_type,
            self.raw(mixed, step, features, style),
            mixed,
            level,
        )


def stable_raw(
    network: Any,
    noisy: Tensor,
    step: Tensor,
    features: StructureFeatures,
    words: Words,
) -> Tensor:
    """A Stable Diffusion U-Net of diffusers, of 4 or (inpainting) 9 channels."""
    said: Tensor = network(
        torch.cat([noisy, features.fine.to(noisy)], dim=1),
        step,
        encoder_hidden_states=words[0],
        # each forward pops from its own list
        down_intrablock_additional_residuals=[scale.to(noisy) for scale in features.scales],
        return_dict=False,
    )[0]
    return said


def pixart_raw(
    network: Any,
    noisy: Tensor,
    step: Tensor,
    features: StructureFeatures,
    words: Words,
) -> Tensor:
    """A PixArt transformer of diffusers; it also says a variance, which is left aside."""
    (scale,) = features.scales
    told = scale.flatten(2).transpose(1, 2).to(noisy)  # as patches are numbered: row by row
    hook = network.pos_embed.register_forward_hook(lambda module, taken, given: given + told)
    try:
        said: Tensor = network(
            noisy,
            encoder_hidden_states=words[0],
            encoder_attention_mask=words[1],
            timestep=step,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
    finally:
        hook.remove()
    return said[:, : noisy.shape[1]]


RAW: dict[str, Raw] = {"stable-diffusion": stable_raw, "pixart": pixart_raw}


def ports_of(network: Any, family: Family) -> Ports:
    """Where a network takes structure.

    diffusers adds a residual to a block with cross-attention before its downsampling, to one
    without after.
    """
    if family == "pixart":
        return (network.inner_dim,), (int(network.config.patch_size),)
    widths: Sequence[int] = network.config.block_out_channels
    last = len(widths) - 1
    strides = []
    for place, block in enumerate(network.down_blocks):
        crossing = getattr(block, "has_cross_attention", False)
        strides.append(2**place if crossing or place == last else 2 ** (place + 1))
    return tuple(widths), tuple(strides)

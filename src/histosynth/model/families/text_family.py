"""Families with a text encoder: their prompts, their discrete noise, and one denoiser for all.

The prompt of an item is encoded in the vector that a compact base takes as its style: the flag
is 0 for the empty prompt, and the label after it selects one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..prediction import NoiseLevel, PredictionType, x0_from
from ..structure import StructureFeatures
from .family import Family
from .schedule import Schedule
from .text import Text


class PromptStates(NamedTuple):
    """Embedded prompts of a batch.

    Attributes:
        states: (B, L, D).
        mask: (B, L), 1 for tokens and 0 for padding; None: the base attends to all of them.
    """

    states: Tensor
    mask: Tensor | None


class TextFamily(Family):
    """A family whose bases are published elsewhere and conditioned on text."""

    held_parts = ("structure",)
    predictions: tuple[PredictionType, ...] = ("epsilon", "v_prediction")
    kohya_blocks: tuple[str, ...] = ()
    adapter_use = ""
    default_steps = 25
    default_batch_px: int | None = None
    trained_on_structure = False
    trains_channels_last = False
    fuses_lora = True

    network_folder: str
    """Of the network, in diffusers' layout."""
    network_class: Any
    """Of diffusers, able to take adapters."""
    weight_files: str
    """Pattern of the network's weights, to fetch them from a hub."""

    @abstractmethod
    def takes_known_latents(self, network: Any) -> bool:
        """Whether a network is an inpainting one: it takes 9 channels."""

    @abstractmethod
    def embed(
        self,
        folder: Path,
        prompts: Sequence[str],
    ) -> Text:
        """Prompts through the text encoder of a base's folder.

        Raises:
            BadWeights: encoder or tokenizer are absent or damaged.
        """

    @abstractmethod
    def call_network(
        self,
        network: Any,
        noisy: Tensor,
        step: Tensor,
        features: StructureFeatures,
        prompts: PromptStates,
    ) -> Tensor:
        """The network's output.

        Args:
            network: of this family.
            noisy: (B, C, h, w) in the network's number type.
            step: (B,) in the base's own steps.
            features: of the structure encoder.
            prompts: of each item.
        """


@dataclass(frozen=True, eq=False)
class TextBase:
    """See `Base`: a base with a text encoder.

    Attributes:
        family: of its network.
        schedule: its noise.
        text: its prompts, embedded.
        flag_index: index of the flag in the style vector; labels follow it.
        inpainting: it also takes the mask and the known latents, 9 channels in all.
    """

    family: TextFamily
    schedule: Schedule
    text: Text
    flag_index: int
    inpainting: bool = False
    _converted: dict[str, Tensor] = field(
        default_factory=dict,
        init=False,
        repr=False,
    )

    def make_denoiser(self, network: Any) -> DiscreteDenoiser:
        """See `Base.make_denoiser`."""
        return DiscreteDenoiser(network, self)

    def save(self, folder: Path) -> list[Path]:
        """See `Base.save`: the embedded prompts."""
        return [self.text.save(folder)]

    def prompts(
        self,
        style: Tensor,
        like: Tensor,
    ) -> PromptStates:
        """The prompt of each item, on the device and in the number type of `like`."""
        flags = style[:, self.flag_index]
        labels = style[:, self.flag_index + 1 :]
        rows = self.text.rows(flags, labels).to(like.device)
        states = self._convert("states", self.text.states, like)[rows]
        if self.text.mask is None:
            return PromptStates(states, None)
        mask = self._convert("mask", self.text.mask, like)[rows]
        return PromptStates(states, mask)

    def _convert(
        self,
        name: str,
        value: Tensor,
        like: Tensor,
    ) -> Tensor:
        """A tensor on the device and in the type of `like`; it is converted once."""
        key = f"{name} {like.device} {like.dtype}"
        if key not in self._converted:
            self._converted[key] = value.to(like.device, like.dtype)
        return self._converted[key]


class DiscreteDenoiser:
    """A base with discrete noise steps behind `Denoiser`.

    Args:
        network: the base, with or without an active adapter.
        base: its noise, its prompts and its family.
    """

    def __init__(
        self,
        network: Any,
        base: TextBase,
    ) -> None:
        self.network = network
        self.base = base
        self.prediction_type: PredictionType = base.schedule.prediction_type
        self.steps: int | None = len(base.schedule.angles)

    def level(self, time: Tensor) -> NoiseLevel:
        """See `Denoiser.level`."""
        return self.base.schedule.level(time)

    def predict(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict`."""
        latents = noisy.to(self.network.dtype)
        prompts = self.base.prompts(style, latents)
        step = self.base.schedule.step_of(time)
        output = self.base.family.call_network(
            self.network,
            latents,
            step,
            features,
            prompts,
        )
        return output.float()

    def predict_x0(
        self,
        noisy: Tensor,
        time: Tensor,
        features: StructureFeatures,
        style: Tensor,
    ) -> Tensor:
        """See `Denoiser.predict_x0`."""
        size, base_time, level = self.base.schedule.along_flow(time)
        mixed = noisy * size.reshape(-1, 1, 1, 1)
        output = self.predict(mixed, base_time, features, style)
        return x0_from(self.prediction_type, output, mixed, level)

    def unconditional(self, style: Tensor) -> Tensor:
        """See `Denoiser.unconditional`: the empty prompt."""
        return torch.zeros_like(style)

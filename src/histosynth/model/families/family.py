"""What differs between families of base networks, and what one opened base brings along.

A family is one object in a file of its own, named in `families.FAMILIES`. The code of training,
sampling and packing calls its methods, and never compares its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..denoiser import Denoiser
from ..prediction import PredictionType

MAX_GRID_PX = 512
"""The sides of a canvas are multiples of less than this, in pixels; 64 are usual."""


class ResidualShapes(NamedTuple):
    """Where a network takes the residuals of the structure encoder.

    Attributes:
        channels: of each residual.
        strides: how much smaller each residual's grid is than the grid of the latents.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class Family(Protocol):
    """A family of base networks."""

    name: str
    """As `bundle.json` has it."""
    held_parts: tuple[str, ...]
    """Networks that a bundle on such a base holds itself, by the names of their folders."""
    predictions: tuple[PredictionType, ...]
    """What its networks can predict."""
    adapter_prefix: str
    """Of the tensors in an adapter's file, as diffusers' pipelines call the network."""
    kohya_blocks: tuple[str, ...]
    """Top modules of its network that kohya's names cover; empty: its adapters have no such
    names."""
    adapter_use: str
    """A sentence for the model card: which other programs load its adapters; "" for none."""
    default_steps: int
    """Solver steps of a new bundle on such a base."""
    default_batch_px: int | None
    """Side of the crops of which `loop.batch` items make a batch; None: the largest crop of the
    recipe."""
    trained_on_structure: bool
    """Whether the base itself was trained with nuclei and masks. If so, both tasks are validated,
    whichever an adapter learns."""
    trains_channels_last: bool
    """Whether training on a CPU is faster with the networks in channels-last order."""
    fuses_lora: bool
    """Whether training gains from `model.fused_lora`."""

    @property
    def holds_base(self) -> bool:
        """Whether its bundles hold the base itself. If not, they name it."""
        return "unet" in self.held_parts

    def residual_shapes(self, network: Any) -> ResidualShapes:
        """Shapes of the residuals that a network takes."""

    def grid_px(self, network: Any) -> int:
        """The sides of a canvas are multiples of this, in pixels."""


class Base(Protocol):
    """The base of one bundle: what its network needs besides its weights."""

    @property
    def family(self) -> Family:
        """Of the network."""

    @property
    def inpainting(self) -> bool:
        """Whether the network takes the mask and the latents of the known tissue too."""

    def make_denoiser(self, network: Any) -> Denoiser:
        """The network behind the common interface."""

    def save(self, folder: Path) -> list[Path]:
        """Write what belongs to the base and is no network into a bundle; returns the files."""

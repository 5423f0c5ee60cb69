"""A node of ComfyUI that gives nuclei to Stable Diffusion.

Put a file of one line, e.g. `histosynth_nodes.py`, into ComfyUI's folder `custom_nodes`:

    from histosynth.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ComfyUI reads these two names. Its own loader of T2I adapters cannot read the structure encoder,
which has other layers; where the residuals go in the U-Net is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .core.errors import BadOption
from .model.autoencoder import FACTOR
from .model.nuclei_t2i_adapter import NucleiT2IAdapter

_PICTURE_CHANNELS = 3


class ComfyResiduals(torch.nn.Module):
    """An adapter's residuals as ComfyUI takes them.

    Args:
        adapter: of a Stable Diffusion 1 or 2.
    """

    unshuffle_amount = FACTOR
    """Sides of a map are multiples of this, in pixels."""
    xl = False

    def __init__(self, adapter: NucleiT2IAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def forward(self, x: Tensor) -> dict[str, list[Tensor | None]]:
        """A residual or None for each input block of the U-Net, that of the first block last.

        Args:
            x: (B, 3, H, W) in [0, 1], of a picture.
        """
        blocks: list[Tensor | None] = []
        for residual in self.adapter(x):
            # the third input block of each level is its last before the next downsampling
            blocks += [None, None, residual]
        blocks.reverse()
        return {"input": blocks}


def nuclei_control(adapter: NucleiT2IAdapter) -> Any:
    """The adapter as a control net of ComfyUI, for its node "Apply ControlNet"."""
    from comfy.controlnet import T2IAdapter  # there where ComfyUI imports this module

    class NucleiControl(T2IAdapter):  # type: ignore[misc]
        """Takes a map as it is: one of another size would be stretched."""

        def scale_image_to(self, width: int, height: int) -> tuple[int, int]:
            """The size that the map is brought to: its own.

            Raises:
                BadOption: the map has another size than the latents.
            """
            rows, columns = self.cond_hint_original.shape[-2:]
            if (columns, rows) != (width, height):
                raise BadOption(
                    "the size of the latents", f"{width} x {height} px", f"{columns} x {rows} px"
                )
            return width, height

        def copy(self) -> NucleiControl:
            """The same network with settings of its own."""
            copied = new_control()
            self.copy_to(copied)
            return copied

    def new_control() -> NucleiControl:
        return NucleiControl(network, _PICTURE_CHANNELS, FACTOR, "nearest-exact")

    network = ComfyResiduals(adapter)
    return new_control()


class LoadNucleiAdapter:
    """The node: a folder that `histosynth bundle export` wrote becomes a control net."""

    CATEGORY = "histosynth"
    FUNCTION = "load"
    RETURN_TYPES = ("CONTROL_NET",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[str, dict[str, str]]]]:
        """See ComfyUI."""
        return {"required": {"folder": ("STRING", {"default": "exported/adapter"})}}

    def load(self, folder: str) -> tuple[Any]:
        """Load the folder `adapter` of what was exported.

        Raises:
            BadWeights: see `NucleiT2IAdapter.open_folder`.
        """
        adapter = NucleiT2IAdapter.open_folder(Path(folder))
        return (nuclei_control(adapter),)


NODE_CLASS_MAPPINGS = {"HistosynthLoadNucleiAdapter": LoadNucleiAdapter}
NODE_DISPLAY_NAME_MAPPINGS = {"HistosynthLoadNucleiAdapter": "Load nuclei adapter (histosynth)"}

"""A double of ComfyUI's `comfy.controlnet`: what it expects of the network of a T2I adapter.

Compared by hand with ComfyUI's own code, whose U-Net then predicts what that of diffusers does.
"""

import sys
from types import ModuleType

import torch


class T2IAdapter:
    """Brings the map to the size of the latents, and calls the network once."""

    def __init__(self, t2i_model, channels_in, compression_ratio, upscale_algorithm):
        self.t2i_model = t2i_model
        self.channels_in = channels_in
        self.compression_ratio = compression_ratio
        self.upscale_algorithm = upscale_algorithm
        self.cond_hint_original = None
        self.strength = 1.0

    def set_cond_hint(self, hint, strength=1.0):
        self.cond_hint_original = hint
        self.strength = strength
        return self

    def copy_to(self, other):
        other.cond_hint_original = self.cond_hint_original
        other.strength = self.strength

    def get_control(self, noisy):
        """The lists from which each input block of the U-Net takes the last."""
        sides = [side * self.compression_ratio for side in noisy.shape[:1:-1]]
        width, height = self.scale_image_to(*sides)
        hint = torch.nn.functional.interpolate(
            self.cond_hint_original, size=(height, width), mode=self.upscale_algorithm
        )
        found = self.t2i_model.to(noisy.dtype)(hint.to(noisy.dtype))
        return {
            name: [None if each is None else each * self.strength for each in blocks]
            for name, blocks in found.items()
        }


def install(monkeypatch):
    """Make `import comfy.controlnet` find the double."""
    package = ModuleType("comfy")
    module = ModuleType("comfy.controlnet")
    module.T2IAdapter = T2IAdapter
    package.controlnet = module
    monkeypatch.setitem(sys.modules, "comfy", package)
    monkeypatch.setitem(sys.modules, "comfy.controlnet", module)

"""What a pipeline of diffusers is called with, checked before anything is sampled."""

from __future__ import annotations

import torch

from ..core.errors import BadOption
from ..core.nuclei import Nuclei
from ..core.seeds import MAX_SEED

_COMPLETION = {
    "image": (
        "left out",
        "given with mask_image",
    ),
    "mask_image": (
        "left out",
        "given with image",
    ),
    "appearance": (
        "given",
        "left out: a completion has that of its image",
    ),
    "num_images_per_prompt": (
        "more than 1",
        "1: a completion is one picture of a seed",
    ),
    "nuclei": (
        "a list",
        "those of one tile for one image, or left out",
    ),
}
"""What each argument is, and what it must be for a completion."""


def check_completion(**fits: bool) -> None:
    """Refuse arguments that no completion takes.

    Raises:
        BadOption: naming the first.
    """
    for name, is_right in fits.items():
        if not is_right:
            found, allowed = _COMPLETION[name]
            raise BadOption(name, found, allowed)


def check_nuclei(nuclei: object, *, has_image: bool) -> None:
    """Refuse prompts and pictures in the place of nuclei.

    Args:
        nuclei: those of a tile, or a list.
        has_image: tiles are completed, for which nuclei may be None.

    Raises:
        BadOption: they are something else, or left out.
    """
    if nuclei is None and not has_image:
        raise BadOption("nuclei", "left out", "those of a tile, or give image and mask_image")
    sets = nuclei if isinstance(nuclei, list | tuple) else [nuclei]
    for each in sets:
        may_be_none = has_image and each is None
        if not isinstance(each, Nuclei) and not may_be_none:
            found = f"of type {type(each).__name__}"
            raise BadOption("nuclei", found, "Nuclei or a list of them, as read_nuclei returns")


def seed_of(seed: int | None, generator: torch.Generator | None) -> int:
    """The seed itself, or one drawn from a generator; from torch's own if both are None.

    Raises:
        BadOption: both are given, or several generators.
    """
    if not isinstance(generator, torch.Generator | None):
        found = f"of type {type(generator).__name__}"
        raise BadOption("generator", found, "one torch.Generator: each picture has its own noise")
    if seed is None:
        device = "cpu" if generator is None else generator.device
        drawn = torch.randint(MAX_SEED, (), generator=generator, device=device)
        return int(drawn)
    if generator is not None:
        raise BadOption("generator", "given with a seed", "left out, or the seed")
    return seed

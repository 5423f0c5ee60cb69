"""Bundles in plain diffusers. Importing this module adds the classes of this package to diffusers:

    import histosynth.diffusers
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained("compact-for-diffusers")

The folder is one that `histosynth bundle export` wrote. diffusers takes classes of its own and of
modules that are imported already; no code of a folder is run, and none has to be trusted.
"""

# no `from __future__ import annotations`: diffusers 0.36 reads the types of `__init__` as they are
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import diffusers.pipelines
import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image

from .core.errors import BadOption, BadWeights
from .core.hub import hub_folder
from .core.nuclei import Nuclei
from .core.seeds import MAX_SEED
from .core.synthetic import Synthetic
from .core.tile import Mask, Pixels
from .model.bundle_component import BundleComponent
from .model.diffusers_export import BUNDLE_FOLDER, COMPONENT, PIPELINE, export_diffusers
from .model.nuclei_t2i_adapter import NucleiT2IAdapter
from .pipeline.complete import complete
from .pipeline.synthesize import synthesize
from .tissue.appearance import Appearance

__all__ = ["BundleComponent", "HistosynthOutput", "HistosynthPipeline", "NucleiT2IAdapter"]

_INFO_FILE = "bundle.json"
_INFO_FILES = (f"*{_INFO_FILE}",)
_BUNDLE_FILES = (*_INFO_FILES, "*.safetensors", "*/config.json")
"""Patterns of the files to fetch from a hub; a star also stands for folders."""
_LOCAL_COPY = "Give the folder of a bundle, or one that `histosynth bundle export` wrote."
_FORMS: dict[str, tuple[Callable[[Synthetic], Any], Callable[[list[Any]], Any] | None]] = {
    "pil": (lambda tile: Image.fromarray(tile.pixels), None),
    "np": (lambda tile: tile.pixels.astype(np.float32) / 255, np.stack),
    "pt": (lambda tile: torch.from_numpy(tile.pixels / np.float32(255)).movedim(2, 0), torch.stack),
}
"""By `output_type`: the form of one picture, and what joins several."""


@dataclass
class HistosynthOutput(BaseOutput):  # type: ignore[misc]
    """What the pipeline returns.

    Attributes:
        images: as `output_type` names them: a list of Pillow's images; or all of one size stacked,
            in [0, 1] as float32: (B, H, W, 3) of numpy, (B, 3, H, W) of torch.
        tiles: the same pictures with their recipes; their `save` marks the file as synthetic.
    """

    images: Any
    tiles: list[Synthetic]


class HistosynthPipeline(DiffusionPipeline):  # type: ignore[misc]
    """`synthesize` and `complete` of a bundle, as diffusers calls a pipeline.

    Args:
        bundle: as diffusers loads it, or `BundleComponent(open_bundle(...))`.
    """

    def __init__(self, bundle: BundleComponent) -> None:
        super().__init__()
        self.register_modules(bundle=bundle)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        torch_dtype: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> "HistosynthPipeline":
        """Open an exported folder, the folder of a bundle, or a repository of the hub.

        Nothing of the folder but the bundle is read, and that as `open_bundle` reads it: this is
        the way for folders of strangers. `DiffusionPipeline.from_pretrained` lets the folder's
        `model_index.json` name what is loaded.

        Args:
            pretrained_model_name_or_path: folder, or `owner/name[@revision]`.
            torch_dtype: to compute in; None: float32.
            dtype: the same, under its newer name.
            options: others of diffusers; those that would load weights in another way are refused.

        Raises:
            BadWeights: there is no such folder or repository, or it holds no bundle.
            BadOption, BundleMismatch, AdapterMismatch: see `BundleComponent`.
        """
        source = os.fspath(pretrained_model_name_or_path)
        # weights are fetched only where there is a bundle
        folder = hub_folder(source, _INFO_FILES, local_hint=_LOCAL_COPY)
        places = (folder / BUNDLE_FOLDER, folder)
        found = [place for place in places if (place / _INFO_FILE).is_file()]
        if not found:
            raise BadWeights(folder, "it holds no bundle", _LOCAL_COPY)
        hub_folder(source, _BUNDLE_FILES, local_hint=_LOCAL_COPY)
        load = BundleComponent.open_folder
        return cls(load(found[0], dtype=dtype or torch_dtype, **options))

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write the bundle as it was opened, as a new folder that diffusers opens.

        Raises:
            BadOption: the bundle was not opened from a folder.
            NotWritable, BundleMismatch: see `export_diffusers`.
        """
        folder = self.bundle.bundle.folder
        if folder is None:
            raise BadOption("the folder of the bundle", "not known", "one that it was opened from")
        export_diffusers(folder, Path(save_directory))

    def __call__(
        self,
        nuclei: Nuclei | Sequence[Nuclei] | None = None,
        appearance: Pixels | Appearance | str | None = None,
        *,
        image: Pixels | None = None,
        mask_image: Mask | None = None,
        label: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        solver: str | None = None,
        num_images_per_prompt: int = 1,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> HistosynthOutput | tuple[Any]:
        """Synthesize tiles from nuclei; or, with `image` and `mask_image`, complete one.

        Args:
            nuclei: of one tile or of several; to complete a tile they may be left out.
            appearance: see `histosynth.synthesize`; not for a completion, which has that of its
                image.
            image: (H, W, 3) uint8 RGB, to complete.
            mask_image: (H, W), not zero where tissue is missing.
            label: one of the bundle's labels.
            num_inference_steps: solver steps; None: the bundle's default.
            guidance_scale: 1 as trained, above 1 stricter with the nuclei; None: the bundle's
                default.
            solver: a name in `sampling.solvers.SOLVERS`; None: the bundle's default.
            num_images_per_prompt: pictures of each set of nuclei.
            seed: the same seed gives the pictures that `histosynth.synthesize` gives for it.
            generator: a seed is drawn from it; it is in the recipe of each tile. None, and no
                `seed`: from torch's own.
            output_type: "pil", "np" or "pt".
            return_dict: False: a tuple of the images alone.

        Raises:
            BadOption: an argument cannot be used.
            HistosynthError: see `histosynth.synthesize` and `histosynth.complete`.
        """
        if output_type not in _FORMS:
            raise BadOption("output_type", output_type, f"one of {', '.join(_FORMS)}")
        common: dict[str, Any] = {
            "nuclei": nuclei,
            "label": label,
            "seed": _seed(seed, generator),
            "steps": num_inference_steps,
            "guidance": guidance_scale,
            "solver": solver,
            "bundle": self.bundle.bundle,
        }
        if image is None and mask_image is None:
            if nuclei is None:
                raise BadOption(
                    "nuclei", "left out", "those of a tile, or give image and mask_image"
                )
            common |= {"appearance": appearance, "n": num_images_per_prompt}
            tiles = synthesize(**common)
        else:
            _check_completion(
                image=image is not None,
                mask_image=mask_image is not None,
                appearance=appearance is None,
                num_images_per_prompt=num_images_per_prompt == 1,
                nuclei=nuclei is None or isinstance(nuclei, Nuclei),
            )
            common |= {"image": image, "mask": mask_image}
            tiles = [complete(**common)]
        images = _as_images(tiles, output_type)
        return HistosynthOutput(images, tiles) if return_dict else (images,)


_COMPLETION = {
    "image": "given, with a mask_image",
    "mask_image": "given, with an image",
    "appearance": "left out: a completion has that of its image",
    "num_images_per_prompt": "1: a completion is one picture of a seed",
    "nuclei": "those of one tile, or left out",
}
"""What each argument must be for a completion."""


def _check_completion(**fits: bool) -> None:
    """Refuse arguments that no completion takes.

    Raises:
        BadOption: naming the first.
    """
    for name, is_right in fits.items():
        if not is_right:
            raise BadOption(name, "something else", _COMPLETION[name])


def _seed(seed: int | None, generator: torch.Generator | None) -> int:
    """The seed itself, or one drawn from a generator.

    Raises:
        BadOption: both are given.
    """
    if seed is None:
        device = "cpu" if generator is None else generator.device
        drawn = torch.randint(MAX_SEED, (), generator=generator, device=device)
        return int(drawn)
    if generator is not None:
        raise BadOption("generator", "given with a seed", "left out, or the seed")
    return seed


def _as_images(tiles: Sequence[Synthetic], output_type: str) -> Any:
    """Pictures in the form that `output_type` names.

    Raises:
        BadOption: arrays of pictures of several sizes.
    """
    form, stack = _FORMS[output_type]
    sizes = {tile.condition.size for tile in tiles}
    if stack is not None and len(sizes) > 1:
        raise BadOption("output_type", output_type, '"pil" for tiles of several sizes')
    images = [form(tile) for tile in tiles]
    return images if stack is None else stack(images)


def _register() -> None:
    """Put the pipeline where diffusers looks for classes that `model_index.json` names."""
    library, _ = COMPONENT
    setattr(diffusers, PIPELINE, HistosynthPipeline)
    setattr(diffusers.pipelines, library, sys.modules[__name__])


_register()

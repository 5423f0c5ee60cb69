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
from typing import Any, NoReturn

import diffusers
import diffusers.pipelines
import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput

from .core.errors import BadOption, BadWeights, InputError
from .core.hub import hub_folder
from .core.nuclei import Nuclei
from .core.pictures import PictureInput, batch_of
from .core.synthetic import Synthetic
from .model.bundle_component import BundleComponent
from .model.diffusers_export import BUNDLE_FOLDER, COMPONENT, PIPELINE, export_diffusers
from .model.nuclei_t2i_adapter import NucleiT2IAdapter
from .pipeline.complete import complete
from .pipeline.diffusers_arguments import check_completion, check_nuclei, seed_of
from .pipeline.diffusers_steps import CallbackOnStepEnd, call_with_steps, check_callback
from .pipeline.synthesize import AppearanceInput, synthesize

__all__ = ["BundleComponent", "HistosynthOutput", "HistosynthPipeline", "NucleiT2IAdapter"]

_INFO_FILE = "bundle.json"
_INFO_FILES = (f"*{_INFO_FILE}",)
_BUNDLE_FILES = (*_INFO_FILES, "*.safetensors", "*/config.json")
"""Patterns of the files to fetch from a hub; a star also stands for folders."""
_LOCAL_COPY = "Give the folder of a bundle, or one that `histosynth bundle export` wrote."
_FORMS: dict[str, tuple[Callable[[Synthetic], Any], Callable[[list[Any]], Any] | None]] = {
    "pil": (lambda tile: tile.pil, None),
    "np": (lambda tile: tile.pixels.astype(np.float32) / 255, np.stack),
    "pt": (lambda tile: tile.tensor(), torch.stack),
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
        self._interrupt = False
        self._num_timesteps = 0

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
            options: others of diffusers: `device_map` names one device; those that would load
                weights in another way are refused.

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

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        safe_serialization: bool = True,
        **options: Any,
    ) -> None:
        """Write the bundle as it was opened, as a new folder that diffusers opens.

        Args:
            save_directory: a new or empty folder.
            safe_serialization: True: nothing else than safetensors is written.
            options: others of diffusers, which would write other files, are refused.

        Raises:
            BadOption: such an option, or the bundle was not opened from a folder.
            NotWritable, BundleMismatch: see `export_diffusers`.
        """
        if not safe_serialization:
            raise BadOption("safe_serialization", safe_serialization, "True")
        for name, value in options.items():
            if value:
                raise BadOption(name, value, "left out: the files are copied as they are")
        folder = self.bundle.bundle.folder
        if folder is None:
            raise BadOption("the folder of the bundle", "not known", "one that it was opened from")
        export_diffusers(folder, Path(save_directory))

    def _refuse_offloading(self, *args: Any, **options: Any) -> NoReturn:
        """Networks of a bundle are not moved one by one.

        Raises:
            InputError: always.
        """
        raise InputError(
            "A bundle is not offloaded: its networks stay on one device.",
            'Move it whole by pipe.to("cuda") and pipe.to("cpu").',
        )

    enable_model_cpu_offload = _refuse_offloading
    enable_sequential_cpu_offload = _refuse_offloading
    enable_group_offload = _refuse_offloading

    @property
    def interrupt(self) -> bool:
        """Whether a callback has set `_interrupt`, which ends the call."""
        return self._interrupt

    @property
    def num_timesteps(self) -> int:
        """Solver steps of the pictures that are sampled, for callbacks."""
        return self._num_timesteps

    def __call__(
        self,
        nuclei: Nuclei | Sequence[Nuclei | None] | None = None,
        appearance: AppearanceInput | Sequence[AppearanceInput] | None = None,
        *,
        image: PictureInput | Sequence[PictureInput] | None = None,
        mask_image: PictureInput | Sequence[PictureInput] | None = None,
        label: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        solver: str | None = None,
        grain: bool = True,
        num_images_per_prompt: int = 1,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: CallbackOnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> HistosynthOutput | tuple[Any]:
        """Synthesize tiles from nuclei; or, with `image` and `mask_image`, complete tiles.

        Args:
            nuclei: of one tile or of several; to complete tiles they may be left out.
            appearance: see `histosynth.synthesize`; not for a completion, which has that of its
                image.
            image: to complete, in any form that `as_rgb` takes; or a list.
            mask_image: in any form that `as_mask` takes, not zero where tissue is missing; as many
                as images.
            label: one of the bundle's labels.
            num_inference_steps: solver steps; None: the bundle's default.
            guidance_scale: 1 as trained, above 1 stricter with the nuclei; None: the bundle's
                default.
            solver: a name in `sampling.solvers.SOLVERS`; None: the bundle's default.
            grain: draw the finest texture, stronger where that of the reference, or of the known
                tissue, is; False: leave it out.
            num_images_per_prompt: pictures of each set of nuclei.
            seed: the same seed gives the pictures that `histosynth.synthesize` gives for it.
            generator: a seed is drawn from it; it is in the recipe of each tile. None, and no
                `seed`: from torch's own.
            callback_on_step_end: called after each solver step with the pipeline, the step from 0,
                the timestep, and {"step": a `SamplingStep`}; it may set `pipe._interrupt`.
            callback_on_step_end_tensor_inputs: left out: callbacks receive no tensors.
            output_type: "pil", "np" or "pt".
            return_dict: False: a tuple of the images alone.

        Raises:
            BadOption: an argument cannot be used.
            Cancelled: the callback interrupted; its `finished` are the tiles complete by then.
            HistosynthError: see `histosynth.synthesize` and `histosynth.complete`.
        """
        if output_type not in _FORMS:
            raise BadOption("output_type", output_type, f"one of {', '.join(_FORMS)}")
        check_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        has_image = image is not None or mask_image is not None
        check_nuclei(nuclei, has_image=has_image)
        common: dict[str, Any] = {
            "nuclei": nuclei,
            "label": label,
            "seed": seed_of(seed, generator),
            "steps": num_inference_steps,
            "guidance": guidance_scale,
            "solver": solver,
            "grain": grain,
            "bundle": self.bundle.bundle,
        }
        verb: Callable[..., Any] = synthesize
        if has_image:
            is_list = batch_of(image, 3) is not None
            check_completion(
                image=image is not None,
                mask_image=mask_image is not None,
                appearance=appearance is None,
                num_images_per_prompt=num_images_per_prompt == 1,
                nuclei=is_list or nuclei is None or isinstance(nuclei, Nuclei),
            )
            common |= {"image": image, "mask": mask_image}
            verb = complete
        else:
            common |= {"appearance": appearance, "n": num_images_per_prompt}
        found = call_with_steps(self, verb, common, callback_on_step_end)
        tiles = found if isinstance(found, list) else [found]
        images = _as_images(tiles, output_type)
        return HistosynthOutput(images, tiles) if return_dict else (images,)


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

"""Bundles as folders that plain diffusers opens.

A compact bundle becomes a pipeline: `model_index.json` names the pipeline of this package, and the
bundle itself is its one component. Of a bundle on Stable Diffusion, which does not hold its base,
what it adds to the base is exported: the structure encoder as the `adapter` of
`StableDiffusionAdapterPipeline`, and the LoRA under diffusers' names and under kohya's.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..core.errors import InputError, NotWritable
from ..core.folder_lock import share_folder
from ..core.markdown import escaped_markdown, front_matter_text, markdown_code
from ..core.paths import real_path
from .adapters import ADAPTER_FILE, read_adapter, write_adapter
from .families import FAMILIES
from .families.stable_diffusion import STABLE_DIFFUSION
from .info import BundleInfo, adapter_folders, read_info, verified
from .kohya import write_kohya
from .nuclei_t2i_adapter import NucleiT2IAdapter
from .packing import bundle_contents, new_folder, write_contents
from .parts import load_part, save_part
from .structure import StructureEncoder

PIPELINE = "HistosynthPipeline"
"""The class that `model_index.json` names."""
COMPONENT = ("histosynth", "BundleComponent")
"""Library and class of the pipeline's one component, as diffusers looks them up."""
BUNDLE_FOLDER = "bundle"
"""Folder of the bundle in an exported pipeline, named like the component."""
T2I_FOLDER = "adapter"
"""Folder of the structure encoder in what is exported for Stable Diffusion."""
KOHYA_FILE = "kohya_lora_weights.safetensors"
_OLDEST_DIFFUSERS = "0.36.0"
"""The version of diffusers that the folder is written for; newer ones read it too."""
_WHOLE_TILES = "global"
"""The adapter that synthesizes whole tiles."""

_PIPELINE_CARD = """---
license: {licence}
library_name: diffusers
tags: [histopathology, H&E, diffusion, synthetic-data, histosynth]
---

# {name}

A histosynth bundle as a pipeline of diffusers: `pip install histosynth` first.
**For research use; not for diagnosis.** Its card is `bundle/README.md`.

```python
import histosynth as hs
import histosynth.diffusers  # adds the pipeline to diffusers
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("THIS FOLDER")
nuclei = hs.read_nuclei("cells.csv", size=(512, 512), mpp={mpp:g}, classes={classes})
pipe(nuclei, seed=7).tiles[0].save("tile.png")
```
"""

_STABLE_CARD = """# {name} for diffusers

What histosynth trained on a Stable Diffusion base, for `StableDiffusionAdapterPipeline` of
diffusers. The base is not in here: {base}.
**For research use; not for diagnosis.**

| file | what |
|---|---|
| `adapter/` | nuclei to residuals of the U-Net; `histosynth.diffusers.NucleiT2IAdapter` loads it |
{lora_rows}
Prompts that it was trained with: {prompts}. Scale: {mpp:g} um/px.
How to use it, and what ComfyUI can do: docs/diffusers.md of histosynth.
"""
_LORA_ROWS = """| `pytorch_lora_weights.safetensors` | the LoRA, for `pipe.unet.load_lora_adapter` |
| `kohya_lora_weights.safetensors` | the same LoRA under kohya's names, for ComfyUI and A1111 |
"""


def export_diffusers(bundle_folder: Path, out: Path) -> BundleInfo:
    """Write a bundle as a new folder that diffusers opens, whole or not at all.

    Args:
        bundle_folder: the bundle, of the compact family or on Stable Diffusion.
        out: a new or empty folder.

    Returns:
        `bundle.json` of the bundle.

    Raises:
        NotWritable: `out` exists already, or lies in the bundle.
        InputError: diffusers has no pipeline for the bundle's base, or see `bundle_contents`.
        BundleMismatch, BadWeights: the bundle is not whole.
    """
    info = verified(bundle_folder, read_info(bundle_folder))
    is_stable = info.family == STABLE_DIFFUSION.name
    if not is_stable and not FAMILIES[info.family].holds_base:
        raise InputError(
            f"{bundle_folder} is for a {info.family} base, and diffusers has no pipeline that "
            "gives nuclei to one.",
            "Its LoRA loads with peft: docs/stable.md.",
        )
    out = real_path(out)
    if out.is_relative_to(real_path(bundle_folder)):
        raise NotWritable(out, "it lies in the bundle itself")
    with share_folder(out.parent, [out.name]), new_folder(out) as folder:
        if is_stable:
            _write_for_stable_diffusion(bundle_folder, info, folder)
        else:
            _write_pipeline(bundle_folder, info, folder)
    return info


def opens_with(info: BundleInfo, out: Path) -> str:
    """The line of Python that opens what `export_diffusers` wrote."""
    if FAMILIES[info.family].holds_base:
        return f"DiffusionPipeline.from_pretrained({str(out)!r})"
    return f"NucleiT2IAdapter.from_pretrained({str(out / T2I_FOLDER)!r})"


def _write_pipeline(source: Path, info: BundleInfo, folder: Path) -> None:
    """A pipeline with the bundle as its one component."""
    index = {
        "_class_name": PIPELINE,
        "_diffusers_version": _OLDEST_DIFFUSERS,
        BUNDLE_FOLDER: list(COMPONENT),
    }
    card = _PIPELINE_CARD.format(
        name=escaped_markdown(info.name),
        licence=front_matter_text(info.licence.lower()),
        mpp=info.mpp,
        classes=list(info.classes),
    )
    write_contents(bundle_contents(source), folder / BUNDLE_FOLDER)
    texts = {
        "README.md": card.encode(),
        "model_index.json": f"{json.dumps(index, indent=2)}\n".encode(),
    }
    write_contents(dict(texts), folder)


def _write_for_stable_diffusion(source: Path, info: BundleInfo, folder: Path) -> None:
    """The structure encoder and the LoRA of the adapter that synthesizes whole tiles."""
    lora_folder = source / "adapters" / _WHOLE_TILES
    has_lora = (lora_folder / ADAPTER_FILE).is_file()
    if not has_lora and adapter_folders(source):
        names = ", ".join(each.name for each in adapter_folders(source))
        raise InputError(
            f"{source} has no adapter {_WHOLE_TILES}, which synthesizes whole tiles, but {names}.",
            "Export a bundle that has one: diffusers has no pipeline for the others.",
        )
    own_structure = lora_folder / "structure"
    structure = own_structure if own_structure.is_dir() else source / "structure"
    encoder = load_part(structure, StructureEncoder)
    save_part(NucleiT2IAdapter.of_encoder(encoder, info), folder / T2I_FOLDER)
    if has_lora:
        adapter, tensors = read_adapter(lora_folder / ADAPTER_FILE)
        write_adapter(folder / ADAPTER_FILE, adapter, tensors)
        write_kohya(lora_folder / ADAPTER_FILE, folder / KOHYA_FILE)
    card = _STABLE_CARD.format(
        name=escaped_markdown(info.name),
        base=_base_text(info),
        lora_rows=_LORA_ROWS if has_lora else "",
        prompts=", ".join(markdown_code(prompt) for prompt in info.prompts[1:]),
        mpp=info.mpp,
    )
    write_contents({"README.md": card.encode()}, folder)


def _base_text(info: BundleInfo) -> str:
    """Name and sha256 of the base, in Markdown."""
    if info.base is None:
        return "not stated"
    source = markdown_code(info.base.without_folders().source)
    return f"{source}, sha256 of its weights {markdown_code(info.base.sha256)}"

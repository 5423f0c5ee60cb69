"""histosynth synthesizes and completes H&E tissue from structure.

    import histosynth as hs

    nuclei = hs.read_nuclei("cells.csv", size=(256, 256), mpp=0.5, classes=hs.CLASSES)
    tile = hs.synthesize(nuclei)[0]
    tile.save("tile.png")

Importing this package loads neither torch nor anything else that takes time.
For research use; not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module

from .core.version import __version__

TYPE_CHECKING = False  # importing `typing` takes time, in which Ctrl-C ends in a traceback

CLASSES = ("epithelial", "lymphocyte", "stromal")
"""Nucleus classes of the compact bundle."""

_MODULE_OF = {
    "Appearance": "tissue.appearance",
    "Box": "core.geometry",
    "Cancelled": "core.errors",
    "Condition": "core.condition",
    "Context": "core.condition",
    "EngineOptions": "engine",
    "FibreOrientation": "core.orientation",
    "HistosynthError": "core.errors",
    "HistosynthPipeline": "diffusers",
    "LayoutEdit": "pipeline.layout_edits",
    "Nuclei": "core.nuclei",
    "NucleiT2IAdapter": "diffusers",
    "PaintOptions": "pipeline.paint",
    "SamplingOptions": "sampling.options",
    "SamplingStep": "sampling.steps",
    "Synthetic": "core.synthetic",
    "Tile": "core.tile",
    "TileCutting": "pipeline.painted_tiles",
    "TileRef": "core.tile",
    "TileSet": "core.tileset",
    "as_mask": "core.pictures",
    "as_rgb": "core.pictures",
    "complete": "pipeline.complete",
    "draw_layout": "tissue.layout",
    "draw_mask": "tissue.masks",
    "draw_slide_layout": "pipeline.slide_layouts",
    "edit_layout": "pipeline.layout_editing",
    "estimate_field": "pipeline.layout_fields",
    "evaluate": "pipeline.evaluate",
    "export_onnx": "pipeline.export_onnx",
    "find_empty": "tissue.empty",
    "find_orientation": "tissue.orientation",
    "measure_appearance": "tissue.appearance",
    "mend": "pipeline.mend",
    "open_bundle": "model.opening",
    "open_layout": "annotation.layout_files",
    "open_onnx": "model.onnx_model",
    "paint": "pipeline.paint",
    "prepare": "pipeline.prepare",
    "read_mask": "core.images",
    "read_nuclei": "annotation.nuclei_files",
    "read_rgb": "core.images",
    "synthesize": "pipeline.synthesize",
    "train": "pipeline.train",
}

__all__ = ["CLASSES", "__version__", *sorted(_MODULE_OF)]

if TYPE_CHECKING:
    from .annotation.layout_files import open_layout
    from .annotation.nuclei_files import read_nuclei
    from .core.condition import Condition, Context
    from .core.errors import Cancelled, HistosynthError
    from .core.geometry import Box
    from .core.images import read_mask, read_rgb
    from .core.nuclei import Nuclei
    from .core.orientation import FibreOrientation
    from .core.pictures import as_mask, as_rgb
    from .core.synthetic import Synthetic
    from .core.tile import Tile, TileRef
    from .core.tileset import TileSet
    from .diffusers import HistosynthPipeline, NucleiT2IAdapter
    from .engine import EngineOptions
    from .model.onnx_model import open_onnx
    from .model.opening import open_bundle
    from .pipeline.complete import complete
    from .pipeline.evaluate import evaluate
    from .pipeline.export_onnx import export_onnx
    from .pipeline.layout_editing import edit_layout
    from .pipeline.layout_edits import LayoutEdit
    from .pipeline.layout_fields import estimate_field
    from .pipeline.mend import mend
    from .pipeline.paint import PaintOptions, paint
    from .pipeline.painted_tiles import TileCutting
    from .pipeline.prepare import prepare
    from .pipeline.slide_layouts import draw_slide_layout
    from .pipeline.synthesize import synthesize
    from .pipeline.train import train
    from .sampling.options import SamplingOptions
    from .sampling.steps import SamplingStep
    from .tissue.appearance import Appearance, measure_appearance
    from .tissue.empty import find_empty
    from .tissue.layout import draw_layout
    from .tissue.masks import draw_mask
    from .tissue.orientation import find_orientation


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The networks of a bundle as ONNX graphs, by torch's own exporter; extra `histosynth[onnx]`.

Heights and widths are free, in steps of the network's grid. Group norms are torch's plain ones:
those for sampling sum in an order of their own, which would be dozens of nodes more.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import NeedsExtra
from ..core.geometry import Size
from ..tissue.grain_patches import GrainPatches
from .autoencoder import FACTOR, to_float_pixels
from .bundle import Bundle
from .conditioning import random_maps, style_length
from .denoiser import Denoiser
from .device import ItemGroupNorm
from .onnx_info import DECODER_FILE, DENOISER_FILE, GRAIN_FILE, STRUCTURE_FILE
from .structure import NUCLEI_CELL, StructureEncoder, StructureFeatures, StructureMaps

ONNX_OPSET = 20
_ROWS = 2
_COLUMNS = 3
"""Cells of the grid in the traced example: unlike, so that no side is taken for the other."""
_LOGGERS = ("torch.onnx", "torch.export", "torch.__trace", "onnxscript")
_SMALL = 256
"""Numbers of a tensor below which it stays float32."""
_EXAMPLE_SEED = 0
_LARGEST_HALF = 65504.0
_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network to export.

    Attributes:
        module: takes the inputs in their order.
        inputs: an example of each, by name.
        outputs: their names.
        cells: side in pixels of a cell of each map, by name of input or output.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    cells: dict[str, int]


class _DenoiserStep(nn.Module):
    """Noisy latents to an estimate of the clean ones."""

    def __init__(self, denoiser: Denoiser, network: nn.Module) -> None:
        super().__init__()
        self.network = network  # so that its weights belong to this module
        self.denoiser = denoiser

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        style: Tensor,
        fine: Tensor,
        *scales: Tensor,
    ) -> Tensor:
        features = StructureFeatures(fine, scales)
        return self.denoiser.predict_x0(noisy, time, features, style)


class _StructureStep(nn.Module):
    """Maps of a condition to features."""

    def __init__(self, encoder: StructureEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        nuclei: Tensor,
        has_nuclei: Tensor,
        known: Tensor,
        mask: Tensor,
        *shapes: Tensor,
    ) -> tuple[Tensor, ...]:
        maps = StructureMaps(
            nuclei,
            has_nuclei,
            known,
            mask,
            *shapes,
        )
        features = self.encoder(maps)
        return (features.fine, *features.scales)


class _DecoderStep(nn.Module):
    """Standardised latents to pixels (1, 3, H, W) in [0, 255], canonical stain."""

    mean: Tensor
    std: Tensor

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.decoder = bundle.autoencoder.decoder
        shape = (1, -1, 1, 1)
        mean = torch.tensor(bundle.info.latent_mean)
        std = torch.tensor(bundle.info.latent_std)
        self.register_buffer("mean", mean.reshape(shape))
        self.register_buffer("std", std.reshape(shape))

    def forward(self, latents: Tensor) -> Tensor:
        signal = self.decoder(latents * self.std + self.mean)
        return to_float_pixels(signal).movedim(-1, -3)


class _GrainStep(nn.Module):
    """Looks (M, 36) to the index of the most alike pose of a patch, and that patch unposed."""

    posed_looks: Tensor
    patches: Tensor

    def __init__(self, patches: GrainPatches) -> None:
        super().__init__()
        self.count = len(patches)
        looks = patches.posed_looks[:-1].astype(np.int8)
        self.register_buffer("posed_looks", torch.from_numpy(looks))
        self.register_buffer("patches", torch.from_numpy(patches.lost.astype(np.int8)))

    def forward(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.posed_looks.float()
        closeness = wanted @ columns - (columns * columns).sum(0) / 2
        chosen = closeness.argmax(dim=1)
        lost = self.patches[chosen % self.count].float()
        return (chosen // self.count).int(), lost


def bundle_graphs(bundle: Bundle) -> dict[str, Graph]:
    """The graphs of a bundle, by the names of their files.

    Args:
        bundle: with the adapter merged in, in float32 on the CPU.
    """
    size = Size(_COLUMNS * bundle.grid_px, _ROWS * bundle.grid_px)
    structure = _structure_graph(bundle, size)
    with torch.no_grad():
        features = structure.module(*structure.inputs.values())
    graphs = {
        STRUCTURE_FILE: structure,
        DENOISER_FILE: _denoiser_graph(bundle, features, size),
        DECODER_FILE: _decoder_graph(bundle, size),
    }
    if bundle.grain is not None:
        module = _GrainStep(bundle.grain.patches)
        wanted = {"looks": torch.zeros(_COLUMNS, len(module.posed_looks))}
        graphs[GRAIN_FILE] = Graph(module, wanted, ("pose", "lost"), {})
    return graphs


def _structure_graph(bundle: Bundle, size: Size) -> Graph:
    encoder = _with_plain_norms(bundle.structure)
    maps = random_maps(
        1,
        classes=len(bundle.info.classes),
        size=size,
        generator=_generator(),
    )
    inputs = {
        "nuclei": maps.nuclei,
        "has_nuclei": maps.has_nuclei,
        "known": maps.known,
        "mask": maps.mask,
    }
    cells = {
        "nuclei": NUCLEI_CELL,
        "known": 1,
        "mask": 1,
    }
    if encoder.config.shapes:
        inputs["shapes"] = maps.nuclei[:, :1].repeat(1, 2, 1, 1)
        cells["shapes"] = NUCLEI_CELL
    outputs = ["fine"]
    cells["fine"] = FACTOR
    for index, stride in enumerate(encoder.config.strides):
        name = f"scale_{index}"
        outputs.append(name)
        cells[name] = FACTOR * int(stride)
    return Graph(
        _StructureStep(encoder),
        inputs,
        tuple(outputs),
        cells,
    )


def _denoiser_graph(
    bundle: Bundle,
    features: Sequence[Tensor],
    size: Size,
) -> Graph:
    network = _with_plain_norms(bundle.unet)
    info = bundle.info
    width, height = size
    channels = len(info.latent_mean)
    styles = style_length(len(info.style_mean), len(info.labels))
    random = _generator()
    fine, *scales = features
    inputs = {
        "noisy": torch.randn(
            1,
            channels,
            height // FACTOR,
            width // FACTOR,
            generator=random,
        ),
        "time": torch.tensor([0.7]),
        "style": torch.randn(1, styles, generator=random),
        "fine": fine,
    }
    for index, scale in enumerate(scales):
        inputs[f"scale_{index}"] = scale
    cells = {"clean": FACTOR}
    for name, example in inputs.items():
        if example.ndim == 4:
            cells[name] = height // example.shape[2]
    return Graph(
        _DenoiserStep(bundle.base.make_denoiser(network), network),
        inputs,
        ("clean",),
        cells,
    )


def _decoder_graph(bundle: Bundle, size: Size) -> Graph:
    width, height = size
    shape = (1, len(bundle.info.latent_mean), height // FACTOR, width // FACTOR)
    return Graph(
        _DecoderStep(bundle),
        {"latents": torch.randn(shape, generator=_generator())},
        ("pixels",),
        {"latents": FACTOR, "pixels": 1},
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(_EXAMPLE_SEED)


def _with_plain_norms(network: _Network) -> _Network:
    """A copy with torch's own group norms."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if type(module) is ItemGroupNorm:
            module.__class__ = nn.GroupNorm  # type: ignore[assignment]
    return plain


def onnx_bytes(
    graph: Graph,
    *,
    grid_px: int,
    half: bool,
    metadata: Mapping[str, str],
) -> bytes:
    """A graph as the bytes of an .onnx file.

    Args:
        graph: the network.
        grid_px: sides of maps are multiples of this, in pixels.
        half: store weights in float16; they become float32 again where the file is loaded.
        metadata: texts to store in the file.

    Raises:
        NeedsExtra: the package onnx or onnxscript is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NeedsExtra("onnx, which an export needs,", "onnx") from error
    module = graph.module.eval()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(graph.inputs.values()),
            dynamo=True,
            opset_version=ONNX_OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=_free_sides(graph, grid_px),
            verbose=False,
        )
    assert program is not None  # noqa: S101 - None only where it writes the file itself
    model = program.model_proto
    _name_sides(model, graph)
    if half:
        _store_in_half(model, onnx)
    onnx.helper.set_model_props(model, dict(metadata))
    model.producer_name = "histosynth"
    model.doc_string = metadata.get("notice", "")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on packages that are not installed, and on names of sides."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _free_sides(graph: Graph, grid_px: int) -> tuple[Any, ...]:
    """For each input which sides are free, as multiples of one number of cells of the grid."""
    rows = torch.export.Dim("rows", min=1, max=1024)
    columns = torch.export.Dim("columns", min=1, max=1024)
    sides: list[Any] = []
    extra: list[Any] = []
    for name in graph.inputs:
        free: dict[int, Any] = {}
        if name in graph.cells:
            count = grid_px // graph.cells[name]
            free = {2: count * rows, 3: count * columns}
        elif name == "looks":
            free = {0: torch.export.Dim("looks", min=1)}
        is_extra = name.startswith("scale_") or name == "shapes"
        (extra if is_extra else sides).append(free)
    if extra:  # those behind the star of `forward`
        sides.append(tuple(extra))
    return tuple(sides)


def _name_sides(model: Any, graph: Graph) -> None:
    """Call the free sides height and width, with the pixels of a cell."""
    for value in [*model.graph.input, *model.graph.output]:
        if value.name not in graph.cells:
            continue
        cell = graph.cells[value.name]
        suffix = "" if cell == 1 else f"/{cell}"
        sides = value.type.tensor_type.shape.dim
        sides[2].dim_param = f"height{suffix}"
        sides[3].dim_param = f"width{suffix}"


def _store_in_half(model: Any, onnx: Any) -> None:
    """Store large float32 tensors in float16, each behind a node that converts it."""
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        is_large = values.dtype == np.float32 and values.size >= _SMALL
        if not is_large or np.abs(values).max() > _LARGEST_HALF:
            continue
        name = tensor.name
        stored = f"{name}.stored"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(
            onnx.helper.make_node(
                "Cast",
                [stored],
                [name],
                to=onnx.TensorProto.FLOAT,
            )
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

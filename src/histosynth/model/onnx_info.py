"""`model.json` of an ONNX export: all that a program needs besides the graphs, in plain numbers.

A solver's steps are linear in the noise and in the estimates so far, once their times are fixed. So
the file holds their coefficients, and a program needs no solver: `SolverPlan`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from ..core import recipe as recipes
from ..core.errors import BadRecipe, OnnxMismatch
from ..core.plain_files import open_plain, read_plain_text
from ..tissue.nucleus_sizes import ClassSizes
from .autoencoder import FACTOR
from .info import PaletteEntry

ONNX_FORMAT = 1
ONNX_INFO_FILE = "model.json"
DENOISER_FILE = "denoiser.onnx"
STRUCTURE_FILE = "structure.onnx"
DECODER_FILE = "decoder.onnx"
GRAIN_FILE = "grain.onnx"
NEEDED_FILES = (STRUCTURE_FILE, DENOISER_FILE, DECODER_FILE)
ONNX_NOTICE = "Made with histosynth. Synthetic: for research use, not for diagnosis."
MAX_ONNX_BYTES = 2 << 30
"""Of one file: no protobuf is larger."""
_MAX_INFO_BYTES = 16 << 20
_MAX_CALLS = 1000


@dataclass(frozen=True)
class SolverCall:
    """One call of the denoiser.

    Attributes:
        time: in [0, 1], 1 is noise.
        guidance: strength; 1: the conditional estimate is taken as it is.
        noise: how much of the noise its input holds.
        estimates: how much of each earlier estimate of the clean latents its input holds.
    """

    time: float
    guidance: float
    noise: float
    estimates: tuple[float, ...]


@dataclass(frozen=True)
class SolverPlan:
    """All calls of a solver, and what its result is made of.

    Attributes:
        solver: name in `sampling.solvers.SOLVERS`.
        steps: of the solver.
        calls: in order.
        noise: how much of the noise the clean latents hold; usually 0.
        estimates: how much of each call's estimate they hold.
    """

    solver: str
    steps: int
    calls: tuple[SolverCall, ...]
    noise: float
    estimates: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.calls)
        if not 1 <= count <= _MAX_CALLS:
            raise ValueError(f"calls must be 1 to {_MAX_CALLS:,}, not {count:,}")
        rows = [call.estimates for call in self.calls]
        lengths = [len(row) for row in [*rows, self.estimates]]
        if lengths != list(range(count + 1)):
            raise ValueError("each call has a number for each estimate before it")
        numbers = [self.noise, *self.estimates]
        for call in self.calls:
            numbers += [call.time, call.guidance, call.noise, *call.estimates]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("numbers of calls must be finite")


@dataclass(frozen=True)
class ExportedBundle:
    """The bundle that was exported.

    Attributes:
        name: of the bundle.
        sha256: of its `bundle.json` with all hashes, as recipes of pictures state it.
        licence: of its weights.
        data: data it was trained on, with licences.
    """

    name: str
    sha256: str
    licence: str
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportedGrain:
    """How strong grain is in the appearances of the palette.

    Attributes:
        strength: (3,) standard deviation of red, green and blue, grey levels.
        extremes: (4,) see `Appearance.extremes`, in canonical stain.
    """

    strength: tuple[float, float, float]
    extremes: tuple[float, float, float, float]


@dataclass(frozen=True)
class ExportedLayout:
    """Nuclei of a tile, drawn from a model of layouts.

    Attributes:
        x: px, of each nucleus.
        y: px.
        class_ids: index into the classes.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    class_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.class_ids):
            raise ValueError("x, y and class_ids must be of the same nuclei")


@dataclass(frozen=True)
class OnnxInfo:
    """`model.json`.

    Attributes:
        bundle: that was exported.
        adapter: that is merged into the denoiser; absent: the base alone.
        hashes: sha256 of each .onnx file, by name.
        weights: number type that weights are stored in; all sums are float32.
        mpp: scale, micrometres per pixel.
        classes: nucleus classes, in channel order.
        mpp_tolerance: largest share by which the scale of nuclei may differ.
        any_class: whether nuclei of class `any` are known.
        labels: of tissue, in channel order.
        least_px: smallest side of a tile.
        most_px: largest side of a tile.
        multiple_px: sides of the graphs' maps are multiples of this.
        latent_mean: per channel of the latents; `decoder.onnx` applies it.
        latent_std: per channel of the latents; likewise.
        style_mean: per style number.
        style_std: per style number.
        max_style_sd: standardised style numbers are cut here.
        palette: appearances; the first is the default.
        plan: of the solver.
        size_levels: levels of the quantiles of sizes.
        sizes: of nuclei by class, which are drawn for those that have none; empty: none is drawn.
        grain: of the appearances; absent: the bundle knows none.
        layout_px: side of the layouts' tiles.
        layouts: examples to begin with.
        histosynth: version that wrote the file.
        notice: what to show with every picture.
        format: version of this file.
    """

    bundle: ExportedBundle
    hashes: dict[str, str]
    weights: str
    mpp: float
    classes: tuple[str, ...]
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    style_mean: tuple[float, ...]
    style_std: tuple[float, ...]
    max_style_sd: float
    palette: tuple[PaletteEntry, ...]
    plan: SolverPlan
    least_px: int
    most_px: int
    multiple_px: int
    adapter: str | None = None
    mpp_tolerance: float = 0.2
    any_class: bool = False
    labels: tuple[str, ...] = ()
    size_levels: tuple[float, ...] = ()
    sizes: tuple[ClassSizes, ...] = ()
    grain: ExportedGrain | None = None
    layout_px: int = 256
    layouts: tuple[ExportedLayout, ...] = field(default=(), repr=False)
    histosynth: str = ""
    notice: str = ONNX_NOTICE
    format: int = ONNX_FORMAT

    def __post_init__(self) -> None:
        if self.format != ONNX_FORMAT:
            raise ValueError(f"format is {self.format}, and this version reads {ONNX_FORMAT}")
        missing = [name for name in NEEDED_FILES if name not in self.hashes]
        if missing:
            raise ValueError(f"hashes names no {missing[0]}")
        if not self.classes or not self.palette:
            raise ValueError("there must be classes and a palette")
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse scales and styles that no model has.

        Raises:
            ValueError: naming them.
        """
        if not 0 < self.mpp < math.inf or not 0 <= self.mpp_tolerance <= 1:
            raise ValueError("mpp must be above 0, and mpp_tolerance from 0 to 1")
        lengths = {len(self.style_mean), len(self.style_std)}
        lengths |= {len(entry.style) for entry in self.palette}
        if self.multiple_px < FACTOR or self.multiple_px % FACTOR:
            raise ValueError(f"multiple_px must be a multiple of {FACTOR}, not {self.multiple_px}")
        if len(lengths) > 1 or min(self.style_std, default=0) <= 0:
            raise ValueError("styles need a mean, a positive std and a number of each entry")


def read_onnx_info(folder: Path) -> OnnxInfo:
    """Read `model.json` of an ONNX export.

    Raises:
        OnnxMismatch: it is absent, of a newer format, or holds impossible values.
    """
    path = folder / ONNX_INFO_FILE
    try:
        values = json.loads(read_plain_text(path, _MAX_INFO_BYTES))
        return recipes.build(values, OnnxInfo, name=str(path))
    except FileNotFoundError as error:
        reason = "there is no such file, so the folder is no export"
        raise OnnxMismatch(path, reason) from error
    except BadRecipe as error:
        raise OnnxMismatch(path, "; ".join(error.problems)) from error
    except RecursionError as error:
        raise OnnxMismatch(path, "it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise OnnxMismatch(path, str(error)) from error


def read_onnx_bytes(path: Path) -> bytes:
    """The bytes of an .onnx file.

    Raises:
        OnnxMismatch: it is absent, no plain file or too large.
    """
    try:
        with open_plain(path) as file:
            data = file.read(MAX_ONNX_BYTES + 1)
    except FileNotFoundError as error:
        raise OnnxMismatch(path, "it is missing") from error
    except OSError as error:
        raise OnnxMismatch(path, error.strerror or str(error)) from error
    if len(data) > MAX_ONNX_BYTES:
        raise OnnxMismatch(path, f"it has more than {MAX_ONNX_BYTES:,} bytes")
    return data

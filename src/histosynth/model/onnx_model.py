"""An ONNX export, opened: onnxruntime and numpy do what the bundle's networks and solver do.

It is what a program without torch does with `model.json`, and what `examples/browser` does in
JavaScript.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float32Array
from ..core.errors import (
    BadOption,
    BadWeights,
    NeedsExtra,
    OnnxMismatch,
    ScaleMismatch,
    SizeMismatch,
    UnknownClasses,
    UnknownLabel,
    first_line,
)
from ..core.geometry import check_size
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from .autoencoder import FACTOR
from .info import PaletteEntry
from .onnx_info import (
    DECODER_FILE,
    DENOISER_FILE,
    NEEDED_FILES,
    STRUCTURE_FILE,
    OnnxInfo,
    SolverCall,
    read_onnx_bytes,
    read_onnx_info,
)
from .structure import NUCLEI_CELL

_SHOWN_DIGITS = 12
Features = dict[str, Float32Array]
"""Outputs of the structure encoder, by name."""


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """The graphs of an export.

    Attributes:
        info: `model.json`.
        sessions: of onnxruntime, by the name of the file.
    """

    info: OnnxInfo
    sessions: Mapping[str, Any]

    def noise_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """Channels, rows and columns of the latents of a tile of (width, height) px."""
        width, height = (-(-side // self._grid) * self._grid for side in size)
        return len(self.info.latent_mean), height // FACTOR, width // FACTOR

    def paint(
        self,
        nuclei: Nuclei,
        noise: Float32Array,
        *,
        appearance: str | None = None,
        label: str | None = None,
    ) -> Float32Array:
        """A whole tile in canonical stain, without grain.

        No size is drawn for nuclei that have none: `tissue.nucleus_sizes.draw_shapes` does that.

        Args:
            nuclei: of the tile; their size is the tile's.
            noise: (C, h, w) unit normal, of `noise_shape`.
            appearance: name in the palette, which gives the style; None: the first.
            label: one of the labels.

        Returns:
            (H, W, 3) float32 in [0, 255].

        Raises:
            BadSize, UnknownClasses, ScaleMismatch: the nuclei do not fit the model.
            BadOption, UnknownLabel: there is no such appearance or label.
            SizeMismatch: the noise is of another shape.
            BadWeights: a value of the picture is not finite.
        """
        self._check(nuclei, noise)
        noise = np.asarray(noise, np.float32)
        maps = self._maps(nuclei)
        style = self._style(appearance, label)
        with_nuclei = self._features(maps)
        without_nuclei: Features = {}
        if any(call.guidance != 1 for call in self.info.plan.calls):
            without_nuclei = self._features(_without_nuclei(maps))
        estimates: list[Float32Array] = []
        for call in self.info.plan.calls:
            noisy = _mixed(noise[None], call.noise, estimates, call.estimates)
            estimate = self._estimate(noisy, call, style, with_nuclei)
            if call.guidance != 1:
                free = self._estimate(noisy, call, style, without_nuclei)
                estimate = free + np.float32(call.guidance) * (estimate - free)
            estimates.append(estimate)
        plan = self.info.plan
        latents = _mixed(noise[None], plan.noise, estimates, plan.estimates)
        pixels = self.sessions[DECODER_FILE].run(None, {"latents": latents})[0]
        if not np.isfinite(pixels).all():
            raise BadWeights(Path(self.info.bundle.name), "its pictures are not all finite")
        width, height = nuclei.size
        return np.ascontiguousarray(pixels[0].transpose(1, 2, 0)[:height, :width])

    @property
    def _grid(self) -> int:
        return self.info.multiple_px

    def _check(self, nuclei: Nuclei, noise: Float32Array) -> None:
        """Refuse nuclei and noise that do not fit."""
        info = self.info
        width, height = nuclei.size
        check_size(
            width,
            height,
            min_px=info.least_px,
            max_px=info.most_px,
            multiple=FACTOR,
        )
        if nuclei.classes != info.classes:
            raise UnknownClasses(nuclei.classes, info.classes)
        if not info.any_class and (nuclei.class_ids == ANY_CLASS).any():
            raise UnknownClasses([ANY], info.classes)
        log_ratio = abs(np.log(nuclei.mpp / info.mpp))
        if not log_ratio <= np.log(1 + info.mpp_tolerance):
            raise ScaleMismatch(nuclei.mpp, info.mpp, info.mpp_tolerance)
        channels, rows, columns = self.noise_shape(nuclei.size)
        if noise.shape != (channels, rows, columns):
            got = (noise.shape[-1], noise.shape[-2])
            raise SizeMismatch("noise", got, (columns, rows))

    def _maps(self, nuclei: Nuclei) -> Features:
        """Inputs of the structure encoder: everything is to be filled."""
        _, rows, columns = self.noise_shape(nuclei.size)
        height = FACTOR * rows
        width = FACTOR * columns
        maps = {
            "nuclei": _padded(nuclei.rasterize(cell=NUCLEI_CELL), height, width),
            "has_nuclei": np.ones(1, np.float32),
            "known": np.zeros((1, 3, height, width), np.float32),
            "mask": np.ones((1, 1, height, width), np.float32),
        }
        wanted = {each.name for each in self.sessions[STRUCTURE_FILE].get_inputs()}
        if "shapes" in wanted:
            maps["shapes"] = _padded(nuclei.rasterize_shapes(cell=NUCLEI_CELL), height, width)
        return maps

    def _features(self, maps: Features) -> Features:
        session = self.sessions[STRUCTURE_FILE]
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, maps), strict=True))

    def _estimate(
        self,
        noisy: Float32Array,
        call: SolverCall,
        style: Float32Array,
        features: Features,
    ) -> Float32Array:
        """Of the clean latents, (1, C, h, w)."""
        time = np.array([call.time], np.float32)
        inputs = {
            "noisy": noisy,
            "time": time,
            "style": style,
            **features,
        }
        estimate: Float32Array = self.sessions[DENOISER_FILE].run(None, inputs)[0]
        return estimate

    def _entry(self, name: str | None) -> PaletteEntry:
        """The palette's entry of that name; None: its first."""
        palette = {entry.name: entry for entry in self.info.palette}
        if name is None:
            return self.info.palette[0]
        if name not in palette:
            raise BadOption("the appearance", name, f"one of {', '.join(palette)}")
        return palette[name]

    def _style(self, appearance: str | None, label: str | None) -> Float32Array:
        """(1, S + 1 + L), see `conditioning.style_vector`."""
        info = self.info
        entry = self._entry(appearance)
        if label is not None and label not in info.labels:
            raise UnknownLabel(label, info.labels)
        mean = np.array(info.style_mean, np.float32)
        std = np.array(info.style_std, np.float32)
        numbers = (np.array(entry.style, np.float32) - mean) / std
        most = info.max_style_sd
        one_hot = [float(label == each) for each in info.labels]
        row = np.concatenate([numbers.clip(-most, most), [1.0], one_hot])
        return row[None].astype(np.float32)


def open_onnx(folder: Path | str, *, threads: int = 0) -> OnnxModel:
    """Open what `export_onnx` wrote, after comparing every file with its sha256.

    Args:
        folder: of the export.
        threads: of onnxruntime; 0: as many as it chooses.

    Raises:
        NeedsExtra: onnxruntime is not installed.
        OnnxMismatch: a file is missing, cannot be loaded, or is not the one that `model.json`
            names, such as one of another bundle.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise NeedsExtra("onnxruntime, which an ONNX export needs,", "onnx") from error
    folder = Path(folder)
    info = read_onnx_info(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    sessions = {}
    for name in info.hashes:
        path = folder / name
        if Path(name).name != name:
            raise OnnxMismatch(path, "its name leads out of the folder")
        data = read_onnx_bytes(path)
        _check_bytes(path, data, info)
        if name in NEEDED_FILES:
            sessions[name] = _session(onnxruntime, path, data, options)
    return OnnxModel(info, sessions)


def _check_bytes(path: Path, data: bytes, info: OnnxInfo) -> None:
    """Refuse a file that `model.json` does not name.

    Raises:
        OnnxMismatch: with both sums, and the bundle that it is of if it states one.
    """
    found = hashlib.sha256(data).hexdigest()
    stated = info.hashes[path.name]
    if found == stated:
        return
    other = _stated_bundle(data)
    reason = (
        f"its sha256 begins {found[:_SHOWN_DIGITS]}, and model.json of bundle "
        f"{info.bundle.name!r} states {stated[:_SHOWN_DIGITS]}"
    )
    if other and other["bundle_sha256"] != info.bundle.sha256:
        reason = (
            f"it is of bundle {other['bundle']!r} (sha256 {other['bundle_sha256'][:_SHOWN_DIGITS]}"
            f"), and model.json is of bundle {info.bundle.name!r} (sha256 "
            f"{info.bundle.sha256[:_SHOWN_DIGITS]})"
        )
    raise OnnxMismatch(path, reason)


def _stated_bundle(data: bytes) -> dict[str, str]:
    """Name and sha256 of the bundle that an .onnx file states; empty: it states none."""
    try:
        import onnx

        model = onnx.load_model_from_string(data)
    except Exception:  # noqa: BLE001 - whatever a damaged protobuf raises, it states nothing
        return {}
    stated = {each.key: each.value for each in model.metadata_props}
    if not {"bundle", "bundle_sha256"} <= stated.keys():
        return {}
    return stated


def _session(
    onnxruntime: Any,
    path: Path,
    data: bytes,
    options: Any,
) -> Any:
    try:
        return onnxruntime.InferenceSession(
            data,
            options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:  # its classes share no root but this
        raise OnnxMismatch(path, f"onnxruntime cannot load it ({first_line(error)})") from error


def _mixed(
    noise: Float32Array,
    share: float,
    estimates: list[Float32Array],
    shares: tuple[float, ...],
) -> Float32Array:
    """The noise and the estimates, each in its share."""
    total = np.float32(share) * noise
    for estimate, each in zip(estimates, shares, strict=True):
        total = total + np.float32(each) * estimate
    return total


def _without_nuclei(maps: Features) -> Features:
    """The unconditional maps of guidance."""
    empty = {name: np.zeros_like(maps[name]) for name in ("nuclei", "has_nuclei")}
    if "shapes" in maps:
        empty["shapes"] = np.zeros_like(maps["shapes"])
    return {**maps, **empty}


def _padded(maps: Float32Array, height: int, width: int) -> Float32Array:
    """(K, h, w) with nothing at the right and below, (1, K, height / 2, width / 2)."""
    _, rows, columns = maps.shape
    below = height // NUCLEI_CELL - rows
    right = width // NUCLEI_CELL - columns
    return np.pad(maps, ((0, 0), (0, below), (0, right)))[None]

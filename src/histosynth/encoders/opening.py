"""Encoders and perceptual distances by name. Only the one that is needed is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ..core.arrays import Float32Array
from ..core.errors import BadOption
from ..core.place import CPU_PLACE, ComputePlace
from ..core.tile import Mask, Pixels
from .encoder import Encoder, Perceptual

_PlacedTool = TypeVar("_PlacedTool")


@dataclass(frozen=True)
class EncoderOpener:
    """How one encoder is opened.

    Attributes:
        open: called with the part of the name after `:` and the path of weights, if any.
        argument: whether a part after `:` may or must follow the name.
        usage: the part after the name as lists of encoders show it.
    """

    open: Callable[[str, Path | None], Encoder]
    argument: Literal["none", "optional", "required"] = "none"
    usage: str = ""

    def accepts(self, argument: str, *, has_colon: bool) -> bool:
        """Whether `name`, `name:` or `name:argument` is a valid way to name it."""
        if self.argument == "none":
            return not has_colon
        if self.argument == "required":
            return bool(argument)
        return has_colon == bool(argument)


def _open_histo(argument: str, weights: Path | None) -> Encoder:
    from .histo import load_encoder

    return load_encoder(weights) if weights else load_encoder()


def _open_inception(argument: str, weights: Path | None) -> Encoder:
    from .inception import load_inception

    return load_inception(weights)


def _open_dinov2(argument: str, weights: Path | None) -> Encoder:
    from .dinov2 import load_dinov2

    return load_dinov2(str(weights) if weights else argument)


def _open_hub(argument: str, weights: Path | None) -> Encoder:
    from .hub import load_hub

    return load_hub(argument, weights)


def _open_squeezenet(argument: str, weights: Path | None) -> Encoder:
    from .squeezenet import load_squeezenet

    return load_squeezenet(_required_weights(weights, "squeezenet"))


ENCODERS: Mapping[str, EncoderOpener] = {
    "histo": EncoderOpener(_open_histo),
    "inception": EncoderOpener(_open_inception),
    "dinov2": EncoderOpener(_open_dinov2, "optional", "[:folder or id]"),
    "hub": EncoderOpener(_open_hub, "required", ":<timm id>"),
    "squeezenet": EncoderOpener(_open_squeezenet),
}
"""Every encoder, by the name that options use. A new one is one file and one more line."""


def open_encoder(
    name: str = "histo",
    *,
    weights: Path | None = None,
    bf16: bool = False,
    device: str = "cpu",
) -> Encoder:
    """An encoder by its name.

    Args:
        name: `histo` (shipped), `inception`, `dinov2` or `dinov2:<folder or id>`, `hub:<timm id>`,
            `squeezenet`.
        weights: file (inception, squeezenet) or folder (histo, dinov2, hub) of its weights; None:
            shipped, or in a cache, or fetched. squeezenet has none of these.
        bf16: run its network in bfloat16; `about` states this.
        device: where its network runs; `about` states another one than the CPU.

    Raises:
        BadOption: there is no such encoder, it needs its weights named, or the device cannot be
            used.
        BadWeights: the weights are not what they should be.
        FetchFailed: they are not on this machine and cannot be fetched.
        NeedsExtra: it lives in an extra that is not installed.
    """
    base_name, colon, argument = name.partition(":")
    opener = ENCODERS.get(base_name)
    if opener is None or not opener.accepts(argument, has_colon=bool(colon)):
        usages = [f"{known}{each.usage}" for known, each in ENCODERS.items()]
        raise BadOption("encoder", repr(name), f"one of {', '.join(usages)}")
    encoder = opener.open(argument, weights)
    if bf16:
        from .precision import in_bfloat16

        encoder = in_bfloat16(encoder)
    return _on_device(encoder, ComputePlace(device, bf16))


def _on_device(encoder: _PlacedTool, place: ComputePlace) -> _PlacedTool:
    """The same encoder or distance elsewhere, which its `about` states."""
    if place.device == CPU_PLACE.device:
        return encoder
    from ..tensors.placing import placed

    other = placed(encoder, place)
    values = vars(other)
    values["about"] = {**values["about"], "device": place.device}
    return other


@dataclass(frozen=True, eq=False)
class _RenamedPerceptual:
    """A distance of an encoder's maps, under a name that cannot be taken for LPIPS."""

    encoder: Perceptual

    @property
    def name(self) -> str:
        return f"perceptual_{self.encoder.name}"

    @property
    def about(self) -> Mapping[str, str]:
        return self.encoder.about

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Float32Array:
        return self.encoder.distance(first, second, masks)


def _open_histo_distance(weights: Path | None) -> Perceptual:
    from .histo import load_encoder

    encoder = load_encoder(weights) if weights else load_encoder()
    return _RenamedPerceptual(encoder)


def _open_lpips(weights: Path | None) -> Perceptual:
    from .lpips import load_lpips

    return load_lpips("alex", weights)


def _open_lpips_vgg(weights: Path | None) -> Perceptual:
    from .lpips import load_lpips

    return load_lpips("vgg", weights)


def _open_squeezenet_distance(weights: Path | None) -> Perceptual:
    from .squeezenet import load_squeezenet

    encoder = load_squeezenet(_required_weights(weights, "squeezenet"))
    return _RenamedPerceptual(encoder)


PERCEPTUALS: Mapping[str, Callable[[Path | None], Perceptual]] = {
    "histo": _open_histo_distance,
    "lpips": _open_lpips,
    "lpips-vgg": _open_lpips_vgg,
    "squeezenet": _open_squeezenet_distance,
}
"""Every perceptual distance, by the name that options use."""


def open_perceptual(
    name: str = "histo",
    *,
    weights: Path | None = None,
    device: str = "cpu",
) -> Perceptual:
    """A perceptual distance by its name.

    Args:
        name: `histo` (shipped), `lpips` (AlexNet below), `lpips-vgg`, `squeezenet`.
        weights: file of the trunk (lpips, squeezenet) or folder (histo); None: as in
            `open_encoder`.
        device: where its network runs; `about` states another one than the CPU.

    Raises:
        BadOption: there is no such distance, it needs its weights named, or the device cannot be
            used.
        BadWeights: the weights are not what they should be.
        FetchFailed: they are not on this machine and cannot be fetched.
        NeedsExtra: it lives in an extra that is not installed.
    """
    opener = PERCEPTUALS.get(name)
    if opener is None:
        raise BadOption("perceptual distance", repr(name), f"one of {', '.join(PERCEPTUALS)}")
    perceptual = opener(weights)
    place = ComputePlace(device)
    if isinstance(perceptual, _RenamedPerceptual):
        return _RenamedPerceptual(_on_device(perceptual.encoder, place))
    return _on_device(perceptual, place)


def _required_weights(weights: Path | None, name: str) -> Path:
    """The path of weights that are neither shipped nor fetched.

    Raises:
        BadOption: none is given.
    """
    if weights is None:
        raise BadOption("--weights", "not given", f"the path of a .safetensors file for {name}")
    return weights

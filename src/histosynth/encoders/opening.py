"""Encoders and perceptual distances by name. Only the one that is asked for is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import BadOption
from ..core.tile import Mask, Pixels
from .encoder import Encoder, Features, Perceptual

ENCODERS = ("histo", "inception", "dinov2[:folder or id]", "hub:<timm id>", "squeezenet")
PERCEPTUALS = ("histo", "lpips", "lpips-vgg", "squeezenet")


@dataclass(frozen=True, eq=False)
class _LikeLpips:
    """A distance of an encoder's maps, under a name that does not say LPIPS."""

    of: Perceptual

    @property
    def name(self) -> str:
        return f"perceptual_{self.of.name}"

    @property
    def about(self) -> Mapping[str, str]:
        return self.of.about

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Features:
        return self.of.distance(first, second, masks)


def open_encoder(
    name: str = "histo", *, weights: Path | None = None, bf16: bool = False
) -> Encoder:
    """An encoder by its name.

    Args:
        name: `histo` (shipped), `inception`, `dinov2` or `dinov2:<folder or id>`, `hub:<timm id>`,
            `squeezenet`.
        weights: file (inception, squeezenet) or folder (histo, dinov2, hub) of its weights; None:
            shipped, or in a cache, or fetched. squeezenet has none of these.
        bf16: run its network in bfloat16; `about` says so.

    Raises:
        BadOption: there is no such encoder, or it needs its weights named.
        BadWeights: the weights are not what they should be.
        FetchFailed: they are not here and cannot be fetched.
        NeedsExtra: it lives in an extra that is not installed.
    """
    encoder = _opened(name, weights)
    if not bf16:
        return encoder
    from .precision import in_bfloat16

    return in_bfloat16(encoder)


def _opened(name: str, weights: Path | None) -> Encoder:
    kind, colon, more = name.partition(":")
    if name == "histo":
        from . import histo

        return histo.load_encoder(weights) if weights else histo.load_encoder()
    if name == "inception":
        from .inception import load_inception

        return load_inception(weights)
    if kind == "dinov2" and bool(colon) == bool(more):
        from .dinov2 import load_dinov2

        return load_dinov2(str(weights) if weights else more)
    if kind == "hub" and more:
        from .hub import load_hub

        return load_hub(more, weights)
    if name == "squeezenet":
        from .squeezenet import load_squeezenet

        return load_squeezenet(_named(weights, name))
    raise BadOption("encoder", repr(name), f"one of {', '.join(ENCODERS)}")


def open_perceptual(name: str = "histo", *, weights: Path | None = None) -> Perceptual:
    """A perceptual distance by its name.

    Args:
        name: `histo` (shipped), `lpips` (AlexNet below), `lpips-vgg`, `squeezenet`.
        weights: file of the trunk (lpips, squeezenet) or folder (histo); None: as in
            `open_encoder`.

    Raises:
        BadOption: there is no such distance, or it needs its weights named.
        BadWeights: the weights are not what they should be.
        FetchFailed: they are not here and cannot be fetched.
        NeedsExtra: it lives in an extra that is not installed.
    """
    if name == "histo":
        from . import histo

        return _LikeLpips(histo.load_encoder(weights) if weights else histo.load_encoder())
    if name in ("lpips", "lpips-vgg"):
        from .lpips import load_lpips

        return load_lpips("vgg" if name == "lpips-vgg" else "alex", weights)
    if name == "squeezenet":
        from .squeezenet import load_squeezenet

        return _LikeLpips(load_squeezenet(_named(weights, name)))
    raise BadOption("perceptual distance", repr(name), f"one of {', '.join(PERCEPTUALS)}")


def _named(weights: Path | None, name: str) -> Path:
    if weights is None:
        raise BadOption("--weights", "not given", f"the path of a .safetensors file for {name}")
    return weights

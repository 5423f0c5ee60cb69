"""Decoding the middle of some latents: what lies around it is left out as soon as it can be.

A pixel depends on cells around it, and on fewer at the decoder's finer scales. So margins are
cropped between its layers, to what the layers that follow reach. The result is that of decoding all
and cropping at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from diffusers import AutoencoderDC
from diffusers.models.autoencoders.autoencoder_dc import DCUpBlock2d, ResBlock
from torch import Tensor

from .autoencoder import FACTOR, Autoencoder, decode
from .device import place_of


class Rim(NamedTuple):
    """Cells, or pixels, around the middle of a picture."""

    left: int
    top: int
    right: int
    bottom: int


NO_RIM = Rim(
    0,
    0,
    0,
    0,
)


@dataclass(frozen=True)
class _Stage:
    """One layer of a decoder.

    Attributes:
        run: the layer.
        reach: positions beyond one that decide it.
        factor: by which it enlarges.
    """

    run: Callable[[Tensor], Tensor]
    reach: int
    factor: int = 1


def decode_inside(autoencoder: Autoencoder, latents: Tensor, margins: Rim) -> Tensor:
    """Raw latents (B, C, h, w) => the pixels (B, 3, H, W) of the cells inside of some margins.

    Args:
        autoencoder: its decoder may be of any sort; only one of residual blocks saves work.
        latents: raw ones.
        margins: cells on each side that are not wanted.

    Returns:
        float32, about [-1, 1]: what `decode` gives, cropped.
    """
    stages = _stages(autoencoder) if any(margins) else None
    if stages is None:
        decoded = decode(
            autoencoder,
            latents,
        )
        return _cropped(
            decoded,
            Rim(*(FACTOR * side for side in margins)),
        )
    values = latents.to(*place_of(autoencoder))
    left = margins
    for stage, need in zip(
        stages,
        _needed(stages),
        strict=True,
    ):
        kept = Rim(
            *(
                min(
                    side,
                    need,
                )
                for side in left
            )
        )
        spare = Rim(
            *(
                side - keep
                for side, keep in zip(
                    left,
                    kept,
                    strict=True,
                )
            )
        )
        values = stage.run(
            _cropped(
                values,
                spare,
            )
        )
        left = Rim(*(stage.factor * side for side in kept))
    return _cropped(
        values,
        left,
    ).float()


def decoder_reach(autoencoder: Autoencoder) -> int | None:
    """Latent cells beyond a pixel that decide it; None: not known, or all of the picture."""
    stages = _stages(autoencoder)
    return None if stages is None else _needed(stages)[0]


def _needed(stages: Sequence[_Stage]) -> list[int]:
    """Margin that each stage and those after it reach, in positions before the stage."""
    needed = []
    beyond = 0
    for stage in reversed(stages):
        beyond = -(-beyond // stage.factor) + stage.reach
        needed.append(beyond)
    return needed[::-1]


def _cropped(values: Tensor, margins: Rim) -> Tensor:
    height, width = values.shape[-2:]
    return values[
        ...,
        margins.top : height - margins.bottom,
        margins.left : width - margins.right,
    ]


def _stages(autoencoder: Autoencoder) -> list[_Stage] | None:
    """The layers of a decoder in order; None: it has some whose reach is not known."""
    if not isinstance(
        autoencoder,
        AutoencoderDC,
    ):
        return None
    decoder: Any = autoencoder.decoder
    stages = [
        _Stage(
            _entry_of(decoder),
            1,
        )
    ]
    for block in reversed(decoder.up_blocks):
        for layer in block:
            if isinstance(
                layer,
                DCUpBlock2d,
            ):
                stages.append(
                    _Stage(
                        layer,
                        1,
                        layer.factor,
                    )
                )
            elif isinstance(
                layer,
                ResBlock,
            ):
                stages.append(
                    _Stage(
                        layer,
                        2,
                    )
                )
            else:
                return None
    factor = getattr(
        decoder.conv_out,
        "factor",
        1,
    )
    stages.append(
        _Stage(
            _exit_of(decoder),
            1,
            factor,
        )
    )
    return stages


def _entry_of(decoder: Any) -> Callable[[Tensor], Tensor]:
    def run(latents: Tensor) -> Tensor:
        entered: Tensor = decoder.conv_in(latents)
        if decoder.in_shortcut:
            entered = entered + latents.repeat_interleave(
                decoder.in_shortcut_repeats,
                dim=1,
            )
        return entered

    return run


def _exit_of(decoder: Any) -> Callable[[Tensor], Tensor]:
    def run(values: Tensor) -> Tensor:
        normed = decoder.norm_out(
            values.movedim(
                1,
                -1,
            )
        ).movedim(
            -1,
            1,
        )
        signal: Tensor = decoder.conv_out(decoder.conv_act(normed))
        return signal

    return run

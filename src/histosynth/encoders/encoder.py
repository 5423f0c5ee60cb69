"""The interfaces of encoders: features of pictures, and perceptual distances inside masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..core.arrays import Float32Array
from ..core.tile import Mask, Pixels


@dataclass(frozen=True, eq=False)
class Embedded:
    """Features of N pictures.

    Attributes:
        features: (N, D) float32, of the whole picture.
        spatial: (N, S) float32, a few channels of an intermediate map, position by position, as
            sFID takes them (Nash et al. 2021); None: this encoder has no such map.
    """

    features: Float32Array
    spatial: Float32Array | None = None


class Encoder(Protocol):
    """Turns pictures into features. A picture's features do not depend on what else is in the
    batch.
    """

    @property
    def name(self) -> str:
        """Short, for `FD_<name>`."""

    @property
    def about(self) -> Mapping[str, str]:
        """What must be reported with every number: weights (sha256), resize, input range and
        number type.
        """

    def embed(self, pictures: Pixels) -> Embedded:
        """Features of (N, H, W, 3) uint8 pictures of one size."""


class Perceptual(Protocol):
    """Measures how different two pictures look, within masks."""

    @property
    def name(self) -> str:
        """E.g. `LPIPS_alex` or `perceptual_histo`; only the original one is called LPIPS."""

    @property
    def about(self) -> Mapping[str, str]:
        """As of `Encoder`."""

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Float32Array:
        """(N, M) distances of (N, H, W, 3) pictures within (N, M, H, W) masks; nan for an empty
        mask.
        """

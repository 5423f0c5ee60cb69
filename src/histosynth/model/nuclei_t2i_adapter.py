"""The structure encoder of a Stable Diffusion bundle as the `adapter` of diffusers'
`StableDiffusionAdapterPipeline`: a map of nuclei in, the residuals of the U-Net out.

It is the encoder itself, so that its residuals are the same, bit for bit. The layers of diffusers'
own `T2IAdapter` (Mou et al. 2023) cannot be that: they have ReLU without norms and average pooling,
and the encoder has group norms, SiLU, strided convolutions and an output layer at each scale.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ModelMixin, T2IAdapter
from diffusers.configuration_utils import register_to_config
from PIL import Image
from torch import Tensor

from ..core.errors import BadOption, ScaleMismatch, UnknownClasses
from ..core.geometry import check_size
from ..core.nuclei import ANY, ANY_CLASS, SHAPE_MAPS, Nuclei
from .autoencoder import FACTOR
from .device import convert_network, itemwise_norms
from .info import BundleInfo
from .parts import load_part
from .structure import NUCLEI_CELL, StructureEncoder, StructureMaps

_PICTURE_CHANNELS = 3


class NucleiT2IAdapter(T2IAdapter):  # type: ignore[misc]
    """Takes a map of nuclei with one channel a class, (B, K, H, W) in [0, 1].

    Everything else is left to the network: no tissue is known, all of the tile is generated.
    An encoder that sees sizes of nuclei takes two channels more, (B, K + 2, H, W), where some are
    given; sizes are not drawn here, as a bundle draws them.

    Args:
        classes: nucleus classes, in the order of the channels.
        mpp: scale, micrometres per pixel.
        mpp_tolerance: largest share by which the scale of nuclei may differ.
        any_class: whether nuclei of unspecified class are known.
        least_px: smallest side of a tile.
        most_px: largest side of a tile.
        widths: see `StructureEncoder`.
        outputs: see `StructureEncoder`.
        strides: see `StructureEncoder`.
        shapes: see `StructureEncoder`.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        classes: Sequence[str],
        mpp: float,
        mpp_tolerance: float = 0.2,
        any_class: bool = False,
        least_px: int = 128,
        most_px: int = 1024,
        widths: Sequence[int] = (160, 256, 256, 256),
        outputs: Sequence[int] = (320, 640, 1280, 1280),
        strides: Sequence[int] = (1, 2, 4, 8),
        shapes: bool = False,
    ) -> None:
        ModelMixin.__init__(self)  # that of `T2IAdapter` would build its own layers
        self.encoder = StructureEncoder(
            classes=len(classes),
            fine=0,
            widths=widths,
            outputs=outputs,
            strides=strides,
            shapes=shapes,
        )

    @classmethod
    def of_encoder(cls, encoder: StructureEncoder, info: BundleInfo) -> NucleiT2IAdapter:
        """The adapter of a bundle's structure encoder, which becomes part of it."""
        config = encoder.config
        adapter: NucleiT2IAdapter = cls(
            classes=info.classes,
            mpp=info.mpp,
            mpp_tolerance=info.mpp_tolerance,
            any_class=info.any_class,
            least_px=info.least_px,
            most_px=info.most_px,
            widths=config.widths,
            outputs=config.outputs,
            strides=config.strides,
            shapes=config.shapes,
        )
        adapter.encoder = encoder
        adapter.eval().requires_grad_(False)
        return adapter

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        torch_dtype: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> NucleiT2IAdapter:
        """See `open_folder`; `torch_dtype` is the older name of `dtype`."""
        folder = Path(pretrained_model_name_or_path)
        return cls.open_folder(folder, dtype=dtype or torch_dtype)

    @classmethod
    def open_folder(cls, folder: Path, *, dtype: torch.dtype | None = None) -> NucleiT2IAdapter:
        """Load the adapter in a folder that `histosynth bundle export` wrote, on the CPU.

        Args:
            folder: the folder `adapter`.
            dtype: to compute in; None: float32.

        Raises:
            BadWeights: it is absent, cannot be read, or is no such adapter.
        """
        adapter: NucleiT2IAdapter = load_part(folder, cls)
        # as a bundle is opened: the same sums, bit for bit
        itemwise_norms(adapter)
        convert_network(adapter, dtype=dtype)
        return adapter

    @property
    def downscale_factor(self) -> int:
        """Sides of a map are multiples of this, in pixels."""
        return FACTOR

    @property
    def total_downscale_factor(self) -> int:
        """How much smaller the last residual's grid is than the map."""
        return FACTOR * int(self.config.strides[-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Residuals of the U-Net's down blocks.

        Args:
            x: (B, K, H, W) in [0, 1], (B, K + 2, H, W) with sizes of nuclei, or (B, 3, H, W) of a
                picture with fewer classes.

        Raises:
            BadOption: it has other channels.
        """
        pixels, shapes = self._class_and_shape_channels(x)
        count, _, height, width = pixels.shape
        maps = StructureMaps(
            nuclei=F.avg_pool2d(pixels, NUCLEI_CELL),
            has_nuclei=pixels.new_ones(count),
            known=pixels.new_zeros(count, 3, height, width),
            mask=pixels.new_ones(count, 1, height, width),
            shapes=None if shapes is None else F.avg_pool2d(shapes, NUCLEI_CELL),
        )
        return list(self.encoder(maps).scales)

    def _class_and_shape_channels(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, K, H, W), without the empty channels of a picture; (B, 2, H, W) of sizes, or None."""
        classes = len(self.config.classes)
        found = x.shape[1]
        if self.config.shapes and found == classes + SHAPE_MAPS:
            return x[:, :classes], x[:, classes:]
        is_picture = found == _PICTURE_CHANNELS > classes
        if found != classes and (not is_picture or x[:, classes:].any()):
            raise BadOption(
                "the number of the nuclei map's channels",
                found,
                f"{classes}, one for each of {', '.join(self.config.classes)}",
            )
        return x[:, :classes], None

    def nuclei_map(self, nuclei: Nuclei) -> Tensor:
        """The map that the adapter takes, float32 in [0, 1]: (1, K, H, W), or (1, K + 2, H, W) of
        an encoder that sees sizes of nuclei.

        Pass it as `image`, without `height` and `width`.

        Raises:
            UnknownClasses, ScaleMismatch, BadSize: the nuclei do not fit the adapter.
        """
        self._check(nuclei)
        maps = [nuclei.rasterize(cell=NUCLEI_CELL)]
        if self.config.shapes:
            maps.append(nuclei.rasterize_shapes(cell=NUCLEI_CELL))
        cells = torch.from_numpy(np.concatenate(maps))[None]
        return F.interpolate(cells, scale_factor=NUCLEI_CELL, mode="nearest")

    def nuclei_picture(self, nuclei: Nuclei) -> Image.Image:
        """The same map as an RGB picture, rounded to 1 / 255: one colour for each class.

        Sizes of nuclei, for which a picture has no channels, are left to the network.

        Raises:
            BadOption: there are more than three classes, for which a picture has no colours.
            UnknownClasses, ScaleMismatch, BadSize: the nuclei do not fit the adapter.
        """
        classes = len(self.config.classes)
        if classes > _PICTURE_CHANNELS:
            raise BadOption(
                "the number of classes in a picture",
                classes,
                f"at most {_PICTURE_CHANNELS}: pass the tensor of nuclei_map instead",
            )
        levels = self.nuclei_map(nuclei)[0, :classes].permute(1, 2, 0).numpy()
        picture = np.zeros((*levels.shape[:2], _PICTURE_CHANNELS), np.uint8)
        picture[..., :classes] = np.rint(255 * levels)
        return Image.fromarray(picture)

    def _check(self, nuclei: Nuclei) -> None:
        """Refuse nuclei of other classes, of another scale, or of a size off the grid."""
        config: Any = self.config
        if nuclei.classes != tuple(config.classes):
            unknown = [name for name in nuclei.classes if name not in config.classes]
            raise UnknownClasses(unknown or nuclei.classes, config.classes)
        if not config.any_class and (nuclei.class_ids == ANY_CLASS).any():
            raise UnknownClasses([ANY], config.classes)
        log_ratio = abs(np.log(nuclei.mpp / config.mpp))
        if not log_ratio <= np.log(1 + config.mpp_tolerance):
            raise ScaleMismatch(nuclei.mpp, config.mpp, config.mpp_tolerance)
        width, height = nuclei.size
        check_size(
            width,
            height,
            min_px=config.least_px,
            max_px=config.most_px,
            multiple=FACTOR,
        )

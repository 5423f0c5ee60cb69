"""LPIPS itself (Zhang et al. 2018), by its authors' package; extra `histosynth[lpips]`.

The package brings the heads. The trunk below them, trained on ImageNet, is read here: from a file
of the user, or from torchvision's public one, whose sha256 is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.arrays import Float32Array
from ..core.errors import BadOption, BadWeights, NeedsExtra
from ..core.tile import Mask, Pixels
from .histo import pictures_to_signal
from .weight_files import PublicFile, cached_or_fetched, load_tensors_into, read_tensors

TRUNKS = {
    "alex": PublicFile(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    "vgg": PublicFile(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
}
_BATCH = 8
_MIN_SIDE_PX = 32
"""AlexNet's pools leave nothing of smaller pictures."""


class Lpips:
    """See `Perceptual`. The map of distances, at the pictures' own size, is averaged inside each
    mask.

    Pictures are not resized. Within a mask that covers all, it is the mean of the map, which is
    close to LPIPS without maps: there each layer is averaged before it is enlarged to the pictures'
    size.

    Args:
        network: (B, 3, H, W) twice, in [-1, 1], to (B, 1, H, W).
        trunk: `alex` or `vgg`.
        about: what must be reported with its numbers.
    """

    def __init__(
        self,
        network: Any,
        trunk: str,
        about: Mapping[str, str],
    ) -> None:
        self.network = network
        self.name = f"LPIPS_{trunk}"
        self.about = {
            "resize": "none",
            "input": "RGB in [-1, 1]",
            "numbers": "float32",
            **about,
        }

    @torch.inference_mode()
    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Float32Array:
        """See `Perceptual.distance`.

        Raises:
            BadOption: pictures are smaller than 32 px a side.
        """
        if min(first.shape[1:3]) < _MIN_SIDE_PX:
            size = f"{first.shape[2]} x {first.shape[1]} px"
            raise BadOption("picture size", size, f"at least {_MIN_SIDE_PX} px a side for LPIPS")
        rows: list[Tensor] = []
        for start in range(0, len(first), _BATCH):
            batch = slice(start, start + _BATCH)
            first_signal = pictures_to_signal(first[batch])
            second_signal = pictures_to_signal(second[batch])
            apart = self.network(first_signal, second_signal).double()
            inside = torch.from_numpy(np.ascontiguousarray(masks[batch])).double()
            total = (apart * inside).sum((2, 3))
            rows.append(total / inside.sum((2, 3)))  # 0 / 0 is nan, as it should be
        distances: Float32Array = torch.cat(rows).float().numpy()
        return distances


def load_lpips(trunk: str = "alex", weights: Path | None = None) -> Lpips:
    """LPIPS with its trunk.

    Args:
        trunk: `alex` or `vgg`.
        weights: torchvision's file of AlexNet or VGG-16, or `.safetensors` with its names; None:
            the one in the cache folder, else it is fetched into it.

    Raises:
        NeedsExtra: lpips is not installed.
        BadWeights: the trunk cannot be read, is another than it should be, or does not fit.
        FetchFailed: there is none, and it cannot be fetched.
    """
    if trunk not in TRUNKS:
        raise BadOption("trunk", trunk, " or ".join(TRUNKS))
    try:
        import lpips
    except ImportError as error:
        raise NeedsExtra("lpips", "lpips") from error
    known = (TRUNKS[trunk],)
    path = weights or cached_or_fetched(known)
    tensors, sha256 = read_tensors(path, known)
    network = lpips.LPIPS(
        net=trunk,
        spatial=True,
        pnet_rand=True,  # the random trunk is filled below
        verbose=False,
    )
    _load_trunk(network.net, tensors, path)
    network.eval().requires_grad_(False)
    about = {
        "encoder": f"LPIPS 0.1, {trunk}",
        "weights": path.name,
        "weights_sha256": sha256,
    }
    return Lpips(network, trunk, about)


def _load_trunk(net: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load torchvision's `features.<n>.*` into the package's `slice<k>.<n>.*`.

    Raises:
        BadWeights: a layer is absent or of another shape.
    """
    wanted = {key: f"features.{key.partition('.')[2]}" for key in net.state_dict()}
    absent = [name for name in wanted.values() if name not in tensors]
    if absent:
        reason = f"{len(absent)} layers are absent, first {absent[0]}"
        raise BadWeights(path, reason, "Give torchvision's file of this trunk.")
    renamed = {key: tensors[name] for key, name in wanted.items()}
    load_tensors_into(net, renamed, path)

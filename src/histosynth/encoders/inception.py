"""InceptionV3 as FID uses it (Heusel et al. 2017), resized as clean-fid does (Parmar et al. 2022).

Weights are not shipped. They are the two public ports of TensorFlow's file of 2015-12-05, known by
their sha256: pytorch-fid's, by names of parameters, and the TorchScript file of StyleGAN and
clean-fid. The same parameters are taken from a `.safetensors` file too.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import BadWeights, first_line
from ..core.tile import Pixels
from .encoder import Embedded
from .inception_net import FEATURE_WIDTH, INPUT_SIDE_PX, InceptionNet
from .precision import autocast
from .resizing import clean_resize
from .weight_files import (
    PublicFile,
    cached_or_fetched,
    checked_bytes,
    load_tensors_into,
    read_tensors,
)

PYTORCH_FID = PublicFile(
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
TORCHSCRIPT = PublicFile(
    "inception-2015-12-05.pt",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
)
_BATCH = 16

InceptionForward = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""(B, 3, 299, 299) float32 in [0, 255] to (B, 2048), and (B, 7, 17, 17) or nothing."""


class InceptionEncoder:
    """See `Encoder`.

    Features are the (N, 2048) averages of the last map, `pool_3` in TensorFlow's names.

    Spatial ones are (N, 2023): the first 7 channels of `Mixed_6d` at 17 x 17 positions, channels
    last. sFID (Nash et al. 2021) has no code of its own; it is measured by the evaluator of ADM
    (Dhariwal and Nichol 2021), which takes `mixed_6/conv:0[..., :7]`. TensorFlow counts its blocks
    `mixed`, `mixed_1`, ... from `Mixed_5b` on, so that `mixed_6` is `Mixed_6d`, and `conv` is its 1
    x 1 branch, whose channels come first in the block. (It is not pytorch-fid's 768-channel output,
    which is `Mixed_6e`.)

    Args:
        forward: the network.
        about: what must be reported with its numbers.
    """

    name = "inception"

    def __init__(
        self,
        forward: InceptionForward,
        about: dict[str, str],
    ) -> None:
        self.forward = forward
        self.bf16 = False
        size = f"{INPUT_SIDE_PX} x {INPUT_SIDE_PX}"
        self.about = {
            "encoder": "InceptionV3 of 2015-12-05 (FID)",
            "resize": f"{size}, PIL bicubic with antialiasing in floats (clean-fid)",
            "input": "RGB, (x - 128) / 128",
            "numbers": "float32",
        } | about

    @torch.inference_mode()
    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            resized = [clean_resize(picture, INPUT_SIDE_PX) for picture in batch]
            signal = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)
            with autocast(self.bf16):
                pooled, maps = self.forward(signal)
            features.append(pooled.float())
            if maps is not None:
                channels_last = maps.float().permute(0, 2, 3, 1)
                spatial.append(channels_last.flatten(1))
        if not spatial:
            return Embedded(torch.cat(features).numpy())
        return Embedded(torch.cat(features).numpy(), torch.cat(spatial).numpy())


def load_inception(weights: Path | None = None) -> InceptionEncoder:
    """The encoder with weights of a file.

    Args:
        weights: one of the two known files, or `.safetensors` with pytorch-fid's names; None: what
            lies in the cache folder, else pytorch-fid's file is fetched into it.

    Raises:
        BadWeights: a file cannot be read, is another than it should be, or does not fit.
        FetchFailed: there is none, and it cannot be fetched.
    """
    path = weights or cached_or_fetched((PYTORCH_FID, TORCHSCRIPT))
    if path.suffix != ".safetensors":
        data, which = checked_bytes(path, (PYTORCH_FID, TORCHSCRIPT))
        if which is TORCHSCRIPT:
            return _inception_from_script(data, path, which)
    tensors, sha256 = read_tensors(path, (PYTORCH_FID,))
    return inception_from_tensors(tensors, path, sha256)


def inception_from_tensors(
    tensors: dict[str, Tensor],
    path: Path,
    sha256: str,
) -> InceptionEncoder:
    """The encoder with tensors by pytorch-fid's names.

    Args:
        tensors: of the network; those of its classifier are ignored.
        path: where they come from.
        sha256: of that file.

    Raises:
        BadWeights: names or shapes are not the network's.
    """
    network = InceptionNet()
    load_tensors_into(
        network,
        tensors,
        path,
        ignored_prefixes=("fc.", "AuxLogits."),
    )
    weights = f"{path.name}, not the public file itself"
    if sha256 == PYTORCH_FID.sha256:
        weights = PYTORCH_FID.name
    about = {
        "weights": weights,
        "weights_sha256": sha256,
        "spatial": "Mixed_6d, first 7 channels, 17 x 17",
    }
    return InceptionEncoder(partial(_forward, network), about)


def _forward(network: InceptionNet, pixels: Tensor) -> tuple[Tensor, Tensor]:
    features: tuple[Tensor, Tensor] = network((pixels - 128) / 128)
    return features


def _inception_from_script(
    data: bytes,
    path: Path,
    which: PublicFile,
) -> InceptionEncoder:
    """The TorchScript port. It normalizes by itself, and gives no spatial features.

    It resizes by itself too; pictures come at its own size, so that this changes nothing.

    Args:
        data: bytes of the file, whose sha256 was checked: a script is a program.
        path: where they come from.
        which: file it is.

    Raises:
        BadWeights: it does not run.
    """
    try:
        script = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        blank = torch.zeros(1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX)
        shape = _forward_script(script, blank)[0].shape
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadWeights(path, first_line(error)) from error
    if shape != (1, FEATURE_WIDTH):
        raise BadWeights(
            path, f"it gives features of shape {tuple(shape)}, not (1, {FEATURE_WIDTH})"
        )
    about = {
        "weights": which.name,
        "weights_sha256": which.sha256,
        "spatial": "none",
    }
    return InceptionEncoder(partial(_forward_script, script), about)


@torch.inference_mode()
def _forward_script(script: torch.jit.ScriptModule, pixels: Tensor) -> tuple[Tensor, None]:
    return script(pixels.contiguous(), return_features=True), None

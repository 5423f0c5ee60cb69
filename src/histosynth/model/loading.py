"""Loading a bundle from its folder."""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderDC, UNet2DConditionModel

from ..core.errors import BundleMismatch
from .adapters import base_sha256
from .bundle import Bundle
from .conditioning import style_length
from .families.opening import BaseLocation, open_base
from .families.text import load_text
from .families.text_family import TextBase
from .grain_files import read_grain
from .info import BundleInfo, NamedBase, read_info, verified
from .parts import load_part
from .structure import StructureEncoder
from .trial_run import check_runs


def load_bundle(
    folder: Path | str,
    *,
    verify: bool = True,
    base: str | None = None,
) -> Bundle:
    """Load a bundle in float32 on the CPU, without adapters.

    Args:
        folder: the bundle.
        verify: compare weights and settings of the networks with the sha256 in `bundle.json`.
        base: where its base is now, for a bundle that does not hold it; None: where it was.

    Raises:
        BundleMismatch: a file is missing, or differs from what `bundle.json` states, or parts do
            not fit each other.
        BadWeights: a weights file cannot be read, or the base is absent.
    """
    folder = Path(folder)
    info = read_info(folder)
    if verify:
        info = verified(folder, info)
    if info.base is None:
        bundle = _load_with_own_base(folder, info)
    else:
        bundle = _load_with_named_base(folder, info, info.base, base)
    if info.grain is not None:
        bundle.grain = read_grain(folder, info.grain)
    check_runs(bundle, folder)
    return bundle


def _load_with_own_base(folder: Path, info: BundleInfo) -> Bundle:
    """A bundle that holds its base."""
    autoencoder = load_part(folder / "autoencoder", AutoencoderDC)
    unet = load_part(folder / "unet", UNet2DConditionModel)
    structure = load_part(folder / "structure", StructureEncoder)
    return Bundle(
        info,
        autoencoder,
        unet,
        structure,
        folder=folder,
        base_sha256=base_sha256(unet),
    )


def _load_with_named_base(
    folder: Path,
    info: BundleInfo,
    named: NamedBase,
    base: str | None,
) -> Bundle:
    """A bundle whose base is elsewhere."""
    location = BaseLocation(
        base or named.source,
        Path.cwd() if base else folder,
        named.config,
        info.prediction,
    )
    opened = open_base(location)
    sha256 = base_sha256(opened.network)
    if sha256 != named.sha256 or opened.family.name != info.family:
        raise BundleMismatch(
            opened.path,
            f"its weights (sha256 {sha256[:12]}) are not those that {info.name} was trained on "
            f"({named.sha256[:12]})",
        )
    structure = load_part(folder / "structure", StructureEncoder)
    text_base = TextBase(
        opened.family,
        opened.schedule,
        load_text(folder, len(info.prompts)),
        flag_index=style_length(len(info.style_mean), 0) - 1,
        inpainting=opened.inpainting,
    )
    return Bundle(
        info,
        opened.autoencoder,
        opened.network,
        structure,
        folder=folder,
        base_sha256=sha256,
        base=text_base,
    )

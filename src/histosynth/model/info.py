"""`bundle.json`: what a bundle is, said in plain values and checked before anything is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ..core import recipe as recipes
from ..core.appearance import Appearance, StainFrame
from ..core.errors import BadRecipe, BundleMismatch
from ..core.nuclei import ANY
from ..core.store import sha256_of, write_json
from .autoencoder import FACTOR
from .prediction import Kind

FORMAT = 1


@dataclass(frozen=True)
class PaletteEntry:
    """A named appearance: numbers only, see `core.appearance`."""

    name: str
    scale: tuple[float, float, float]
    style: tuple[float, ...]

    @property
    def appearance(self) -> Appearance:
        """As an appearance; its hue is left to the network."""
        return Appearance(StainFrame(self.scale), np.array(self.style, np.float32))


@dataclass(frozen=True)
class BundleInfo:
    """`bundle.json`."""

    name: str
    mpp: float
    """Scale it paints at, micrometres per pixel."""
    kinds: tuple[str, ...]
    """Nucleus classes, in channel order."""
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    style_mean: tuple[float, ...]
    style_std: tuple[float, ...]
    any_kind: bool = False
    """Whether it was trained on nuclei whose kind is not told (class `any`)."""
    labels: tuple[str, ...] = ()
    prediction: Kind = "flow"
    least_px: int = 128
    most_px: int = 1024
    mpp_tolerance: float = 0.2
    solver: str = "dpm"
    steps: int = 20
    guidance: float = 1.0
    guidance_span: tuple[float, float] = (0.0, 1.0)
    """Times, 1 all noise and 0 none, between which guidance works."""
    shift: float = 1.0
    """Where sampling spends its steps: above 1 more of them at high noise (Esser et al. 2024)."""
    palette: tuple[PaletteEntry, ...] = ()
    """Appearances for users who bring none; the first is the default."""
    licence: str = "Apache-2.0"
    data: tuple[str, ...] = ()
    """Data it was trained on, with licences."""
    hashes: dict[str, str] = field(default_factory=dict)
    """sha256 of each weights file, by path in the bundle."""
    format: int = FORMAT

    def __post_init__(self) -> None:
        widths = {len(self.style_mean), len(self.style_std), *(len(entry.style) for entry in self.palette)}
        checks = {
            "kinds must be different names": len(set(self.kinds)) == len(self.kinds) > 0,
            "any is no kind": ANY not in self.kinds,
            "latents need a mean and a positive std a channel": len(self.latent_mean) == len(self.latent_std)
            and min(self.latent_std, default=0) > 0,
            "styles need a mean, a positive std and palette entries of one length": len(widths) == 1
            and min(self.style_std, default=0) > 0,
            "there must be a palette": len(self.palette) > 0,
            "steps must lie in 1..200": 1 <= self.steps <= 200,
            "guidance must lie in 0..20": 0 <= self.guidance <= 20,
            "shift must be positive": self.shift > 0,
            "mpp must be positive": self.mpp > 0,
            "tile sides must be positive, the least first": 0 < self.least_px <= self.most_px,
            f"format must be {FORMAT}": self.format == FORMAT,
        }
        if wrong := [what for what, holds in checks.items() if not holds]:
            raise ValueError("; ".join(wrong))

    @property
    def multiple_px(self) -> int:
        """Tile sides must be multiples of this."""
        return FACTOR


def write_info(folder: Path, info: BundleInfo) -> None:
    """Write `bundle.json`."""
    write_json(folder / "bundle.json", asdict(info))


def read_info(folder: Path) -> BundleInfo:
    """Read `bundle.json`.

    Raises:
        BundleMismatch: it is absent, not of this format, or says impossible things.
    """
    path = folder / "bundle.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        info = recipes.build(values, BundleInfo, name=str(path))
        if info.prediction != "flow":
            raise ValueError(f"its base predicts {info.prediction}; this version paints with flow bases only")
        return info
    except FileNotFoundError as error:
        raise BundleMismatch(path, "there is no such file, so the folder is no bundle") from error
    except (OSError, ValueError, BadRecipe) as error:
        raise BundleMismatch(path, str(error)) from error


def verify_hashes(folder: Path, info: BundleInfo) -> None:
    """Compare files with their sha256.

    Raises:
        BundleMismatch: one is absent, leads out of the folder, or differs.
    """
    for part in ("autoencoder", "structure", "unet"):
        if not any(name.startswith(f"{part}/") for name in info.hashes):
            raise BundleMismatch(folder / part, "bundle.json names no sha256 for its weights")
    for name, expected in info.hashes.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BundleMismatch(path, "its name leads out of the bundle")
        if not path.is_file():
            raise BundleMismatch(path, "it is missing")
        if sha256_of(path) != expected:
            raise BundleMismatch(path, "its sha256 is another than bundle.json says")

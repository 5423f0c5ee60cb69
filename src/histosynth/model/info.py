"""`bundle.json`: what a bundle is, said in plain values and checked before anything is loaded."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BundleMismatch
from ..core.nuclei import ANY
from ..core.store import sha256_of, write_json
from ..tissue.appearance import STYLE_NAMES, Appearance, StainFrame
from .autoencoder import FACTOR
from .prediction import PredictionType

FORMAT = 1
PARTS = ("autoencoder", "structure", "unet")
TEXT = "prompts.safetensors"
"""Embedded prompts, of a bundle whose base reads."""
Family = Literal["compact", "stable-diffusion", "pixart"]
MOST = 1e6
"""No number of a bundle's statistics is larger."""


@dataclass(frozen=True)
class PaletteEntry:
    """A named appearance: numbers only, see `core.appearance`."""

    name: str
    scale: tuple[float, float, float]
    style: tuple[float, ...]

    def __post_init__(self) -> None:
        StainFrame(self.scale)  # refuses scales out of range
        if not _small(self.style):
            raise ValueError(f"numbers of style must lie within {MOST:,.0f}")

    @property
    def appearance(self) -> Appearance:
        """As an appearance; its hue is left to the network."""
        return Appearance(StainFrame(self.scale), np.array(self.style, np.float32))


@dataclass(frozen=True)
class BaseFacts:
    """A base that a bundle wears its adapters on, and does not bring itself."""

    source: str
    """Folder, `owner/name[@revision]` or file, as the user named it; relative to the bundle."""
    sha256: str
    """Of its network's weights (`adapters.base_sha256`): the name may change, they may not."""
    config: str = ""
    """For a single file: folder of configs and tokenizer."""


@dataclass(frozen=True)
class BundleInfo:
    """`bundle.json`."""

    name: str
    mpp: float
    """Scale it paints at, micrometres per pixel."""
    classes: tuple[str, ...]
    """Nucleus classes, in channel order."""
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    style_mean: tuple[float, ...]
    style_std: tuple[float, ...]
    any_class: bool = False
    """Whether it was trained on nuclei whose kind is not told (class `any`)."""
    labels: tuple[str, ...] = ()
    prediction: PredictionType = "flow"
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
    """sha256 of each weights file and each `config.json`, by path in the bundle."""
    family: Family = "compact"
    base: BaseFacts | None = None
    """Absent where the bundle holds its base."""
    prompts: tuple[str, ...] = ()
    """What a base with a text encoder is told: nothing, no label, then each label."""
    format: int = FORMAT

    def __post_init__(self) -> None:
        widths = {
            len(self.style_mean),
            len(self.style_std),
            *(len(entry.style) for entry in self.palette),
        }
        checks = {
            "kinds must be different names": len(set(self.classes)) == len(self.classes) > 0,
            "any is no kind": ANY not in self.classes,
            "latents need a mean and a positive std a channel": len(self.latent_mean)
            == len(self.latent_std)
            and min(self.latent_std, default=0) > 0,
            f"styles need {len(STYLE_NAMES)} means, positive stds, and as many numbers a "
            "palette entry": (widths == {len(STYLE_NAMES)} and min(self.style_std, default=0) > 0),
            f"means and stds must lie within {MOST:,.0f}": all(
                map(_small, (self.latent_mean, self.latent_std, self.style_mean, self.style_std))
            ),
            "labels must be different names": len(set(self.labels)) == len(self.labels),
            "there must be a palette": len(self.palette) > 0,
            "steps must lie in 1..200": 1 <= self.steps <= 200,
            "guidance must lie in 0..20": 0 <= self.guidance <= 20,
            "guidance_span must lie in 0..1, the lower end first": 0
            <= self.guidance_span[0]
            <= self.guidance_span[1]
            <= 1,
            "shift must lie in 0.01..100": 0.01 <= self.shift <= 100,
            "mpp must lie in 0.001..1000": 0.001 <= self.mpp <= 1000,
            "mpp_tolerance must lie in 0..1": 0 <= self.mpp_tolerance <= 1,
            "tile sides must lie in 1..16384, the least first": 0
            < self.least_px
            <= self.most_px
            <= 16384,
            f"format must be {FORMAT}": self.format == FORMAT,
            "a base of another make needs base, and a prompt for nothing, for no label and "
            "for each label": (
                (self.family == "compact") == (self.base is None)
                and len(self.prompts) == (len(self.labels) + 2 if self.base else 0)
            ),
            f"a {self.family} base cannot predict {self.prediction}": (
                (self.prediction == "flow") == (self.family == "compact")
            ),
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
        return info
    except FileNotFoundError as error:
        raise BundleMismatch(path, "there is no such file, so the folder is no bundle") from error
    except BadRecipe as error:
        raise BundleMismatch(path, "; ".join(error.problems)) from error
    except RecursionError as error:
        raise BundleMismatch(path, "it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise BundleMismatch(path, str(error)) from error


def hashed(folder: Path) -> dict[str, str]:
    """sha256 of all that decides what a bundle paints: weights and `config.json`, adapters' too."""
    places = [folder, *(folder / part for part in PARTS)]
    places += [
        place for adapter in adapter_folders(folder) for place in (adapter, adapter / "structure")
    ]
    return {
        file.relative_to(folder).as_posix(): sha256_of(file)
        for file in (file for place in places for file in _seen(place))
        if file.name == "config.json" or file.suffix == ".safetensors"
    }


def adapter_folders(folder: Path) -> list[Path]:
    """Folders of a bundle's adapters, sorted by name; hidden ones are none."""
    found = sorted((folder / "adapters").glob("*/"))
    return [each for each in found if each.is_dir() and not each.name.startswith(".")]


def verified(folder: Path, info: BundleInfo) -> BundleInfo:
    """Compare files with their sha256.

    Returns:
        The same with the sha256 of files that `bundle.json` does not name, so that recipes tell
        them: older bundles name no `config.json`, and adapters may be added to any.

    Raises:
        BundleMismatch: one is absent, leads out of the folder, or differs.
    """
    for part in PARTS if info.base is None else ("structure",):
        named = {
            name for name in info.hashes if name.startswith(f"{part}/") and "safetensors" in name
        }
        if not named:
            raise BundleMismatch(folder / part, "bundle.json names no sha256 for its weights")
        found = {
            f"{part}/{file.name}" for file in _seen(folder / part) if "safetensors" in file.name
        }
        if others := sorted(found - named):
            raise BundleMismatch(folder / others[0], "bundle.json names no sha256 for it")
    for name in info.hashes:
        try:
            inside = (folder / name).resolve().is_relative_to(folder.resolve())
        except (OSError, ValueError) as error:
            raise BundleMismatch(folder / "bundle.json", f"{name!r} is no file's name") from error
        if not inside:
            raise BundleMismatch(folder / name, "its name leads out of the bundle")
        if not os.path.isfile(folder / name):
            raise BundleMismatch(folder / name, "it is missing")
    there = hashed(folder)
    for name, expected in info.hashes.items():
        if (there.get(name) or sha256_of(folder / name)) != expected:
            raise BundleMismatch(folder / name, "its sha256 is another than bundle.json says")
    return replace(info, hashes={**there, **info.hashes})


def _seen(place: Path) -> list[Path]:
    """Files of a folder but hidden ones, sorted by name."""
    return [
        file for file in sorted(place.glob("*")) if file.is_file() and not file.name.startswith(".")
    ]


def _small(values: tuple[float, ...]) -> bool:
    return all(abs(value) <= MOST for value in values)

"""`bundle.json`: what a bundle is, in plain values that are checked before anything is loaded."""

from __future__ import annotations

import json
import os
import unicodedata
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BundleMismatch
from ..core.line_of_facts import line_of_facts
from ..core.nuclei import ANY
from ..core.paths import real_path
from ..core.plain_files import read_plain_text
from ..core.store import digest, sha256_of, write_json
from ..tissue.appearance import STYLE_NAMES, Appearance, StainFrame
from ..tissue.grain_table import GrainTable
from .autoencoder import FACTOR
from .families import FAMILIES
from .families.family import Family
from .prediction import PredictionType

BUNDLE_FORMAT = 1
_PART_FOLDERS = ("autoencoder", "structure", "unet")
_OLD_GRAIN_KEY = "kernels"
_MAX_INFO_BYTES = 16 << 20
_MAX_CLASSES = 255
_MAX_NAMES = 10_000
_MAX_LATENTS = 1024
_MAX_STATISTIC = 1e6
"""No number of a bundle's statistics is larger."""


@dataclass(frozen=True)
class PaletteEntry:
    """A named appearance: numbers only, see `tissue.appearance`."""

    name: str
    scale: tuple[float, float, float]
    style: tuple[float, ...]

    def __post_init__(self) -> None:
        StainFrame(self.scale)  # refuses scales out of range
        if not _in_range(self.style):
            raise ValueError(f"numbers of style must lie within {_MAX_STATISTIC:,.0f}")

    @property
    def appearance(self) -> Appearance:
        """As an appearance; its hue is left to the network."""
        frame = StainFrame(self.scale)
        style = np.array(self.style, np.float32)
        return Appearance(frame, style)


@dataclass(frozen=True)
class NamedBase:
    """A base that a bundle names and does not hold.

    Attributes:
        source: folder, `owner/name[@revision]` or file, as the user named it; relative to the
            bundle.
        sha256: of its network's weights (`adapters.base_sha256`): the name may change, they may
            not.
        config: for a single file: folder of configs and tokenizer.
    """

    source: str
    sha256: str
    config: str = ""

    def without_folders(self) -> NamedBase:
        """The same without the folders of this machine: only the last name of a path is kept."""
        source = self.source
        if Path(source).is_absolute():
            source = Path(source).name
        config = Path(self.config).name if self.config else ""
        return replace(self, source=source, config=config)


@dataclass(frozen=True)
class BundleInfo:
    """`bundle.json`.

    Attributes:
        name: of the bundle.
        mpp: scale it generates at, micrometres per pixel.
        classes: nucleus classes, in channel order.
        latent_mean: per channel of the latents.
        latent_std: per channel of the latents.
        style_mean: per style number.
        style_std: per style number.
        any_class: whether it was trained on nuclei of unspecified class (class `any`).
        labels: of tissue, in channel order.
        prediction: what the network predicts.
        least_px: smallest side of a tile.
        most_px: largest side of a tile.
        mpp_tolerance: largest share by which the scale of nuclei may differ.
        solver: default solver.
        steps: default solver steps.
        completion_steps: default solver steps of a completion that begins with copied tissue, which
            needs fewer; 0: as many as `steps`.
        guidance: default guidance of the base.
        guidance_span: times, 1 all noise and 0 none, between which guidance works.
        shift: where sampling spends its steps: above 1 more of them at high noise (Esser et al.
            2024).
        palette: appearances for users who give none; the first is the default.
        licence: of the weights.
        data: data it was trained on, with licences.
        hashes: sha256 of each weights file and each `config.json`, by path in the bundle.
        family: of the base, a name in `families.FAMILIES`.
        base: absent where the bundle holds its base.
        prompts: of a base with a text encoder: the empty one, one without a label, then one for
            each label.
        grain: what the autoencoder loses; absent where it was not measured.
        format: version of this file.
    """

    name: str
    mpp: float
    classes: tuple[str, ...]
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    style_mean: tuple[float, ...]
    style_std: tuple[float, ...]
    any_class: bool = False
    labels: tuple[str, ...] = ()
    prediction: PredictionType = "flow"
    least_px: int = 128
    most_px: int = 1024
    mpp_tolerance: float = 0.2
    solver: str = "dpm"
    steps: int = 20
    completion_steps: int = 0
    guidance: float = 1.0
    guidance_span: tuple[float, float] = (0.0, 1.0)
    shift: float = 1.0
    palette: tuple[PaletteEntry, ...] = ()
    licence: str = "Apache-2.0"
    data: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    family: str = "compact"
    base: NamedBase | None = None
    prompts: tuple[str, ...] = ()
    grain: GrainTable | None = None
    format: int = BUNDLE_FORMAT

    def __repr__(self) -> str:
        facts = [f"{self.name!r}", f"{self.mpp:g} um/px", f"classes {', '.join(self.classes)}"]
        return line_of_facts("BundleInfo", facts)

    def __post_init__(self) -> None:
        problems = [
            *_amount_problems(self),
            *_name_problems(self),
            *_statistics_problems(self),
            *_sampling_problems(self),
            *_base_problems(self),
        ]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def multiple_px(self) -> int:
        """Tile sides must be multiples of this."""
        return FACTOR

    @property
    def base_family(self) -> Family:
        """The family of the base."""
        return FAMILIES[self.family]

    @cached_property
    def sha256(self) -> str:
        """Of all facts, as recipes of pictures state it; listing them takes longer than the rest of
        a recipe.
        """
        return digest(asdict(self))


def _amount_problems(info: BundleInfo) -> list[str]:
    """Lists that are longer than those of any bundle, and names that are no line of text."""
    names = [
        info.name,
        *info.classes,
        *info.labels,
        *(entry.name for entry in info.palette),
    ]
    amounts = {
        "classes": (len(info.classes), _MAX_CLASSES),
        "labels": (len(info.labels), _MAX_NAMES),
        "palette": (len(info.palette), _MAX_NAMES),
        "data": (len(info.data), _MAX_NAMES),
        "hashes": (len(info.hashes), _MAX_NAMES),
        "latent_mean": (len(info.latent_mean), _MAX_LATENTS),
    }
    problems = []
    for what, (count, most) in amounts.items():
        if count > most:
            problems.append(f"{what} has {count:,} entries, more than {most:,}")
    if any(not _is_one_line(each) for each in names):
        problems.append("names must be text of one line")
    return problems


def _is_one_line(name: str) -> bool:
    """Whether a name holds no control characters."""
    categories = map(unicodedata.category, name)
    return not any(each in ("Cc", "Cs") for each in categories)


def _name_problems(info: BundleInfo) -> list[str]:
    problems = []
    if not info.classes or not _are_different(info.classes):
        problems.append("classes must be different names")
    if ANY in info.classes:
        problems.append("any is no class")
    if not _are_different(info.labels):
        problems.append("labels must be different names")
    if not info.palette:
        problems.append("there must be a palette")
    if info.format != BUNDLE_FORMAT:
        problems.append(f"format must be {BUNDLE_FORMAT}")
    return problems


def _statistics_problems(info: BundleInfo) -> list[str]:
    problems = []
    same_length = len(info.latent_mean) == len(info.latent_std)
    if not same_length or not _are_positive(info.latent_std):
        problems.append("latents need a mean and a positive std a channel")
    lengths = {len(info.style_mean), len(info.style_std)}
    lengths |= {len(entry.style) for entry in info.palette}
    if lengths != {len(STYLE_NAMES)} or not _are_positive(info.style_std):
        problems.append(
            f"styles need {len(STYLE_NAMES)} means, positive stds, and as many numbers a palette "
            "entry"
        )
    statistics = (info.latent_mean, info.latent_std, info.style_mean, info.style_std)
    if not all(_in_range(values) for values in statistics):
        problems.append(f"means and stds must lie within {_MAX_STATISTIC:,.0f}")
    return problems


def _sampling_problems(info: BundleInfo) -> list[str]:
    low, high = info.guidance_span
    limits = {
        "steps must lie in 1..200": 1 <= info.steps <= 200,
        "completion_steps must lie in 0..200": 0 <= info.completion_steps <= 200,
        "guidance must lie in 0..20": 0 <= info.guidance <= 20,
        "guidance_span must lie in 0..1, the lower end first": 0 <= low <= high <= 1,
        "shift must lie in 0.01..100": 0.01 <= info.shift <= 100,
        "mpp must lie in 0.001..1000": 0.001 <= info.mpp <= 1000,
        "mpp_tolerance must lie in 0..1": 0 <= info.mpp_tolerance <= 1,
        "tile sides must lie in 1..16384, the least first": (
            0 < info.least_px <= info.most_px <= 16384
        ),
    }
    return [limit for limit, holds in limits.items() if not holds]


def _base_problems(info: BundleInfo) -> list[str]:
    if info.family not in FAMILIES:
        return [f"family is {info.family!r}, not one of {', '.join(map(repr, FAMILIES))}"]
    family = FAMILIES[info.family]
    problems = []
    prompts = 0 if family.holds_base else len(info.labels) + 2
    names_base = info.base is not None
    if names_base == family.holds_base or len(info.prompts) != prompts:
        problems.append(
            "a base with a text encoder needs base, and a prompt for nothing, for no label and for "
            "each label"
        )
    if info.prediction not in family.predictions:
        problems.append(f"a {info.family} base cannot predict {info.prediction}")
    return problems


def _are_positive(values: tuple[float, ...]) -> bool:
    return min(values, default=0) > 0


def _are_different(names: tuple[str, ...]) -> bool:
    return len(set(names)) == len(names)


def _in_range(values: tuple[float, ...]) -> bool:
    return all(abs(value) <= _MAX_STATISTIC for value in values)


def write_info(folder: Path, info: BundleInfo) -> None:
    """Write `bundle.json`."""
    write_json(folder / "bundle.json", asdict(info))


def read_info(folder: Path) -> BundleInfo:
    """Read `bundle.json`.

    Raises:
        BundleMismatch: it is absent, not of this format, or holds impossible values.
    """
    path = folder / "bundle.json"
    try:
        if path.stat().st_size > _MAX_INFO_BYTES:
            raise ValueError(f"it has more than {_MAX_INFO_BYTES:,} bytes")
        values = _without_old_grain(json.loads(read_plain_text(path)))
        return recipes.build(values, BundleInfo, name=str(path))
    except FileNotFoundError as error:
        reason = "there is no such file, so the folder is no bundle"
        if (folder / "bundle" / "bundle.json").is_file():
            reason = f"there is no such file; the bundle of this export is {folder / 'bundle'}"
        raise BundleMismatch(path, reason) from error
    except BadRecipe as error:
        raise BundleMismatch(path, "; ".join(error.problems)) from error
    except RecursionError as error:
        raise BundleMismatch(path, "it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise BundleMismatch(path, str(error)) from error


def _without_old_grain(values: Any) -> Any:
    """Without a table of noise, which was the grain before patches: such a bundle has none."""
    if not isinstance(values, dict):
        return values
    grain = values.get("grain")
    if not isinstance(grain, dict) or _OLD_GRAIN_KEY not in grain:
        return values
    return {**values, "grain": None}


def hashed(folder: Path) -> dict[str, str]:
    """sha256 of all files that decide what a bundle generates: weights and `config.json`, with
    those of its adapters.
    """
    folders = [folder, *(folder / part for part in _PART_FOLDERS)]
    for adapter in adapter_folders(folder):
        folders += [adapter, adapter / "structure"]
    hashes = {}
    for each in folders:
        for file in _visible_files(each):
            if file.name == "config.json" or file.suffix == ".safetensors":
                name = file.relative_to(folder).as_posix()
                hashes[name] = sha256_of(file)
    return hashes


def adapter_folders(folder: Path) -> list[Path]:
    """Folders of a bundle's adapters, sorted by name, without hidden ones."""
    found = []
    for path in sorted((folder / "adapters").glob("*/")):
        if path.is_dir() and not path.name.startswith("."):
            found.append(path)
    return found


def verified(folder: Path, info: BundleInfo) -> BundleInfo:
    """Compare files with their sha256.

    Returns:
        The same with the sha256 of files that `bundle.json` does not name, so that recipes of
        pictures contain them: older bundles name no `config.json`, and adapters may be added to
        any.

    Raises:
        BundleMismatch: a file is absent, outside the folder, or differs.
    """
    for part in _PART_FOLDERS:
        if part in info.base_family.held_parts:
            _check_weights_named(folder, part, info)
    for name in info.hashes:
        _check_file(folder, name)
    found = hashed(folder)
    for name, expected in info.hashes.items():
        sha256 = found.get(name) or sha256_of(folder / name)
        if sha256 != expected:
            raise BundleMismatch(folder / name, "its sha256 is another than bundle.json states")
    return replace(info, hashes={**found, **info.hashes})


def _check_weights_named(
    folder: Path,
    part: str,
    info: BundleInfo,
) -> None:
    """Refuse weights of a part that `bundle.json` names no sha256 for.

    Raises:
        BundleMismatch: naming the first.
    """
    of_part = [name for name in info.hashes if name.startswith(f"{part}/")]
    named = {name for name in of_part if "safetensors" in name}
    if not named:
        raise BundleMismatch(folder / part, "bundle.json names no sha256 for its weights")
    files = _visible_files(folder / part)
    found = {f"{part}/{file.name}" for file in files if "safetensors" in file.name}
    unnamed = sorted(found - named)
    if unnamed:
        raise BundleMismatch(folder / unnamed[0], "bundle.json names no sha256 for it")


def _check_file(folder: Path, name: str) -> None:
    """Refuse the name of a file that is absent or outside the folder.

    Raises:
        BundleMismatch: naming it.
    """
    try:
        inside = real_path(folder / name).is_relative_to(real_path(folder))
    except (OSError, ValueError) as error:
        raise BundleMismatch(folder / "bundle.json", f"{name!r} is no file's name") from error
    if not inside:
        raise BundleMismatch(folder / name, "its name leads out of the bundle")
    if not os.path.isfile(folder / name):
        raise BundleMismatch(folder / name, "it is missing")


def _visible_files(folder: Path) -> list[Path]:
    """Files of a folder without hidden ones, sorted by name."""
    files = []
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            files.append(path)
    return files

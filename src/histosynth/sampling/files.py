"""The two main verbs on files and folders: pair, read, paint, write, and go on past refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..annotation.class_map import read_class_map
from ..annotation.nuclei_files import NUCLEI_SUFFIXES, read_nuclei
from ..core.condition import Condition, Context
from ..core.errors import BadOption, HistosynthError, NotWritable
from ..core.nuclei import Nuclei
from ..core.outcome import Outcome
from ..core.pairing import list_files, pair
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.store import ensure_folder, write_json
from ..core.synthetic import refuse_foreign_files
from ..core.tile import IMAGE_SUFFIXES, read_mask, read_rgb
from ..model.bundle import Bundle
from ..model.opening import open_bundle
from ..tissue.appearance import Appearance, measure_appearance
from .batches import check_condition, check_scale
from .complete import complete
from .settings import resolve_appearance, settings_for
from .synthesize import synthesize


@dataclass(frozen=True)
class SamplingOptions:
    """What both verbs may be asked for besides their files."""

    mpp: float | None = None
    classes: Path | None = None
    label: str | None = None
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    batch: int = 8
    exemplar: bool = True


def synthesize_files(
    path: Path | None,
    nuclei: Path,
    out: Path,
    *,
    size: tuple[int, int],
    appearance: str | None,
    variants: int,
    options: SamplingOptions,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Paint `out/<stem>_<k>.png` for each nuclei file; a refused file is reported and passed
    over.
    """
    check_seed(options.seed)
    files = list_files(nuclei, NUCLEI_SUFFIXES)
    mapping = read_class_map(options.classes)
    bundle = open_bundle(path)
    looks = _appearances(appearance, files, bundle)
    mpp = _scale(options, bundle)
    settings = settings_for(bundle, "synthesize", options.steps, options.guidance)
    bundle.label_index(options.label)
    outcome = Outcome()
    ready = []
    for file, look in zip(files, looks, strict=True):
        try:
            _check_name(out / f"{file.stem}_{variants - 1}.png")
            found = read_nuclei(
                file,
                size=size,
                mpp=mpp,
                classes=bundle.info.classes,
                mapping=mapping,
            )
            condition = Condition(found, size, options.label)
            check_condition(condition, bundle.info)
            seen = look if isinstance(look, Appearance) else measure_appearance(read_rgb(look))
            ready.append((file, condition, seen))
        except HistosynthError as error:
            outcome.refused[str(file)] = error.of(file)
    if not ready:
        return outcome
    targets = {
        (index, k): out / f"{file.stem}_{k}.png"
        for index, (file, *_) in enumerate(ready)
        for k in range(variants)
    }
    _keep_others(targets.values())
    before = _recipes_before(out / "recipe.json")
    ensure_folder(out)
    painted = synthesize(
        bundle,
        [condition for _, condition, _ in ready],
        [look for *_, look in ready],
        seed=options.seed,
        variants=variants,
        settings=settings,
        batch=options.batch,
        on_progress=on_progress,
    )
    recipes = {}
    for index, variant, picture in painted:
        target = targets[index, variant]
        picture.save(target)
        outcome.written.append(target)
        recipes[target.name] = picture.recipe
    write_json(out / "recipe.json", {**before, **recipes})
    return outcome


def complete_files(
    path: Path | None,
    image: Path,
    mask: Path,
    out: Path,
    *,
    nuclei: Path | None,
    options: SamplingOptions,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Complete an image, or a folder of them; a refused one is reported and passed over."""
    check_seed(options.seed)
    images = list_files(image, IMAGE_SUFFIXES)
    masks = pair(images, mask, IMAGE_SUFFIXES, "mask")
    cells: Sequence[Path | None] = (
        [None] * len(images)
        if nuclei is None
        else pair(images, nuclei, NUCLEI_SUFFIXES, "nuclei file")
    )
    targets = _targets(images, image, out)
    inputs = {path.resolve() for path in (*images, *masks)}
    if any(target.resolve() in inputs for target in targets):
        raise BadOption(
            "--out",
            out,
            "another place than the inputs': a completed tile would replace its original",
        )
    mapping = read_class_map(options.classes)
    bundle = open_bundle(path)
    mpp = _scale(options, bundle)
    settings = replace(
        settings_for(bundle, "complete", options.steps, options.guidance), exemplar=options.exemplar
    )
    bundle.label_index(options.label)
    outcome = Outcome()
    ready = []
    for file, missing, points, target in zip(images, masks, cells, targets, strict=True):
        try:
            _check_name(target)
            pixels = read_rgb(file)
            context = Context(pixels, read_mask(missing))
            size = (pixels.shape[1], pixels.shape[0])
            found = _optional_nuclei(points, size, mpp, bundle, mapping)
            condition = Condition(found, size, options.label, context)
            check_condition(condition, bundle.info)
            ready.append((target, condition))
        except HistosynthError as error:
            outcome.refused[str(file)] = error.of(file)
    if not ready:
        return outcome
    _keep_others(target for target, _ in ready)
    ensure_folder(targets[0].parent)
    conditions = [condition for _, condition in ready]
    for index, picture in complete(
        bundle,
        conditions,
        seed=options.seed,
        settings=settings,
        batch=options.batch,
        on_progress=on_progress,
    ):
        target = ready[index][0]
        picture.save(target)
        outcome.written.append(target)
    return outcome


def _scale(options: SamplingOptions, bundle: Bundle) -> float:
    mpp = bundle.info.mpp if options.mpp is None else options.mpp
    if not 0 < mpp < 1000:
        raise BadOption("--mpp", mpp, "a positive number of micrometres per pixel")
    check_scale(mpp, bundle.info)
    return mpp


def _appearances(
    appearance: str | None, files: Sequence[Path], bundle: Bundle
) -> Sequence[Appearance | Path]:
    """Per nuclei file: a picture to measure, or an appearance of the palette."""
    if appearance is None or appearance in {entry.name for entry in bundle.info.palette}:
        return [resolve_appearance(appearance, bundle)] * len(files)
    path = Path(appearance)
    if not appearance or not os.path.exists(path):  # an empty path would be the current folder
        resolve_appearance(appearance or "empty", bundle)  # refuses, naming the palette
    if os.path.isfile(path):
        return [measure_appearance(read_rgb(path))] * len(files)
    return pair(files, path, IMAGE_SUFFIXES, "appearance")


def _optional_nuclei(
    path: Path | None,
    size: tuple[int, int],
    mpp: float,
    bundle: Bundle,
    mapping: Mapping[str, str],
) -> Nuclei | None:
    if path is None:
        return None
    return read_nuclei(
        path,
        size=size,
        mpp=mpp,
        classes=bundle.info.classes,
        mapping=mapping,
    )


def _targets(images: Sequence[Path], asked: Path, out: Path) -> list[Path]:
    one = os.path.isfile(asked)
    picture = out.suffix.lower() in (".png", ".tif", ".tiff")
    if one and picture:
        return [out]
    if one and out.suffix and not os.path.isdir(out):
        raise BadOption("--out", out, "a folder, or a file ending in .png, .tif or .tiff")
    if picture and not os.path.isdir(out):
        raise BadOption("--out", out, f"a folder, for {asked} is one")
    return [out / f"{image.stem}.png" for image in images]


MOST_NAME_BYTES = 240
"""Of a result's name: systems take 255, and the file it is written to before it is whole needs a
few."""


def _check_name(target: Path) -> None:
    """Refuse a result's name that is too long for a file, before anything is painted.

    Raises:
        NotWritable: naming the limit.
    """
    if (length := len(os.fsencode(target.name))) > MOST_NAME_BYTES:
        raise NotWritable(
            target, f"its name has {length} bytes, and {MOST_NAME_BYTES} are the most"
        )


def _keep_others(targets: Iterable[Path]) -> None:
    """Only what histosynth made before may be replaced by what it makes now.

    Raises:
        NotWritable: something else stands in a result's place.
    """
    for target in targets:
        refuse_foreign_files(target)


def _recipes_before(path: Path) -> dict[str, Any]:
    """Recipes of pictures that earlier calls left in the folder.

    Raises:
        NotWritable: the file holds something else.
    """
    if not os.path.lexists(path):
        return {}
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        before = None
    recipes = before.values() if isinstance(before, dict) else ()
    if not recipes or not all(isinstance(each, dict) and "histosynth" in each for each in recipes):
        raise NotWritable(path, "something that histosynth did not make is there already")
    return {name: recipe for name, recipe in before.items() if os.path.isfile(path.parent / name)}

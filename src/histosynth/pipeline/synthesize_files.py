"""`synthesize` on files: nuclei files in, pictures and their recipes out."""

from __future__ import annotations

from pathlib import Path

from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import HistosynthError
from ..core.geometry import Size
from ..core.outcome import Outcome
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.store import ensure_folder, write_json
from ..model.opening import open_bundle
from ..sampling import files
from ..sampling.options import SamplingOptions
from ..sampling.settings import settings_for
from ..sampling.synthesize import synthesize


def synthesize_files(
    nuclei: Path,
    out: Path,
    *,
    size: Size,
    appearance: str | None = None,
    variants: int = 1,
    options: SamplingOptions,
    bundle: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Write `out/<stem>_<k>.png` for each nuclei file, and `out/recipe.json`.

    A refused file is reported, and the others go on.

    Args:
        nuclei: CSV or GeoJSON file, or a folder of them.
        out: folder of the results.
        size: of all tiles, pixels.
        appearance: a palette name, a reference picture, or a folder of them by stem.
        variants: pictures per file.
        options: how to sample.
        bundle: its folder; None: the compact one.
        on_progress: called with (done, total) solver steps.

    Raises:
        BadOption, BadPairing, NoFiles, ScaleMismatch, UnknownLabel: an option cannot be used.
        NotWritable: a result would replace a file that histosynth did not write.
    """
    check_seed(options.seed)
    paths = list_files(nuclei, NUCLEI_SUFFIXES)
    opened = open_bundle(bundle)
    found = files.find_appearances(appearance, paths, opened)
    reader = files.ConditionReader.of(opened, options)
    settings = settings_for(opened, "synthesize", options)
    outcome = Outcome()
    accepted = []
    conditions = []
    appearances = []
    for path, appearance_of_path in zip(paths, found, strict=True):
        try:
            files.check_name(out / f"{path.stem}_{variants - 1}.png")
            condition = reader.whole(path, size)
            measured = files.read_appearance(appearance_of_path)
        except HistosynthError as error:
            outcome.refused[str(path)] = error.of(path)
            continue
        accepted.append(path)
        conditions.append(condition)
        appearances.append(measured)
    outcome.notes += reader.all_notes()
    if not conditions:
        return outcome
    files.refuse_foreign_targets(
        out / f"{path.stem}_{k}.png" for path in accepted for k in range(variants)
    )
    recipes = files.read_earlier_recipes(out / "recipe.json")
    ensure_folder(out)
    for index, variant, picture in synthesize(
        opened,
        conditions,
        appearances,
        seed=options.seed,
        variants=variants,
        settings=settings,
        batch=options.batch,
        on_progress=on_progress,
    ):
        path = accepted[index]
        target = out / f"{path.stem}_{variant}.png"
        picture.recipe.update(reader.noted(path))
        picture.save(target)
        outcome.written.append(target)
        recipes[target.name] = picture.recipe
    write_json(out / "recipe.json", recipes)
    return outcome

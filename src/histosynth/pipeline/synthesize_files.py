"""`synthesize` on files: nuclei files in, pictures and their recipes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import HistosynthError
from ..core.folder_lock import share_folder
from ..core.geometry import Size
from ..core.outcome import Outcome
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..model.opening import open_bundle
from ..sampling import files
from ..sampling.earlier_pictures import PictureRun, RecipeList
from ..sampling.options import SamplingOptions
from ..sampling.provenance import Recipe
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

    A refused file is reported, and the others go on. Pictures that an earlier run wrote with the
    same recipe stay as they are. Several runs may write other pictures to the same folder.

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
        FolderInUse: another run writes a picture of the same name.
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
    targets = {}
    for index, path in enumerate(accepted):
        for variant in range(variants):
            targets[index, variant] = out / f"{path.stem}_{variant}.png"
    with share_folder(out, [target.name for target in targets.values()]) as run:
        pictures = PictureRun(run, outcome, targets.values())
        recipes = RecipeList(out)

        def is_finished(index: int, variant: int, describe: Callable[[], Recipe]) -> bool:
            noted = reader.noted(accepted[index])
            return pictures.is_finished(targets[index, variant], lambda: describe() | noted)

        try:
            for index, variant, picture in synthesize(
                opened,
                conditions,
                appearances,
                seed=options.seed,
                variants=variants,
                settings=settings,
                batch=options.batch,
                on_progress=on_progress,
                is_finished=is_finished,
            ):
                picture.recipe.update(reader.noted(accepted[index]))
                pictures.save(targets[index, variant], picture)
                recipes.add(targets[index, variant].name, picture.recipe)
        finally:  # stopped runs list what they finished
            recipes.write()
        pictures.note_finished()
    return outcome

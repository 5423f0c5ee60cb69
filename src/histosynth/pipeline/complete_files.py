"""`complete` on files: images and masks in, completed images out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..annotation.labels.files import LabelFiles
from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import HistosynthError
from ..core.folder_lock import share_folder
from ..core.images import IMAGE_SUFFIXES
from ..core.outcome import Outcome
from ..core.pairing import list_files, pair_by_stem
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..model.opening import open_bundle
from ..sampling import files
from ..sampling.complete import complete
from ..sampling.earlier_pictures import PictureRun
from ..sampling.options import SamplingOptions
from ..sampling.provenance import Recipe
from ..sampling.settings import settings_for


def complete_files(
    image: Path,
    mask: Path,
    out: Path,
    *,
    nuclei: Path | None = None,
    labels: Sequence[str] = (),
    options: SamplingOptions,
    bundle: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Complete an image, or a folder of them; a refused image is reported, and the others go on.

    Pictures that an earlier run wrote with the same recipe stay as they are.

    Args:
        image: picture, or a folder of them.
        mask: picture that is not zero where tissue is missing, or a folder by stem.
        out: file for one image, or a folder.
        nuclei: CSV or GeoJSON of the whole tile, or a folder by stem.
        labels: formats of labels to write next to the pictures; they need `nuclei`.
        options: how to sample.
        bundle: its folder; None: the compact one.
        on_progress: called with (complete, all) pictures.

    Raises:
        BadOption, BadPairing, NoFiles, ScaleMismatch, UnknownLabel: an option cannot be used.
        NotWritable: a result would replace a file that histosynth did not write.
        FolderInUse: another run writes a picture of the same name.
    """
    check_seed(options.seed)
    images = list_files(image, IMAGE_SUFFIXES)
    masks = pair_by_stem(images, mask, IMAGE_SUFFIXES, "mask")
    nuclei_files: Sequence[Path | None] = [None] * len(images)
    if nuclei is not None:
        nuclei_files = pair_by_stem(images, nuclei, NUCLEI_SUFFIXES, "nuclei file")
    targets = files.completion_targets(images, image, out)
    files.refuse_inputs_as_targets(targets, (*images, *masks), out)
    opened = open_bundle(bundle, device=options.device, dtype=options.dtype)
    reader = files.ConditionReader.of(opened, options)
    settings = settings_for(opened, "complete", options)
    outcome = Outcome()
    conditions = []
    accepted = []
    for paths in zip(images, masks, nuclei_files, targets, strict=True):
        image_path, mask_path, nuclei_path, target = paths
        try:
            files.check_name(target)
            condition = reader.masked(image_path, mask_path, nuclei_path)
        except HistosynthError as error:
            outcome.refused[str(image_path)] = error.of(image_path)
            continue
        conditions.append(condition)
        accepted.append((target, nuclei_path))
    outcome.notes += reader.all_notes()
    if not conditions:
        return outcome
    pictures = {}
    for (target, _), condition in zip(accepted, conditions, strict=True):
        pictures[target.name] = condition.nuclei
    with share_folder(targets[0].parent, [target.name for target, _ in accepted]) as run:
        run_pictures = PictureRun(run, outcome, [target for target, _ in accepted])
        label_files = LabelFiles(targets[0].parent, labels, pictures)

        def is_finished(index: int, _: int, describe: Callable[[], Recipe]) -> bool:
            target, nuclei_path = accepted[index]
            noted = reader.noted(nuclei_path)
            is_there = run_pictures.is_finished(target, lambda: describe() | noted)
            if is_there:
                label_files.write(target.name)
            return is_there

        try:
            for index, picture in complete(
                opened,
                conditions,
                seed=options.seed,
                settings=settings,
                batch=options.batch,
                on_progress=on_progress,
                is_finished=is_finished,
            ):
                target, nuclei_path = accepted[index]
                picture.recipe.update(reader.noted(nuclei_path))
                label_files.write(target.name)
                run_pictures.save(target, picture)
        finally:  # stopped runs list what they finished
            label_files.write_lists()
        run_pictures.note_finished()
    return outcome

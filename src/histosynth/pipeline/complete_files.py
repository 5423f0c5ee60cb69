"""`complete` on files: images and masks in, completed images out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import HistosynthError
from ..core.images import IMAGE_SUFFIXES
from ..core.outcome import Outcome
from ..core.pairing import list_files, pair_by_stem
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.store import ensure_folder
from ..model.opening import open_bundle
from ..sampling import files
from ..sampling.complete import complete
from ..sampling.options import SamplingOptions
from ..sampling.settings import settings_for


def complete_files(
    image: Path,
    mask: Path,
    out: Path,
    *,
    nuclei: Path | None = None,
    options: SamplingOptions,
    bundle: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Complete an image, or a folder of them; a refused image is reported, and the others go on.

    Args:
        image: picture, or a folder of them.
        mask: picture that is not zero where tissue is missing, or a folder by stem.
        out: file for one image, or a folder.
        nuclei: CSV or GeoJSON of the whole tile, or a folder by stem.
        options: how to sample.
        bundle: its folder; None: the compact one.
        on_progress: called with (done, total) solver steps.

    Raises:
        BadOption, BadPairing, NoFiles, ScaleMismatch, UnknownLabel: an option cannot be used.
        NotWritable: a result would replace a file that histosynth did not write.
    """
    check_seed(options.seed)
    images = list_files(image, IMAGE_SUFFIXES)
    masks = pair_by_stem(images, mask, IMAGE_SUFFIXES, "mask")
    nuclei_files: Sequence[Path | None] = [None] * len(images)
    if nuclei is not None:
        nuclei_files = pair_by_stem(images, nuclei, NUCLEI_SUFFIXES, "nuclei file")
    targets = files.completion_targets(images, image, out)
    files.refuse_inputs_as_targets(targets, (*images, *masks), out)
    opened = open_bundle(bundle)
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
    files.refuse_foreign_targets(target for target, _ in accepted)
    ensure_folder(targets[0].parent)
    for index, picture in complete(
        opened,
        conditions,
        seed=options.seed,
        settings=settings,
        batch=options.batch,
        on_progress=on_progress,
    ):
        target, nuclei_path = accepted[index]
        picture.recipe.update(reader.noted(nuclei_path))
        picture.save(target)
        outcome.written.append(target)
    return outcome

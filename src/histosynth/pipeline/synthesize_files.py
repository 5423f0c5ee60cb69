"""`synthesize` on files: nuclei files in, or layouts drawn; pictures or a tile set out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..annotation.nuclei_files import NUCLEI_SUFFIXES
from ..core.errors import BadOption, HistosynthError
from ..core.folder_lock import FolderRun, share_folder
from ..core.geometry import Size
from ..core.images import read_picture_info
from ..core.outcome import Outcome
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic, png_bytes
from ..model.bundle import Bundle
from ..model.opening import open_bundle
from ..sampling import files
from ..sampling.options import SamplingOptions
from ..sampling.picture_results import PictureResults, picture_name
from ..sampling.provenance import Recipe
from ..sampling.settings import settings_for
from ..sampling.stated_maps import MapFiles
from ..sampling.synthesize import synthesize
from ..sampling.tile_plans import MAX_DRAWN, FilePlanner, TilePlan, drawn_plans, layouts_for
from ..sampling.tile_rows import TileSetRun, check_file_names, file_names
from ..sampling.tile_sizes import TileSize
from ..sampling.work import encode_pictures
from ..tissue.appearance import Appearance
from ..tissue.reference import ReferenceNotes

ResultFormat = Literal["png", "tileset"]
RESULT_FORMATS: Mapping[str, ResultFormat] = {"png": "png", "tileset": "tileset"}


@dataclass(frozen=True)
class ResultOptions:
    """What is written.

    Attributes:
        format: pictures, or the rows of a tile set.
        labels: formats of labels next to pictures; None: CSV for drawn layouts, else none.
        patient: of a tile set, pattern on the names of the nuclei files whose first group is the
            patient; "": the TCGA barcode in the name, else the layout is a patient of its own.
    """

    format: ResultFormat = "png"
    labels: tuple[str, ...] | None = None
    patient: str = ""

    def __post_init__(self) -> None:
        if self.format == "tileset" and self.labels:
            raise BadOption(
                "--labels",
                ",".join(self.labels),
                "left out with --format tileset, whose rows hold the nuclei",
            )
        if self.format == "png" and self.patient:
            raise BadOption("--patient", self.patient, "given together with --format tileset")


def result_format_of(name: str) -> ResultFormat:
    """The format of a name.

    Raises:
        BadOption: there is none.
    """
    if name not in RESULT_FORMATS:
        raise BadOption("--format", name or "empty", " or ".join(RESULT_FORMATS))
    return RESULT_FORMATS[name]


DEFAULT_RESULTS = ResultOptions()


def synthesize_files(
    nuclei: Path | None,
    out: Path,
    *,
    size: TileSize | Size,
    draw: int | None = None,
    regions: Path | None = None,
    orientation: Path | None = None,
    appearance: str | None = None,
    variants: int = 1,
    options: SamplingOptions,
    results: ResultOptions = DEFAULT_RESULTS,
    bundle: Path | None = None,
    on_progress: ProgressCallback | None = None,
    on_drawn: ProgressCallback | None = None,
) -> Outcome:
    """Write `out/<stem>_<k>.png` for each layout and `out/recipe.json`, or a tile set.

    A refused file is reported, and the others go on. Pictures that an earlier run wrote with the
    same recipe stay as they are. Several runs may write other pictures to the same folder.

    Args:
        nuclei: CSV or GeoJSON file, or a folder of them; None: layouts are drawn.
        out: folder of the results.
        size: of all tiles, px, or a rule for the size of each.
        draw: number of layouts to draw; None: they come from `nuclei`.
        regions: GeoJSON or a mask picture of what holds no tissue, for all files of nuclei, or a
            folder of them by stem; None: left to the model.
        orientation: GeoJSON of lines along fibres, for all files of nuclei, or a folder of them by
            stem; None: drawn, or left to the model.
        appearance: a palette name, `palette` for all of them in turn, a reference picture, or a
            folder of them: by stem for files of nuclei, in turn for drawn layouts.
        variants: pictures of each layout.
        options: how to sample.
        results: what is written.
        bundle: its folder; None: the compact one.
        on_progress: called with (complete, all) pictures.
        on_drawn: called with (done, total) layouts that were drawn.

    Raises:
        BadOption, BadPairing, NoFiles, ScaleMismatch, UnknownLabel: an option cannot be used.
        NotWritable: a result would replace a file that histosynth did not write.
        FolderInUse: another run writes a picture of the same name.
    """
    check_seed(options.seed)
    tile_size = size if isinstance(size, TileSize) else TileSize(Size(*size))
    _check_source(nuclei, draw, tile_size)
    for option, given in (("--regions", regions), ("--orientation", orientation)):
        if draw is not None and given is not None:
            raise BadOption(option, "given together with --draw", "given together with --nuclei")
    outcome = Outcome()
    opened: Bundle
    if nuclei is not None:
        paths = list_files(nuclei, NUCLEI_SUFFIXES)
        opened = open_bundle(bundle, device=options.device, dtype=options.dtype)
        plans = _plans_of_files(
            paths,
            tile_size,
            appearance,
            regions=regions,
            orientation=orientation,
            options=options,
            bundle=opened,
            outcome=outcome,
        )
    else:
        opened = open_bundle(bundle, device=options.device, dtype=options.dtype)
        plans = _drawn(
            draw or 0,
            tile_size,
            appearance,
            options=options,
            bundle=opened,
            outcome=outcome,
            on_drawn=on_drawn,
        )
    settings = settings_for(opened, "synthesize", options)
    plans = _with_short_names(plans, variants, out, results, outcome)
    if not plans:
        return outcome
    names = _result_names(plans, variants, results)
    with share_folder(out, names) as run:
        store = _open_store(
            run,
            outcome,
            plans,
            variants,
            options=options,
            results=results,
            is_drawn=nuclei is None,
        )

        def is_finished(index: int, variant: int, describe: Callable[[], Recipe]) -> bool:
            facts = plans[index].facts
            return store.is_finished(index, variant, lambda: describe() | facts)

        def with_facts(
            sampled: tuple[int, int, Synthetic],
        ) -> tuple[int, int, Synthetic]:
            index, _, picture = sampled
            picture.recipe.update(plans[index].facts)
            return sampled

        try:
            pictures = synthesize(
                opened,
                [plan.condition for plan in plans],
                [plan.appearance for plan in plans],
                seed=options.seed,
                variants=variants,
                settings=settings,
                batch=options.batch,
                on_progress=on_progress,
                is_finished=is_finished,
            )
            for (index, variant, picture), png in encode_pictures(
                map(with_facts, pictures),
                lambda sampled: png_bytes(sampled[2].pixels, sampled[2].recipe),
                opened.device,
            ):
                store.save(
                    index,
                    variant,
                    picture,
                    png,
                )
        finally:  # stopped runs keep what they finished
            store.finish()
        store.note_finished()
    return outcome


def _check_source(
    nuclei: Path | None,
    draw: int | None,
    tile_size: TileSize,
) -> None:
    if (nuclei is None) == (draw is None):
        found = "missing" if draw is None else "given together with --nuclei"
        raise BadOption("--draw", found, "given in place of --nuclei")
    if draw is not None and not 1 <= draw <= MAX_DRAWN:
        raise BadOption("--draw", draw, f"from 1 to {MAX_DRAWN:,}")
    if draw is not None and tile_size.crop is not None:
        raise BadOption("--crop", "given together with --draw", "left out, as layouts are drawn")


def _plans_of_files(
    paths: Sequence[Path],
    tile_size: TileSize,
    appearance: str | None,
    *,
    regions: Path | None,
    orientation: Path | None,
    options: SamplingOptions,
    bundle: Bundle,
    outcome: Outcome,
) -> list[TilePlan]:
    """The tiles of all files that can be used; the others are refused in the outcome."""
    found = files.find_appearances(appearance, paths, bundle)
    pictures = files.appearance_pictures(appearance, found)
    map_files = MapFiles.find(paths, regions=regions, orientation=orientation)
    reader = files.ConditionReader.of(bundle, options)
    planner = FilePlanner(reader, tile_size)
    plans: list[TilePlan] = []
    references: dict[str, Appearance] = {}
    notes_of: dict[Path, tuple[str, ...]] = {}
    inputs = zip(paths, found, pictures, strict=True)
    for index, (path, appearance_of_path, picture) in enumerate(inputs):
        try:
            measured = files.read_appearance(appearance_of_path)
            if picture is not None:
                references[str(picture)] = measured
            maps = map_files.read(index)
            for stated in (maps.regions, maps.lines):
                if stated is not None:
                    notes_of[stated.path] = stated.notes
            plans += planner.plans(path, measured, picture, maps)
        except HistosynthError as error:
            outcome.refused[str(path)] = error.of(path)
    outcome.notes += reader.all_notes()
    outcome.notes += [note for notes in notes_of.values() for note in notes]
    outcome.notes += planner.notes.sentences()
    outcome.notes += ReferenceNotes.of(references.items()).sentences()
    return plans


def _drawn(
    count: int,
    tile_size: TileSize,
    appearance: str | None,
    *,
    options: SamplingOptions,
    bundle: Bundle,
    outcome: Outcome,
    on_drawn: ProgressCallback | None,
) -> list[TilePlan]:
    """Tiles of layouts that are drawn."""
    layouts_for(bundle)
    appearances, pictures = files.drawn_appearances(appearance, bundle)
    references = {
        str(picture): measured
        for picture, measured in zip(pictures, appearances, strict=True)
        if picture is not None
    }
    outcome.notes += ReferenceNotes.of(references.items()).sentences()
    size = tile_size.size or _common_size(pictures)
    plans = []
    drawn = drawn_plans(
        bundle,
        count,
        size,
        appearances,
        mpp=files.ConditionReader.of(bundle, options).mpp,
        label=options.label,
        seed=options.seed,
    )
    for plan in drawn:
        plans.append(plan)
        if on_drawn:
            on_drawn(len(plans), count)
    return plans


def _common_size(pictures: Sequence[Path | None]) -> Size:
    """The size of all pictures of the appearance.

    Raises:
        BadOption: there is no picture, or they differ.
    """
    sizes = {read_picture_info(picture)[0] for picture in pictures if picture is not None}
    if len(sizes) != 1:
        found = f"of {len(sizes)} sizes" if sizes else "missing"
        raise BadOption(
            "--size",
            f"auto, and the picture of --appearance is {found}",
            "in pixels, or that of a picture",
        )
    return sizes.pop()


def _with_short_names(
    plans: Sequence[TilePlan],
    variants: int,
    out: Path,
    results: ResultOptions,
    outcome: Outcome,
) -> list[TilePlan]:
    """Plans whose results have names that a file can have; the others are refused."""
    kept = []
    for plan in plans:
        try:
            if results.format == "tileset":
                check_file_names(plan, variants, out)
            else:
                files.check_name(out / picture_name(plan, variants - 1))
        except HistosynthError as error:
            name = str(plan.source)
            outcome.refused[name] = error.of(name)
            continue
        kept.append(plan)
    return kept


def _result_names(
    plans: Sequence[TilePlan],
    variants: int,
    results: ResultOptions,
) -> list[str]:
    names = []
    for plan in plans:
        if results.format == "tileset":
            names += file_names(plan, variants)
        else:
            names += [picture_name(plan, variant) for variant in range(variants)]
    return names


def _open_store(
    run: FolderRun,
    outcome: Outcome,
    plans: Sequence[TilePlan],
    variants: int,
    *,
    options: SamplingOptions,
    results: ResultOptions,
    is_drawn: bool,
) -> PictureResults | TileSetRun:
    """Where the pictures of a run are written."""
    if results.format == "tileset":
        label = options.label or ""
        return TileSetRun(run, outcome, plans, variants, results.patient, label)
    labels = results.labels
    if labels is None:
        labels = ("csv",) if is_drawn else ()
    return PictureResults(run, outcome, plans, variants, labels)

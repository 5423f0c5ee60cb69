"""Regions painted one after another, and the slide written; continued after a stop."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..annotation.regions import Region, regions_geojson
from ..core.errors import BadRun, NotWritable, ResumeMismatch
from ..core.folder_lock import own_folder, share_folder
from ..core.own_files import OwnFiles
from ..core.plain_files import read_plain_text
from ..core.progress import ProgressCallback, ignore_progress
from ..core.store import digest, remove_file, remove_folder, write_json, write_text
from ..core.visible import json_line
from ..engine import Engine
from ..painting.run import parts_folder
from ..slides import Slide
from ..slides.carrying import CarriedSlide
from ..slides.slide import NotThisReader
from ..slides.writing import SlideDescription, read_slide_recipe
from ..slides.writing.aperio_form import SVS_SUFFIX
from ..slides.writing.formats import OME_SUFFIXES
from .level_tiles import tiles_of_levels
from .outlines import mask_regions
from .output import LevelProof, check_output_space, write_output
from .patches import PatchFiles
from .pieces import PieceWork
from .rewriting import check_rewriting_space, colour_profile, rewrite_output
from .tile_checks import TouchedTiles
from .work import paint_pieces, piece_painting

GEOJSON_SUFFIX = ".synthetic.geojson"
NAME = "slide with synthetic regions"
_RECIPE_FILE = "mend.json"
_PLAIN = "region"


@dataclass(frozen=True, eq=False)
class MendJob:
    """What to write.

    Attributes:
        slide: the original.
        carried: its levels; None: it is written anew.
        codec: of a slide that is written anew; "": it is not.
        work: what to paint.
        recipe: plain values that say all of this.
        bundle: folder of the networks.
        engine: where pieces are painted.
        touched: tiles of all levels that show some of what is painted.
    """

    slide: Slide
    carried: CarriedSlide | None
    codec: str
    work: PieceWork
    recipe: dict[str, Any]
    bundle: Path
    engine: Engine
    touched: TouchedTiles

    @property
    def description(self) -> SlideDescription:
        """What the new file states of itself."""
        profile = b"" if self.carried is not None else colour_profile(self.slide)
        return SlideDescription(
            self.slide.mpp,
            self.recipe,
            NAME,
            profile,
        )


@dataclass(frozen=True)
class MendProgress:
    """Callbacks for pieces painted, and for tiles written."""

    painted: ProgressCallback = ignore_progress
    written: ProgressCallback = ignore_progress


@dataclass(frozen=True)
class MendOutcome:
    """What a run did.

    Attributes:
        was_there: an earlier run had finished the slide.
        geojson: polygons of all painted places.
        proofs: of each level; none where the slide was there.
    """

    was_there: bool
    geojson: Path
    proofs: tuple[LevelProof, ...] = ()


def write_mend(
    job: MendJob,
    out: Path,
    progress: MendProgress | None = None,
) -> MendOutcome:
    """Paint the regions and write the slide, continuing where an earlier run stopped.

    Args:
        job: what to write.
        out: the OME-TIFF, or the SVS; its parts lie beside it until it is finished.
        progress: callbacks.

    Raises:
        NotWritable: `out` holds something else, cannot be written, or there is no room.
        ResumeMismatch: an earlier run began something else there.
        BadRegions, UnreadableImage: a region cannot be painted, or a tile not be edited.
    """
    progress = progress or MendProgress()
    geojson = geojson_path(out)
    with share_folder(out.parent, [out.name, geojson.name]):
        polygons = painted_geojson(job)
        has_polygons = _has_polygons(geojson, polygons)
        if _is_there(out, job.description):
            if not has_polygons:
                write_text(geojson, polygons)
            return MendOutcome(True, geojson)
        folder = parts_folder(out)
        if job.carried is None:
            check_rewriting_space(
                out,
                job.slide,
                folder,
                job.codec,
            )
        else:
            check_output_space(
                out,
                job.carried,
                folder,
                job.touched.parts,
            )
        with own_folder(folder):
            _remember(folder, job.recipe)
            painting = piece_painting(
                job.work,
                job.slide,
                folder,
                job.bundle,
            )
            patches = paint_pieces(
                painting,
                job.work.plan,
                job.engine,
                progress.painted,
            )
            with _polygons_first(geojson, polygons, is_there=has_polygons):
                proofs = _write(job, out, patches, progress.written)
        remove_folder(folder)
    return MendOutcome(False, geojson, tuple(proofs))


def geojson_path(out: Path) -> Path:
    """The polygons beside a slide: `NAME.synthetic.geojson` of `NAME.ome.tiff`."""
    stem = out.name
    for suffix in (*OME_SUFFIXES, SVS_SUFFIX):
        stem = stem.removesuffix(suffix)
    return out.with_name(stem + GEOJSON_SUFFIX)


def painted_regions(job: MendJob) -> list[Region]:
    """Polygons of all that may differ from the original at level 0, one class a piece."""
    reach = (0, 0) if job.carried is None else job.carried.levels[0].reach
    margin = max(reach)
    regions = []
    for piece in job.work.plan.pieces:
        wide = np.pad(piece.mask, margin)
        size = (2 * reach[1] + 1, 2 * reach[0] + 1)
        grown = np.asarray(ndimage.maximum_filter(wide, size=size))
        names = [name for name in piece.names if name] or [_PLAIN]
        regions += mask_regions(
            grown,
            name=f"synthetic: {', '.join(names)}",
            corner=(piece.box.x - margin, piece.box.y - margin),
        )
    return regions


def counts_by_class(regions: Sequence[Region]) -> dict[str, int]:
    """How many regions of each class are given."""
    return dict(sorted(Counter(region.name or _PLAIN for region in regions).items()))


def painted_geojson(job: MendJob) -> str:
    """The text of the polygons: of level 0, with what lies around them at lower levels."""
    collection = json.loads(regions_geojson(painted_regions(job)))
    facts: dict[str, Any] = {"synthetic": True, "level": 0}
    if job.carried is not None:
        facts["lower_levels"] = _lower_levels(job.carried)
    for feature in collection["features"]:
        feature["properties"] |= facts
    return json_line(collection) + "\n"


def _lower_levels(carried: CarriedSlide) -> list[dict[str, Any]]:
    """How far from a polygon pixels of lower levels may differ, px of level 0."""
    first = carried.levels[0].size
    found = []
    for level in carried.levels[1:]:
        step = max(first.width / level.size.width, first.height / level.size.height)
        side = max(level.grid) + max(level.reach)
        found.append({"level": level.number, "px_around": math.ceil(side * step)})
    return found


def _has_polygons(path: Path, text: str) -> bool:
    """Whether the polygons are there already.

    Raises:
        NotWritable: something else is.
    """
    if OwnFiles(path.parent).holds_text(path.name, text):
        return True
    if not os.path.lexists(path):
        return False
    raise NotWritable(
        path,
        "it is there, and is not what these options give",
        "Move it elsewhere, or choose another --out.",
    )


@contextmanager
def _polygons_first(
    path: Path,
    text: str,
    *,
    is_there: bool,
) -> Iterator[None]:
    """Write the polygons before the slide, which never lies there without them."""
    if is_there:
        yield
        return
    write_text(path, text)
    try:
        yield
    except BaseException:
        remove_file(path)
        raise


def _write(
    job: MendJob,
    out: Path,
    patches: PatchFiles,
    on_progress: ProgressCallback,
) -> list[LevelProof]:
    if job.carried is None:
        return rewrite_output(
            out,
            job.slide,
            job.description,
            patches,
            parts_folder(out),
            codec=job.codec,
            on_progress=on_progress,
        )
    return write_output(
        out,
        job.carried,
        job.description,
        tiles_of_levels(
            job.carried,
            patches,
            parts_folder(out),
            job.touched.indices,
        ),
        on_progress,
    )


def _is_there(out: Path, description: SlideDescription) -> bool:
    """Whether the slide is there already.

    Raises:
        NotWritable: another file is.
    """
    if not out.exists():
        return False
    if _recipe_in(out) == json.loads(json.dumps(dict(description.recipe))):
        return True
    raise NotWritable(
        out,
        "it is there, and is not what these options give",
        "Remove it, or choose another --out.",
    )


def _recipe_in(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return read_slide_recipe(path)
    except NotThisReader:
        return None


def _remember(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Note in the folder of the parts what they belong to.

    Raises:
        NotWritable, ResumeMismatch, BadRun: the folder holds something else.
    """
    path = folder / _RECIPE_FILE
    wanted = {"key": digest(dict(recipe)), "recipe": json.loads(json.dumps(recipe))}
    if not path.exists():
        others = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
        if others:
            raise NotWritable(
                folder,
                f"parts of a slide would lie there, but it holds {others[0]}",
                "Move it elsewhere, or choose another --out.",
            )
        write_json(path, wanted)
        return
    try:
        found = json.loads(read_plain_text(path))
        before = found["recipe"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadRun(folder, f"its {_RECIPE_FILE} cannot be read") from error
    if before != wanted["recipe"]:
        names = [name for name in {**before, **recipe} if before.get(name) != recipe.get(name)]
        raise ResumeMismatch(folder, sorted(names))

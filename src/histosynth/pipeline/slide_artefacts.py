"""Spoilt places of a slide: looked for and written for QuPath, or read, as `mend` paints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotation.regions import Region, find_regions, regions_geojson
from ..core.errors import BadOption, BadRegions
from ..core.folder_lock import share_folder
from ..core.own_files import OwnFiles
from ..core.paths import real_path
from ..core.progress import ProgressCallback, ignore_progress
from ..core.recipe_names import nearest_name

if TYPE_CHECKING:
    from ..slides import Slide

AUTO_ARTIFACTS = "auto"
_SUFFIXES = (".geojson", ".json")


@dataclass(frozen=True)
class FoundArtefacts:
    """What `find_artefacts` found.

    Attributes:
        regions: how many of each class.
        area_mm2: of all of them.
        share: of the slide's area.
        path: of the GeoJSON.
    """

    regions: Mapping[str, int]
    area_mm2: float
    share: float
    path: Path

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.path),
            "regions": dict(self.regions),
            "area_mm2": round(self.area_mm2, 4),
            "share": round(self.share, 6),
        }


def find_slide_artefacts(
    slide: Path | str,
    out: Path | str,
    *,
    only: Sequence[str] = (),
    mpp: float | None = None,
    on_progress: ProgressCallback = ignore_progress,
) -> FoundArtefacts:
    """Look for folds, pen, bubbles, tears and blur, and write their polygons for QuPath.

    Args:
        slide: the file.
        out: `NAME.geojson`; a file that histosynth wrote there is replaced.
        only: classes; empty: the usual ones.
        mpp: of the slide where it states none or a wrong one.
        on_progress: called with (done, all) steps.

    Raises:
        BadOption: an unknown class, or a name that is no GeoJSON's.
        UnreadableImage, MissingScale, ConflictingScales: the slide cannot be used.
        NotWritable: the file cannot be written, or one of others, or changed since, is there.
    """
    from ..annotation.polygons import centre_of_rings
    from ..patching.run import counts_by_class
    from ..slides import open_slide

    target = real_path(Path(out))
    _check_found_path(Path(slide), target)
    names = tuple(name.lower() for name in only)
    check_artefact_classes(names)
    with share_folder(target.parent, [target.name]):
        own = OwnFiles(target.parent)
        own.refuse_foreign([target.name])
        opened = open_slide(Path(slide), mpp=mpp)
        regions = regions_to_mend(
            opened,
            AUTO_ARTIFACTS,
            names,
            on_progress,
        )
        own.write_texts({target.name: regions_geojson(regions)})
    px = 0.0
    for region in regions:
        px += centre_of_rings([_array(ring) for ring in region.rings]).area
    first = opened.levels[0]
    opened.close()
    return FoundArtefacts(
        counts_by_class(regions),
        px * (opened.mpp / 1000) ** 2,
        px / (first.width * first.height),
        target,
    )


def _check_found_path(slide: Path, target: Path) -> None:
    if not target.name.lower().endswith(_SUFFIXES):
        wanted = "a name that ends in .geojson where only places are looked for"
        raise BadOption("--out", target.name, wanted)
    if real_path(slide) == target:
        raise BadOption("--out", target.name, "another file than the slide")


def _array(ring: Sequence[tuple[float, float]]) -> Any:
    import numpy as np

    return np.array(ring, np.float64)


def check_artefact_classes(only: Sequence[str]) -> None:
    """Refuse classes that are not looked for.

    Raises:
        BadOption: naming the first.
    """
    from ..patching.finding import ARTEFACTS

    for name in only:
        if name not in ARTEFACTS:
            meant = nearest_name(name, list(ARTEFACTS))
            hint = f" (meant: {meant}?)" if meant else ""
            raise BadOption("--only", name, f"among {', '.join(ARTEFACTS)}{hint}")


def regions_to_mend(
    slide: Slide,
    artifacts: Path | str | Sequence[Region],
    only: tuple[str, ...],
    on_found: ProgressCallback,
) -> list[Region]:
    """Regions that are looked for, read from a file, or given.

    Args:
        slide: where they lie.
        artifacts: "auto", a file of GeoJSON, or regions.
        only: classes, in lower case; empty: all that are given, the usual ones of those found.
        on_found: called with (done, all) steps of looking for them.

    Raises:
        BadRegions: a file that holds none, or none of these classes.
    """
    from ..patching.finding import USUAL_ARTEFACTS, find_artefacts

    if isinstance(artifacts, str) and artifacts == AUTO_ARTIFACTS:
        return find_artefacts(slide, only or USUAL_ARTEFACTS, on_found)
    regions = _read(Path(artifacts)) if isinstance(artifacts, str | Path) else list(artifacts)
    return _of_classes(regions, only) if only else regions


def _read(path: Path) -> list[Region]:
    """The regions of a file.

    Raises:
        BadRegions: none is there; with what is there instead.
    """
    found = find_regions(path)
    if found.regions or not found.left_out:
        return list(found.regions)
    what = ", ".join(f"{count:,} {name}" for name, count in sorted(found.left_out.items()))
    raise BadRegions(
        f"{path} holds no area, but {what}; lines and points are no areas.",
        "Draw areas in QuPath (polygon, brush, wand) and export them as GeoJSON.",
    )


def _of_classes(regions: list[Region], only: tuple[str, ...]) -> list[Region]:
    """Those of some classes, upper and lower case alike.

    Raises:
        BadRegions: a class of which there is none.
    """
    there = sorted({region.name for region in regions if region.name})
    lower = {name.lower() for name in there}
    for name in only:
        if name not in lower:
            raise BadRegions(
                f"No region is of the class {name} that --only names; there are "
                f"{', '.join(there) or 'none with a class'}.",
                "Name classes of the regions, or leave out --only.",
            )
    return [region for region in regions if region.name.lower() in only]

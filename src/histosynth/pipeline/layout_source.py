"""Layouts of slides from files of any form, for the verbs of `layout`."""

from __future__ import annotations

from pathlib import Path

from ..annotation.class_map import read_class_map
from ..annotation.layout_empty import SlideEmptyRegions
from ..annotation.layout_files import LAYOUT_SUFFIX, FileLayout, open_layout
from ..annotation.layout_geojson import HeldLayout, read_layout
from ..core.errors import BadOption, MissingScale
from ..core.geometry import Size
from ..core.units import check_mpp_option

_SAME_SCALE = 1e-3


def open_layout_file(
    path: Path,
    *,
    size: Size | None = None,
    mpp: float | None = None,
    class_map: Path | None = None,
    empty: SlideEmptyRegions | None = None,
) -> FileLayout | HeldLayout:
    """The nuclei of a slide.

    Args:
        path: Parquet from `layout sample`, or any form of nuclei.
        size: of the slide, px; None: that of the Parquet file.
        mpp: micrometres per pixel; None: that of the Parquet file.
        class_map: class map (TOML) for files of other forms.
        empty: regions without tissue of a slide whose nuclei are in another form.

    Raises:
        BadOption, MissingScale: size or scale is missing, or not that of the file.
        BadNuclei, BadRegions: a file cannot be used.
    """
    if mpp is not None:
        check_mpp_option(mpp)
    if path.suffix.lower() == LAYOUT_SUFFIX:
        layout = open_layout(path)
        if size is not None and size != layout.size:
            found = f"{layout.size.width}x{layout.size.height}, as {path.name} states"
            raise BadOption("--size", f"{size.width}x{size.height}", found)
        if mpp is not None and abs(mpp / layout.mpp - 1) > _SAME_SCALE:
            raise BadOption("--mpp", mpp, f"{layout.mpp:g}, as {path.name} states")
        return layout
    if size is None:
        raise BadOption("--size", "missing", f"that of the slide of {path.name}, WxH px")
    if mpp is None:
        raise MissingScale(path.name)
    return read_layout(
        path,
        size=size,
        mpp=mpp,
        mapping=None if class_map is None else read_class_map(class_map),
        empty=empty,
    )

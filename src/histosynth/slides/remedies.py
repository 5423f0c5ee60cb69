"""What to do with a picture that is too large to be read at once."""

from __future__ import annotations

import shlex
from pathlib import Path


def pyramid_remedy(path: Path) -> str:
    """How to make a tiled pyramid of a picture that has none."""
    source = shlex.quote(str(path))
    target = shlex.quote(str(path.with_name(f"{path.stem}-pyramid.tif")))
    return (
        f"Make a tiled pyramid of it with libvips (libvips.org):  vips tiffsave {source} {target} "
        "--tile --pyramid --bigtiff --compression deflate  , and give its scale with --mpp if the "
        "pyramid states none."
    )

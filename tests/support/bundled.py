"""A whole bundle to give away, and what is in a folder."""

import shutil

from histosynth.model.adapters import AdapterInfo, add_adapter, save_adapter
from histosynth.model.loading import load_bundle


def whole_bundle(source, folder):
    """A copy of a bundle with an adapter that `bundle.json` does not name."""
    shutil.copytree(source, folder)
    bundle = load_bundle(folder)
    add_adapter(
        bundle.unet,
        "global",
        rank=2,
        alpha=3.0,
        targets=("to_q",),
    )
    sha256 = bundle.base_sha256
    classes = bundle.info.classes
    info = AdapterInfo("global", 2, 3.0, ("to_q",), sha256, classes, 0.5)
    save_adapter(bundle.unet, info, folder / "adapters" / "global")
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def left(folder):
    return sorted(path.name for path in folder.iterdir())

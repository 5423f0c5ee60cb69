"""`demo`: the main job from nothing, in pictures: a layout, tissue in four stains, holes,
completions.
"""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..annotation.nuclei_files import write_csv, write_geojson
from ..core.condition import Condition, Context
from ..core.errors import NotWritable
from ..core.geometry import Size
from ..core.seeds import check_seed
from ..core.sheet import colour_legend, contact_sheet, draw_nuclei, fill_mask
from ..core.store import ensure_folder, sha256_of, write_json, write_text
from ..core.synthetic import Synthetic, refuse_foreign_files, write_synthetic
from ..core.tile import Pixels, write_mask
from ..core.version import __version__
from ..model.bundle import Bundle
from ..sampling.complete import complete
from ..sampling.settings import default_settings
from ..sampling.synthesize import synthesize
from ..tissue.layout import draw_layout
from ..tissue.masks import SHAPES

SIZE = Size(256, 256)
STAINS = 4
MASKS = ("blob", "tear", "strokes", "fold")


def run_demo(
    bundle: Bundle,
    out: Path,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make the demo's pictures in `out`.

    Args:
        bundle: what paints.
        out: folder for `contact.png`, `report.html`, `images/` and the nuclei. `demo.json` there
            names what a demo wrote, by sha256: nothing else is ever replaced.
        seed: source of the layout, the holes and the noise.
        on_progress: told (done, total) solver steps, of the whole demo.

    Returns:
        Where things are, how many, and how long it took.

    Raises:
        NotWritable: a file is in the way that no demo wrote, or that was changed since.
    """
    began = time.monotonic()
    check_seed(seed)
    own = _Own(out)
    own.check(min(STAINS, len(bundle.info.palette)))
    images = ensure_folder(ensure_folder(out) / "images")
    whole = default_settings(bundle, "synthesize")
    completing = default_settings(bundle, "complete")
    nuclei = draw_layout(SIZE, mpp=bundle.info.mpp, seed=seed)
    write_csv(out / "nuclei.csv", nuclei)
    write_geojson(out / "nuclei.geojson", nuclei)
    own.note("nuclei.csv", "nuclei.geojson")
    looks = [entry.appearance for entry in bundle.info.palette[:STAINS]]
    conditions = [Condition(nuclei, SIZE)] * len(looks)
    made = synthesize(
        bundle,
        conditions,
        looks,
        seed=seed,
        variants=1,
        settings=whole,
        batch=STAINS,
        on_progress=_half(on_progress, 0),
    )
    tiles = [picture for _, _, picture in sorted(made, key=lambda each: each[0])]
    damaged = []
    masks = []
    random = np.random.default_rng(seed)
    for index, (tile, shape) in enumerate(zip(tiles, MASKS, strict=False)):
        mask = SHAPES[shape](random, SIZE[1], SIZE[0])
        masks.append(mask)
        damaged.append(
            Condition(
                nuclei,
                SIZE,
                None,
                Context(tile.pixels.copy(), mask),
            )
        )
        tile.save(images / f"synthetic_{index}.png")
        write_mask(images / f"mask_{index}.png", mask)
        own.note(f"images/mask_{index}.png")
    mended = dict(
        complete(
            bundle,
            damaged,
            seed=seed + 1,
            settings=completing,
            batch=STAINS,
            on_progress=_half(on_progress, 1),
        )
    )
    for index, picture in mended.items():
        picture.save(images / f"mended_{index}.png")
    rows = [
        (f"asked for: {colour_legend(nuclei.classes)}", [draw_nuclei(nuclei)] * len(tiles)),
        (
            "global: the same nuclei in four stains of the bundle's palette",
            [tile.pixels for tile in tiles],
        ),
        (
            "with the nuclei that were asked for",
            [draw_nuclei(nuclei, over=t.pixels, radius_px=2) for t in tiles],
        ),
        (
            "damaged: a blob, a tear, strokes, a fold",
            [fill_mask(t.pixels, h) for t, h in zip(tiles, masks, strict=False)],
        ),
        (
            "local: completed; known pixels are equal bit for bit",
            [mended[i].pixels for i in sorted(mended)],
        ),
    ]
    made_all = tiles + [mended[i] for i in sorted(mended)]
    title = "histosynth demo: synthetic tissue, for research use; not for diagnosis"
    facts = {
        "histosynth": __version__,
        "verb": "demo",
        "synthetic": True,
        "extent": "sheet",
        "seed": seed,
    }
    of = {"mpp": bundle.info.mpp, "pictures": [picture.recipe for picture in made_all]}
    write_synthetic(out / "contact.png", contact_sheet(rows, title=title), facts | of)
    _write_report(out / "report.html", rows, made_all)
    own.note("report.html")
    pictures = len(tiles) + len(mended)
    return {
        "contact": str(out / "contact.png"),
        "report": str(out / "report.html"),
        "images": str(images),
        "nuclei": str(out / "nuclei.csv"),
        "pictures": pictures,
        "seconds": round(time.monotonic() - began, 2),
        "bundle": bundle.info.name,
    }


class _Own:
    """What a demo wrote into its folder. Made pictures say so themselves; `demo.json` names the
    rest.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.file = out / "demo.json"
        self.hashes: dict[str, str] = {}

    def check(self, tiles: int) -> None:
        """Refuse a folder in which anything stands in a result's way.

        Raises:
            NotWritable: naming it.
        """
        reason = "something that histosynth did not make is there already"
        if os.path.lexists(self.file):
            try:
                told = json.loads(self.file.read_text(encoding="utf-8"))
                self.hashes = {str(name): str(value) for name, value in told["sha256"].items()}
            except (
                OSError,
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                RecursionError,
            ) as error:
                raise NotWritable(self.file, reason) from error
        for name in ("nuclei.csv", "nuclei.geojson", "report.html", *_names("mask", tiles)):
            path = self.out / name
            known = os.path.isfile(path) and sha256_of(path) == self.hashes.get(name)
            if os.path.lexists(path) and not known:
                raise NotWritable(path, reason)
        for name in ("contact.png", *_names("synthetic", tiles), *_names("mended", tiles)):
            refuse_foreign_files(self.out / name)

    def note(self, *names: str) -> None:
        """Files were written just now."""
        self.hashes |= {name: sha256_of(self.out / name) for name in names}
        write_json(
            self.file,
            {
                "histosynth": __version__,
                "verb": "demo",
                "sha256": self.hashes,
            },
        )


def _names(kind: str, count: int) -> list[str]:
    return [f"images/{kind}_{index}.png" for index in range(count)]


def _half(
    on_progress: Callable[[int, int], None] | None, which: int
) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    return lambda done, total: on_progress(which * total + done, 2 * total)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>histosynth demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0
1rem;color:#222}} img{{max-width:100%;height:auto;border-radius:4px}}
figure{{display:inline-block;margin:0 .6rem 1rem 0}} figcaption{{font-size:.85rem;color:#555}}
details{{margin:.5rem 0}} pre{{overflow:auto;background:#f5f5f5;padding:.7rem}}
.note{{background:#fff6e0;padding:.6rem 1rem;border-left:4px solid #e69f00}}</style>
<h1>Tissue from structure</h1>
<p class="note">Everything on this page is synthetic. For research use; not for diagnosis.</p>
<p>{nuclei}</p><p><img src="contact.png" alt="contact sheet"></p>
<h2>Single pictures</h2>{figures}
<h2>How each was made</h2>{recipes}</html>
"""


def _write_report(
    path: Path, rows: list[tuple[str, list[Pixels]]], pictures: list[Synthetic]
) -> None:
    names = [name for kind in ("synthetic", "mended") for name in _names(kind, len(pictures) // 2)]
    figures = "".join(
        f'<figure><img src="{name}" alt="{name}"><figcaption>{name}</figcaption></figure>'
        for name in names
    )
    told = [html.escape(json.dumps(picture.recipe, indent=2)) for picture in pictures]
    recipes = "".join(
        f"<details><summary>{name}</summary><pre>{text}</pre></details>"
        for name, text in zip(names, told, strict=True)
    )
    write_text(
        path,
        _PAGE.format(
            nuclei=html.escape(rows[0][0]),
            figures=figures,
            recipes=recipes,
        ),
    )

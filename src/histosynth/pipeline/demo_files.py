"""The files of a demo: their names, and which of them a new demo may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ..annotation.nuclei_files import write_csv, write_geojson
from ..core.condition import Condition
from ..core.errors import NotWritable
from ..core.images import write_mask
from ..core.nuclei import Nuclei
from ..core.sheet import contact_sheet
from ..core.store import ensure_folder, read_plain_text, sha256_of, write_json, write_text
from ..core.synthetic import Synthetic, refuse_foreign_files, write_synthetic
from ..core.version import __version__
from .demo_page import overview_recipe, overview_rows, page_html
from .demo_pictures import DemoPictures

FOREIGN = "something that histosynth did not make is there already"
TITLE = "histosynth demo: synthetic tissue, for research use; not for diagnosis"


class DemoFiles:
    """A demo's folder.

    Pictures are marked as synthetic themselves; `demo.json` lists the other files by sha256.

    Args:
        out: the folder.
        tiles: number of tiles.
    """

    def __init__(
        self,
        out: Path,
        tiles: int,
    ) -> None:
        self.out = out
        self.tiles = tiles
        self.hashes: dict[str, str] = {}
        self.images = out / "images"
        self.contact = out / "contact.png"
        self.report = out / "report.html"
        self.nuclei_csv = out / "nuclei.csv"
        self.nuclei_geojson = out / "nuclei.geojson"
        self.list = out / "demo.json"

    def image(
        self,
        name: str,
        index: int,
    ) -> Path:
        """The file of one picture."""
        return self.images / f"{name}_{index}.png"

    def refuse_foreign(self) -> None:
        """Refuse a folder in which a file has a result's name and no demo wrote it.

        Raises:
            NotWritable: naming it.
        """
        if os.path.lexists(self.list):
            self.hashes = _read_hashes(self.list)
        self._refuse_unlisted(self.nuclei_csv)
        self._refuse_unlisted(self.nuclei_geojson)
        self._refuse_unlisted(self.report)
        refuse_foreign_files(self.contact)
        for index in range(self.tiles):
            self._refuse_unlisted(self.image("mask", index))
            refuse_foreign_files(self.image("synthetic", index))
            refuse_foreign_files(self.image("mended", index))

    def _refuse_unlisted(self, path: Path) -> None:
        """Refuse a file that is not the one that a demo listed."""
        if not os.path.lexists(path):
            return
        listed = self.hashes.get(self._name(path))
        if not os.path.isfile(path) or sha256_of(path) != listed:
            raise NotWritable(path, FOREIGN)

    def _name(self, path: Path) -> str:
        """A file's path from the folder."""
        return path.relative_to(self.out).as_posix()

    def _record(self, *paths: Path) -> None:
        """List files that were just written."""
        for path in paths:
            name = self._name(path)
            self.hashes[name] = sha256_of(path)
        values = {
            "histosynth": __version__,
            "verb": "demo",
            "sha256": self.hashes,
        }
        write_json(self.list, values)

    def write_nuclei(self, nuclei: Nuclei) -> None:
        """Create the folders, and write the layout in both formats."""
        ensure_folder(self.out)
        ensure_folder(self.images)
        write_csv(self.nuclei_csv, nuclei)
        write_geojson(self.nuclei_geojson, nuclei)
        self._record(self.nuclei_csv, self.nuclei_geojson)

    def write_tiles(
        self,
        tiles: Sequence[Synthetic],
        damaged: Sequence[Condition],
    ) -> None:
        """Write each tile, and the mask of its damage."""
        for index, tile in enumerate(tiles):
            tile.save(self.image("synthetic", index))
        for index, condition in enumerate(damaged):
            path = self.image("mask", index)
            write_mask(path, condition.mask)
            self._record(path)

    def write_completed(self, completed: Sequence[Synthetic]) -> None:
        """Write each completed tile."""
        for index, picture in enumerate(completed):
            picture.save(self.image("mended", index))

    def write_overview(
        self,
        pictures: DemoPictures,
        *,
        seed: int,
    ) -> None:
        """Write the contact sheet and the page with every picture's recipe."""
        rows = overview_rows(pictures)
        write_synthetic(
            self.contact,
            contact_sheet(rows, title=TITLE),
            overview_recipe(pictures, seed=seed),
        )
        names = []
        for index in range(len(pictures.tiles)):
            names.append(self._name(self.image("synthetic", index)))
        for index in range(len(pictures.completed)):
            names.append(self._name(self.image("mended", index)))
        page = page_html(pictures, names)
        write_text(self.report, page)
        self._record(self.report)


def _read_hashes(path: Path) -> dict[str, str]:
    """The files that a demo listed, by name.

    Raises:
        NotWritable: it is no such list.
    """
    try:
        values = json.loads(read_plain_text(path))
        hashes = values["sha256"]
        return {str(name): str(value) for name, value in hashes.items()}
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise NotWritable(path, FOREIGN) from error

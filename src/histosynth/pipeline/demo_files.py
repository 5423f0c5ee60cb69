"""The files of a demo: their names, and which of them a new demo may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ..annotation.nuclei_files import nuclei_csv, nuclei_geojson
from ..core.condition import Condition
from ..core.errors import NotWritable
from ..core.images import save_mask
from ..core.nuclei import Nuclei
from ..core.own_files import OwnFiles
from ..core.plain_files import read_plain_text
from ..core.sheet import contact_sheet
from ..core.store import ensure_folder, sha256_of
from ..core.synthetic import Synthetic, is_own_picture, write_synthetic
from ..core.version import __version__
from .demo_page import overview_recipe, overview_rows, page_html
from .demo_pictures import DemoPictures

FOREIGN = "something that histosynth did not make is there already"
TITLE = "histosynth demo: synthetic tissue, for research use; not for diagnosis"


class DemoFiles:
    """A demo's folder.

    What is about to be written is recorded before (`OwnFiles`); for other readers `demo.json` lists
    by sha256 what is not marked as synthetic itself.

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
        self.own = OwnFiles(out, earlier=self._is_earlier)

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
        masks = [self.image("mask", index) for index in range(self.tiles)]
        texts = [self.nuclei_csv, self.nuclei_geojson, self.report]
        pictures = [self.contact]
        for index in range(self.tiles):
            pictures += [self.image("synthetic", index), self.image("mended", index)]
        paths = (*texts, *masks, *pictures)
        self.own.refuse_foreign([self._name(path) for path in paths])

    def _is_earlier(self, path: Path) -> bool:
        """Whether a file is the list, one that it lists, or a synthetic picture as it was written:
        earlier releases had no other record.
        """
        if path == self.list:
            return bool(self.hashes)
        is_listed = sha256_of(path) == self.hashes.get(self._name(path))
        return is_listed or is_own_picture(path)

    def _name(self, path: Path) -> str:
        """A file's path from the folder."""
        return path.relative_to(self.out).as_posix()

    def write_nuclei(self, nuclei: Nuclei) -> None:
        """Create the folders, and write the layout in both formats."""
        ensure_folder(self.out)
        ensure_folder(self.images)
        texts = {
            self._name(self.nuclei_csv): nuclei_csv(nuclei),
            self._name(self.nuclei_geojson): nuclei_geojson(nuclei),
        }
        self.own.write_texts(texts)

    def write_tiles(
        self,
        tiles: Sequence[Synthetic],
        damaged: Sequence[Condition],
    ) -> None:
        """Write each tile, and the mask of its damage."""
        for index, tile in enumerate(tiles):
            self._write_picture(self.image("synthetic", index), tile)
        for index, condition in enumerate(damaged):
            path = self.image("mask", index)
            with self.own.writing(self._name(path)) as temporary:
                save_mask(temporary, condition.mask)

    def write_completed(self, completed: Sequence[Synthetic]) -> None:
        """Write each completed tile."""
        for index, picture in enumerate(completed):
            self._write_picture(self.image("mended", index), picture)

    def _write_picture(self, path: Path, picture: Synthetic) -> None:
        write_synthetic(
            path,
            picture.pixels,
            picture.recipe,
            self.own,
        )

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
            self.own,
        )
        names = []
        for index in range(len(pictures.tiles)):
            names.append(self._name(self.image("synthetic", index)))
        for index in range(len(pictures.completed)):
            names.append(self._name(self.image("mended", index)))
        page = page_html(pictures, names, seed=seed)
        self.own.write_texts({self._name(self.report): page})
        self._write_list()

    def _write_list(self) -> None:
        """List the files that are not marked as synthetic themselves."""
        masks = [self.image("mask", index) for index in range(self.tiles)]
        paths = [self.nuclei_csv, self.nuclei_geojson, *masks, self.report]
        values = {
            "histosynth": __version__,
            "verb": "demo",
            "sha256": {self._name(path): sha256_of(path) for path in paths},
        }
        self.own.write_json(self._name(self.list), values)


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

"""Files of labels next to the pictures of a folder.

| format | of each picture | of the folder |
|---|---|---|
| csv | `csv/<stem>.csv` | |
| geojson | `geojson/<stem>.geojson` | |
| coco | | `coco/annotations.json` |
| yolo | `<stem>.txt` | `YOLO_FILE` |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath

from ...core.errors import BadOption, NotWritable
from ...core.folder_lock import index_lock
from ...core.nuclei import ANY, Nuclei
from ...core.own_files import OwnFiles
from ...core.paths import real_path
from ...core.plain_files import read_plain_text
from ..nuclei_files import nuclei_csv
from .boxes import has_any, label_classes
from .coco import CocoPicture, coco_picture, coco_text, read_coco_text
from .qupath import qupath_text
from .yolo import yolo_data, yolo_text

COCO = "coco"
YOLO = "yolo"
COCO_FILE = "coco/annotations.json"
YOLO_FILE = "data.yaml"
LABEL_TEXTS: Mapping[str, tuple[str, Callable[[Nuclei], str]]] = {
    "csv": ("csv/{stem}.csv", nuclei_csv),
    "geojson": ("geojson/{stem}.geojson", qupath_text),
    YOLO: ("{stem}.txt", yolo_text),
}
"""Formats with a file for each picture: its name, and its text."""
LABEL_FORMATS = ("csv", "geojson", COCO, YOLO)
_YOLO_FOLDER = "images"
"""YOLO's readers look for labels of pictures below it in a folder `labels` in its place."""


def parse_label_formats(text: str) -> tuple[str, ...]:
    """Formats between commas, each once, in the order of `LABEL_FORMATS`.

    Raises:
        BadOption: one is unknown, or none is named.
    """
    names = {name.strip().lower() for name in text.split(",")}
    if not names <= set(LABEL_FORMATS):
        allowed = f"{', '.join(LABEL_FORMATS[:-1])} or {LABEL_FORMATS[-1]}, separated by commas"
        raise BadOption(
            "--labels",
            text or "empty",
            allowed,
        )
    return tuple(name for name in LABEL_FORMATS if name in names)


class LabelFiles:
    """Writes the labels of a run's pictures.

    Formats in which the folder has labels of these pictures already are written too, so that a
    picture never stands next to the nuclei of another.

    Args:
        folder: of the pictures.
        formats: requested, of `LABEL_FORMATS`.
        pictures: nuclei by file name of the picture; None: they are not known.

    Raises:
        BadOption: readers of the format would not find the labels in this folder, or nuclei are not
            known.
        NotWritable: a file that is no label of ours, or was changed since, has a label's name.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        pictures: Mapping[str, Nuclei | None],
    ) -> None:
        self.folder = folder
        self.pictures = {name: nuclei for name, nuclei in pictures.items() if nuclei is not None}
        self._own = OwnFiles(folder)
        for name in pictures.keys() - self.pictures.keys():
            self._refuse_unknown(
                name,
                formats,
            )
        self._formats = {name: set(formats) | self._earlier(name) for name in self.pictures}
        self._coco: dict[str, CocoPicture] = {}
        if any(YOLO in found for found in self._formats.values()):
            _check_yolo_folder(folder)
        self._refuse_foreign()

    def write(self, picture: str) -> None:
        """Write the labels of one picture; those that are there already stay as they are."""
        if picture not in self.pictures:
            return
        for name, text in self._texts(picture):
            if not (
                self._own.knows(name)
                and self._own.holds_text(
                    name,
                    text,
                )
            ):
                self._own.write_texts({name: text})
        if COCO in self._formats[picture]:
            self._coco[picture] = coco_picture(
                picture,
                self.pictures[picture],
            )

    def write_lists(self) -> None:
        """Write the files of the folder, with the pictures that other runs listed."""
        if not any(found & {COCO, YOLO} for found in self._formats.values()):
            return
        with index_lock(self.folder):
            own = OwnFiles(self.folder)  # other runs wrote since
            if self._coco:
                self._write(
                    own,
                    COCO_FILE,
                    self._coco_text(),
                )
            if any(YOLO in found for found in self._formats.values()):
                self._write(
                    own,
                    YOLO_FILE,
                    yolo_data(self._yolo_names()),
                )

    def _write(self, own: OwnFiles, name: str, text: str) -> None:
        if not (
            own.knows(name)
            and own.holds_text(
                name,
                text,
            )
        ):
            own.write_texts({name: text})

    def _texts(self, picture: str) -> list[tuple[str, str]]:
        """Name and text of each label file of a picture."""
        stem = PurePath(picture).stem
        nuclei = self.pictures[picture]
        found = []
        for label_format, (name, text_of) in LABEL_TEXTS.items():
            if label_format in self._formats[picture]:
                found.append((name.format(stem=stem), text_of(nuclei)))
        return found

    def _earlier(self, picture: str) -> set[str]:
        """Formats in which an earlier run labelled a picture."""
        stem = PurePath(picture).stem
        found = set()
        for label_format, (name, _) in LABEL_TEXTS.items():
            if self._is_there(name.format(stem=stem)):
                found.add(label_format)
        if self._is_there(COCO_FILE):
            found.add(COCO)
        return found

    def _refuse_unknown(self, picture: str, formats: Sequence[str]) -> None:
        """Refuse a picture of which the nuclei are not known, where it would have labels."""
        if formats:
            found = f"{','.join(formats)} for {picture}, of which no nuclei are known"
            raise BadOption(
                "--labels",
                found,
                "given together with --nuclei",
            )
        earlier = self._earlier(picture)
        if COCO in earlier and picture not in self._earlier_coco()[0]:
            earlier.remove(COCO)
        if earlier:
            raise NotWritable(
                self.folder / picture,
                f"its labels are there ({', '.join(sorted(earlier))}), and the nuclei of the new "
                "picture are not known",
                "Give --nuclei, or choose another --out.",
            )

    def _is_there(self, name: str) -> bool:
        return self._own.knows(name) and os.path.lexists(self.folder / name)

    def _refuse_foreign(self) -> None:
        """Refuse, before anything is sampled, labels and lists that cannot be replaced."""
        foreign = []
        for picture in self.pictures:
            for name, text in self._texts(picture):
                if not self._own.holds_text(
                    name,
                    text,
                ):
                    foreign.append(name)
        formats: set[str] = set().union(*self._formats.values())
        if COCO in formats:
            foreign.append(COCO_FILE)
        if YOLO in formats:
            foreign.append(YOLO_FILE)
        self._own.refuse_foreign(foreign)
        if COCO in formats:
            self._coco_names(self._earlier_coco()[1])
        if YOLO in formats:
            self._yolo_names()

    def _coco_text(self) -> str:
        pictures, earlier_names = self._earlier_coco()
        present = {}
        for name, picture in pictures.items():
            if os.path.isfile(self.folder / name):
                present[name] = picture
        return coco_text(
            {**present, **self._coco},
            self._coco_names(earlier_names),
        )

    def _earlier_coco(self) -> tuple[dict[str, CocoPicture], list[str]]:
        """Pictures and categories of the list that is there; it was written by `coco_text`."""
        path = self.folder / COCO_FILE
        if not os.path.lexists(path):
            return {}, []
        try:
            return read_coco_text(read_plain_text(path))
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise NotWritable(
                path,
                "it cannot be read any more",
            ) from error

    def _coco_names(self, earlier: Sequence[str]) -> list[str]:
        names = self._class_names(with_any=ANY in earlier)
        if earlier and list(earlier) != names[: len(earlier)]:
            raise self._other_classes(COCO_FILE)
        return names

    def _yolo_names(self) -> list[str]:
        """Class names for the list of classes: those that it has, or these."""
        path = self.folder / YOLO_FILE
        if not os.path.lexists(path):
            return self._class_names(with_any=False)
        text = read_plain_text(path)
        widest = self._class_names(with_any=True)
        if text == yolo_data(widest):
            return widest
        if text == yolo_data(widest[:-1]):
            return self._class_names(with_any=False)
        raise self._other_classes(YOLO_FILE)

    def _class_names(self, *, with_any: bool) -> list[str]:
        """Names of the classes, with `any` where a nucleus has it or the folder's list does."""
        needed = with_any or any(
            map(
                has_any,
                self.pictures.values(),
            )
        )
        return label_classes(
            next(iter(self.pictures.values())),
            with_any=needed,
        )

    def _other_classes(self, name: str) -> NotWritable:
        return NotWritable(
            self.folder / name,
            "it lists other classes than this bundle's",
            "Choose another --out.",
        )


def _check_yolo_folder(folder: Path) -> None:
    """Refuse folders whose labels YOLO's readers would look for elsewhere.

    Raises:
        BadOption: naming the part of the path.
    """
    parts = real_path(folder).parts
    if _YOLO_FOLDER in parts:
        raise BadOption(
            "--out",
            folder,
            "outside of any folder named images with --labels yolo: YOLO looks for the labels of "
            "images/a.png in labels/a.txt, and not next to it",
        )

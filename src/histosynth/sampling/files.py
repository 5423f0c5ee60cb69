"""Files of `synthesize` and `complete`: inputs to read, and results that may be written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..annotation.class_map import read_class_map
from ..annotation.nuclei_files import read_nuclei
from ..annotation.orientation_lines import OrientationLines
from ..annotation.windows import FileNuclei
from ..core.condition import Condition, Context
from ..core.errors import BadOption, NotWritable
from ..core.file_names import MAX_NAME_BYTES
from ..core.geometry import Box, Size
from ..core.images import IMAGE_SUFFIXES, read_mask, read_rgb
from ..core.nuclei import Nuclei
from ..core.nucleus_shapes import known_shapes
from ..core.number_format import counted
from ..core.pairing import list_files, pair_by_stem
from ..core.paths import real_path
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance
from ..tissue.nucleus_sizes import gets_size
from ..tissue.reference import measure_reference
from .batches import check_condition, check_scale
from .options import SamplingOptions
from .provenance import GLOBAL, condition_adapter, regions_adapter
from .settings import palette_appearance
from .stated_maps import NOTHING_STATED, StatedMaps

WHOLE_PALETTE = "palette"
"""Appearance that stands for all entries of the palette in turn."""
OUTPUT_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class ConditionReader:
    """Reads conditions from files, for one bundle.

    Attributes:
        bundle: whose classes and sizes the conditions must fit.
        mpp: scale of the coordinates, micrometres per pixel.
        class_map: names of classes in the files => the bundle's.
        label: of every condition.
        notes: sentences on what was left out of each file of nuclei, and on a change of scale.
    """

    bundle: Bundle
    mpp: float
    class_map: Mapping[str, str]
    label: str | None
    notes: dict[Path, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle, options: SamplingOptions) -> ConditionReader:
        """The reader for these options.

        Raises:
            BadOption, ScaleMismatch: the scale cannot be used.
            UnknownLabel: the bundle was not trained with the label.
        """
        bundle.label_index(options.label)
        return cls(
            bundle,
            _scale(options, bundle),
            read_class_map(options.classes),
            options.label,
        )

    def whole(
        self,
        nuclei: Path,
        size: Size,
        maps: StatedMaps = NOTHING_STATED,
    ) -> Condition:
        """The condition of a whole tile with the nuclei of a file, and what else is stated."""
        box = Box(0, 0, *size)
        empty = maps.empty(box)
        adapter = condition_adapter(self.bundle, Condition(None, size, empty=empty))
        condition = Condition(
            self._nuclei(nuclei, size, adapter),
            size,
            self.label,
            empty=empty,
            orientation=maps.orientation(box),
        )
        check_condition(condition, self.bundle.info)
        self.note_lines(nuclei, maps.lines, [condition])
        return condition

    def file_nuclei(self, nuclei: Path, *, has_regions: bool = False) -> FileNuclei:
        """All nuclei of a file, from which tiles are cut, some of them with regions."""
        found = FileNuclei(
            nuclei,
            self.mpp,
            self.bundle.info.classes,
            self.class_map,
        )
        self.notes.setdefault(nuclei, []).extend(found.found.notes)
        shapes = found.found.shapes
        if shapes is not None and found.found.has_stated_shapes:
            known = int((shapes[:, 0] > 0).sum())
            of_regions = regions_adapter(self.bundle)
            if has_regions and of_regions != GLOBAL:
                self._note_shapes(nuclei, known, of_regions, " in tiles with regions")
            else:
                self._note_shapes(nuclei, known, GLOBAL)
        return found

    def masked(self, image: Path, mask: Path, nuclei: Path | None) -> Condition:
        """The condition that completes an image; without a file of nuclei it has none."""
        context = Context(read_rgb(image), read_mask(mask))
        height, width = context.pixels.shape[:2]
        size = Size(width, height)
        found = None if nuclei is None else self._nuclei(nuclei, size, "local")
        condition = Condition(
            found,
            size,
            self.label,
            context,
        )
        check_condition(condition, self.bundle.info)
        return condition

    def all_notes(self) -> list[str]:
        """The notes on all files, in the order of reading."""
        return [note for notes in self.notes.values() for note in notes]

    def noted(self, nuclei: Path | None) -> dict[str, Any]:
        """What a picture's recipe records of its file of nuclei; empty where nothing was noted."""
        notes = self.notes.get(nuclei) if nuclei else None
        return {"notes": list(notes)} if notes else {}

    def note_lines(
        self,
        path: Path,
        lines: OrientationLines | None,
        conditions: Sequence[Condition],
    ) -> None:
        """Note lines along fibres that none of the conditions of a file of nuclei follows."""
        if lines is None or not lines.lines:
            return
        follows = False
        for condition in conditions:
            adapter = condition_adapter(self.bundle, condition)
            if not self.bundle.follows_orientation(adapter) or condition.nuclei is None:
                continue
            follows = True
            if gets_size(condition.nuclei, self.bundle.adapters[adapter].sizes).any():
                return
        not_followed = f"{lines.path}: how fibres run is not followed"
        if not follows:
            name = self.bundle.info.name
            self.notes[lines.path] = [f"{not_followed}: {name} was trained without it."]
            return
        own = self.notes.setdefault(path, [])
        own.append(f"{not_followed} by {path}: no size is drawn for any of its nuclei.")

    def _note_shapes(self, path: Path, known: int, adapter: str, where: str = "") -> None:
        """Note sizes that a user states and this bundle does not follow."""
        if not known or self.bundle.follows_shapes(adapter):
            return
        trained = self.bundle.info.name
        if self.bundle.follows_shapes(GLOBAL):
            trained = f"the adapter {adapter} of {trained}"
        self.notes.setdefault(path, []).append(
            f"{path}: the sizes of {counted(known, 'nucleus', 'nuclei')} are not followed"
            f"{where}: {trained} was trained on centroids and classes alone."
        )

    def _nuclei(self, path: Path, size: Size, adapter: str) -> Nuclei:
        found = read_nuclei(
            path,
            size=size,
            mpp=self.mpp,
            classes=self.bundle.info.classes,
            mapping=self.class_map,
            on_note=self.notes.setdefault(path, []).append,
        )
        # outlines come with every export of QuPath; columns are a user's wish
        if path.suffix.lower() == ".csv":
            known = known_shapes(found.shapes_or_unknown())
            self._note_shapes(path, int(known.sum()), adapter)
        return found


def _scale(options: SamplingOptions, bundle: Bundle) -> float:
    """Micrometres per pixel of the coordinates.

    Raises:
        BadOption, ScaleMismatch: it cannot be used.
    """
    mpp = bundle.info.mpp if options.mpp is None else options.mpp
    if not 0 < mpp < 1000:
        raise BadOption(
            "--mpp",
            mpp,
            "micrometres per pixel, above 0 and below 1000",
        )
    check_scale(mpp, bundle.info)
    return mpp


def find_appearances(
    appearance: str | None, files: Sequence[Path], bundle: Bundle
) -> Sequence[Appearance | Path]:
    """Per nuclei file: a picture to measure, or an appearance that is measured already.

    Args:
        appearance: a palette name, `palette` for all of them in turn, a picture, a folder of
            pictures by stem, or None.
        files: the nuclei files.
        bundle: whose palette is meant.

    Raises:
        BadOption: neither a name nor a path that is there.
        NoFiles, BadPairing: a folder does not fit the files.
    """
    palette = {entry.name: entry.appearance for entry in bundle.info.palette}
    if appearance == WHOLE_PALETTE and appearance not in palette:
        in_turn = itertools.cycle(palette.values())
        return [
            entry
            for entry, _ in zip(
                in_turn,
                files,
                strict=False,
            )
        ]
    if appearance is None or appearance in palette:
        return [palette_appearance(appearance, bundle)] * len(files)
    path = Path(appearance)
    if not appearance or not os.path.exists(path):  # an empty path would be the current folder
        palette_appearance(appearance or "empty", bundle)  # refuses, naming the palette
    if os.path.isfile(path):
        return [measure_reference(read_rgb(path), str(path))] * len(files)
    return pair_by_stem(
        files,
        path,
        IMAGE_SUFFIXES,
        "reference picture",
    )


def appearance_pictures(
    appearance: str | None,
    found: Sequence[Appearance | Path],
) -> list[Path | None]:
    """The picture that each appearance of `find_appearances` is measured on; None: the palette."""
    pictures: list[Path | None] = []
    for each in found:
        if isinstance(each, Path):
            pictures.append(each)
        else:
            is_picture = bool(appearance) and os.path.isfile(appearance or "")
            pictures.append(Path(appearance or "") if is_picture else None)
    return pictures


def drawn_appearances(
    appearance: str | None, bundle: Bundle
) -> tuple[list[Appearance], list[Path | None]]:
    """Appearances that drawn layouts take in turn, and the pictures that they are measured on.

    Args:
        appearance: a palette name, `palette` for all of them in turn, a picture, a folder of
            pictures, or None.
        bundle: whose palette is meant.

    Raises:
        BadOption, NoFiles: there is none.
    """
    if appearance and os.path.isdir(appearance):
        paths = list_files(Path(appearance), IMAGE_SUFFIXES)
        return [measure_reference(read_rgb(path), str(path)) for path in paths], list(paths)
    count = len(bundle.info.palette) if appearance == WHOLE_PALETTE else 1
    found = find_appearances(
        appearance,
        [Path("layout")] * count,
        bundle,
    )
    return [read_appearance(each) for each in found], appearance_pictures(appearance, found)


def read_appearance(found: Appearance | Path) -> Appearance:
    """An appearance, measured now if it is a picture."""
    if isinstance(found, Appearance):
        return found
    return measure_reference(read_rgb(found), str(found))


def completion_targets(images: Sequence[Path], requested: Path, out: Path) -> list[Path]:
    """Where each completed image is written.

    Args:
        images: the images found.
        requested: the image or folder that the user named.
        out: a file ending in .png, .tif or .tiff for one image, or a folder.

    Raises:
        BadOption: `out` does not fit, or a result would replace an input.
    """
    is_one_image = os.path.isfile(requested)
    is_picture = out.suffix.lower() in OUTPUT_SUFFIXES
    if is_one_image and is_picture:
        return [out]
    is_folder = os.path.isdir(out)
    if is_one_image and out.suffix and not is_folder:
        raise BadOption(
            "--out",
            out,
            "a folder, or a file ending in .png, .tif or .tiff",
        )
    if is_picture and not is_folder:
        raise BadOption(
            "--out",
            out,
            f"a folder, for {requested} is one",
        )
    return [out / f"{image.stem}.png" for image in images]


def refuse_inputs_as_targets(targets: Sequence[Path], inputs: Iterable[Path], out: Path) -> None:
    """Refuse to replace an input by a result.

    Raises:
        BadOption: naming `out`.
    """
    originals = {real_path(path) for path in inputs}
    if any(real_path(target) in originals for target in targets):
        raise BadOption(
            "--out",
            out,
            "another place than the inputs': a completed tile would replace its original",
        )


def check_name(target: Path) -> None:
    """Refuse a result's name that is too long for a file, before anything is sampled.

    Raises:
        NotWritable: naming the limit.
    """
    length = len(os.fsencode(target.name))
    if length > MAX_NAME_BYTES:
        reason = f"its name has {length} bytes, and {MAX_NAME_BYTES} are the most"
        raise NotWritable(target, reason)

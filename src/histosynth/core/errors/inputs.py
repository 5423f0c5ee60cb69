"""An input cannot be used as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..visible import visible
from .base import HistosynthError, listed

_MAX_PROBLEMS = 30
"""Of a recipe, in its message."""


class InputError(HistosynthError):
    """An input cannot be used as it is."""


class UnreadableImage(InputError):
    """A file is no picture, is cut off, or holds more pixels than the limit."""

    def __init__(
        self,
        path: Path,
        reason: str,
        remedy: str = "",
    ) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} cannot be read as an image: {reason}.",
            remedy or "Open it in a viewer and save it again as an 8-bit RGB PNG or TIFF.",
        )


class ImageTooLarge(UnreadableImage):
    """A picture holds more pixels than are read at once."""

    def __init__(
        self,
        path: Path,
        size: str,
        limit: int,
    ) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            path,
            f"{size} is over the limit of {limit} px",
            "Cut it into smaller pictures; a slide is read as a tiled pyramid.",
        )


class NotRGB(InputError):
    """A picture has another pixel type than 8-bit RGB."""

    def __init__(
        self,
        name: str,
        found: str,
        remedy: str,
    ) -> None:
        self.name = name
        self.found = found
        super().__init__(f"{name} is {found}, not 8-bit RGB.", remedy)


class BadNuclei(InputError):
    """Centroids that cannot be used: outside the tile, not numbers, or too many."""


class UnknownClasses(InputError):
    """Nucleus classes that the bundle was never trained on."""

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        self.unknown = tuple(unknown)
        self.known = tuple(known)
        super().__init__(
            f"Unknown nucleus class: {listed(unknown)}; known are {listed(known, 20)}.",
            'Map yours with --classes map.toml, one line a class such as "Tumor" = '
            '"epithelial"; in a recipe '
            "with the source's map.",
        )


class UnmappedClasses(InputError):
    """Classes of another tool that the user's map does not name."""

    def __init__(
        self,
        what: str,
        unmapped: Sequence[str],
        mapped: Sequence[str],
    ) -> None:
        self.unmapped = tuple(unmapped)
        self.mapped = tuple(mapped)
        super().__init__(
            f"{what} holds {len(unmapped)} class(es) that the map does not name: "
            f"{listed(unmapped, 50)} "
            f"(it names {listed(mapped, 20)}).",
            'Add a line for each, e.g.  "Tumor" = "epithelial".',
        )


class UnknownLabel(InputError):
    """A tile label that the bundle was never trained on."""

    def __init__(self, label: str, known: Sequence[str]) -> None:
        self.label = label
        self.known = tuple(known)
        super().__init__(
            f"Unknown label {label!r}; this bundle knows {listed(known, 20) or 'no labels'}.",
            "Choose one of those, or leave the label out.",
        )


class BadSize(InputError):
    """A tile size that the model cannot generate in one pass."""

    def __init__(
        self,
        width: int,
        height: int,
        least: int,
        most: int,
        multiple: int,
        *,
        hint: str = "",
    ) -> None:
        self.width = width
        self.height = height

        def near(value: int) -> int:
            return min(max(round(value / multiple) * multiple, least), most)

        steps = f"a multiple of {multiple} " if multiple > 1 else ""
        super().__init__(
            f"A tile of {width} x {height} px cannot be painted: each side must be {steps}"
            f"from {least} to {most} px.",
            f"The nearest size that works is {near(width)} x {near(height)} px{hint}.",
        )


class MissingScale(InputError):
    """No micrometres per pixel were given, and the file does not state them in a known form."""

    def __init__(self, name: str, stated: str = "") -> None:
        self.name = name
        self.stated = stated
        problem = f"{name} does not state its scale in micrometres per pixel."
        if stated:
            problem = f"{name} states a scale that is not understood: {stated}."
        super().__init__(
            problem,
            "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed.",
        )


class ConflictingScales(InputError):
    """A file states two scales that differ."""

    def __init__(
        self,
        name: str,
        first: str,
        second: str,
    ) -> None:
        self.name = name
        self.first = first
        self.second = second
        super().__init__(
            f"{name} states two scales that differ by more than 1 %: {first}, and {second}.",
            "Give the right one with --mpp, in micrometres per pixel.",
        )


class BadMask(InputError):
    """A mask that leaves nothing to fill, or nothing known."""


class BadRecipe(InputError):
    """A recipe file with one or more problems; all of them are listed."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
        super().__init__(
            f"{name} has {count}: {'; '.join(self._listed())}.",
            "Correct them and run again; `histosynth recipe schema` lists every key.",
        )

    def _listed(self) -> list[str]:
        shown = list(self.problems[:_MAX_PROBLEMS])
        more = len(self.problems) - len(shown)
        return [*shown, f"and {more:,} more"] if more else shown

    def lines(self) -> list[str]:
        """One problem a line."""
        if len(self.problems) < 2:
            return super().lines()
        heading, words, _ = self.problem.partition(" problems: ")
        below = [f"  {visible(problem)}" for problem in self._listed()]
        return [f"{heading}{words.rstrip()}", *below, self.remedy]


class BadPairing(InputError):
    """Two folders whose files do not pair by stem, or one (`what`) in which some share a stem
    (`twice`).
    """

    def __init__(
        self,
        what: str,
        left: Sequence[str],
        right: Sequence[str],
        *,
        twice: Sequence[str] = (),
    ) -> None:
        self.left = tuple(left)
        self.right = tuple(right)
        self.twice = tuple(twice)
        if twice:
            super().__init__(
                f"{what} holds {len(twice)} files that share a stem with another "
                f"({listed(twice)}), and a stem stands for one of them only.",
                "Rename them, or leave one of each stem.",
            )
            return
        parts = [f"{len(left)} without a {what} ({listed(left)})"] if left else []
        parts += [f"{len(right)} {what}(s) without a partner ({listed(right)})"] if right else []
        super().__init__(
            f"The folders do not pair by file name: {'; '.join(parts)}.",
            "Give both files the same stem, e.g. a.png and a.csv.",
        )


class NoFiles(InputError):
    """A path that names no file to work on."""

    def __init__(
        self,
        path: Path,
        suffixes: Sequence[str],
        reason: str = "",
    ) -> None:
        self.path = path
        self.suffixes = tuple(suffixes)
        if reason:
            there = f"cannot be read ({reason}); wanted files"
        elif os.path.isdir(path):
            there = "holds no file"
        else:
            there = "is not there; wanted a file or folder of files"
        super().__init__(f"{path} {there} ending in {', '.join(suffixes)}.", "Check the path.")


class BadOption(InputError):
    """An option's value is out of its range."""

    def __init__(
        self,
        option: str,
        value: object,
        allowed: str,
    ) -> None:
        self.option = option
        self.value = value
        self.allowed = allowed
        super().__init__(f"{option} is {value}, but must be {allowed}.", "Give another value.")


class BadTileSet(InputError):
    """A folder of Parquet files that is no tile set, or a damaged one."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is no whole tile set: {reason}.", "Make it again with histosynth prepare."
        )


class BadLayouts(InputError):
    """A file of a model of layouts that is none, or a damaged one."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} is no model of layouts: {reason}.",
            "Install the package again, or fit the model again.",
        )


class BadField(InputError):
    """A density map that cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} cannot be used as a density map: {reason}.",
            "Give a map that `histosynth layout field` wrote, or see docs/layouts.md.",
        )


class BadRegions(InputError):
    """Region annotations that cannot be used."""


class BadOrientation(InputError):
    """Lines along fibres that cannot be used."""


class BadTable(InputError):
    """A table of slides, patients or labels that cannot be used."""


class StainNotFound(InputError):
    """Tissue in which the two dyes cannot be distinguished; it is never passed on unchanged."""

    def __init__(
        self,
        name: str,
        reason: str,
        remedy: str = "",
    ) -> None:
        self.name = name
        self.reason = reason
        keep = 'or keep its stain (stain.method = "none" in a recipe, `prepare tiles`)'
        super().__init__(
            f"The stain of {name} cannot be found: {reason}.",
            remedy or f"Leave it out, {keep}.",
        )

"""Everything histosynth refuses, as one tree. The command line catches only the root.

HistosynError
├── InputError           what was handed in cannot be used as it is
│   ├── UnreadableImage      NotRGB
│   ├── BadNuclei            UnknownKinds
│   ├── BadSize              MissingScale       BadHole
│   ├── BadRecipe            BadPairing         UnknownLabel
│   └── BadOption            NoFiles
├── MismatchError        two good things that do not belong together
│   ├── ScaleMismatch        SizeMismatch
│   ├── AdapterMismatch      BundleMismatch     SplitLeak
│   └── ResumeMismatch
└── UnavailableError     this machine or installation cannot do it
    ├── NotWritable          BadWeights
    └── NeedsExtra

Each error keeps its numbers as fields and says two sentences: what is wrong, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def _some(names: Iterable[object], most: int = 6) -> str:
    """The first few names, and how many more there are."""
    items = [str(name) for name in names]
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


class HistosynError(Exception):
    """Root of every refusal. `problem` says what is wrong, `remedy` what to do next."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}")

    def of(self, name: object) -> HistosynError:
        """The same refusal, saying of which file it speaks if it does not yet."""
        if str(name) not in self.problem:
            self.problem = f"{name}: {self.problem}"
            self.args = (f"{self.problem} {self.remedy}",)
        return self


# --- what was handed in ------------------------------------------------------------------------


class InputError(HistosynError):
    """Something handed in cannot be used as it is."""


class UnreadableImage(InputError):
    """A file is no picture, is cut off, or holds more pixels than the limit."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"{path} cannot be read as an image: {reason}.",
            "Open it in a viewer and save it again as an 8-bit RGB PNG or TIFF.",
        )


class NotRGB(InputError):
    """A picture has another pixel type than 8-bit RGB."""

    def __init__(self, name: str, found: str, remedy: str) -> None:
        self.name, self.found = name, found
        super().__init__(f"{name} is {found}, not 8-bit RGB.", remedy)


class BadNuclei(InputError):
    """Centroids that cannot be used: outside the tile, not numbers, or too many."""


class UnknownKinds(InputError):
    """Nucleus classes that the bundle was never trained on."""

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        self.unknown, self.known = tuple(unknown), tuple(known)
        super().__init__(
            f"Unknown nucleus class: {_some(unknown)}; this bundle knows {_some(known, 20)}.",
            'Map yours with --kinds map.toml, one line a class, e.g.  "Tumor" = "epithelial".',
        )


class UnknownLabel(InputError):
    """A tile label that the bundle was never trained on."""

    def __init__(self, label: str, known: Sequence[str]) -> None:
        self.label, self.known = label, tuple(known)
        super().__init__(
            f"Unknown label {label!r}; this bundle knows {_some(known, 20) or 'no labels'}.",
            "Choose one of those, or leave the label out.",
        )


class BadSize(InputError):
    """A tile size that the model cannot paint in one pass."""

    def __init__(self, width: int, height: int, least: int, most: int, multiple: int) -> None:
        self.width, self.height = width, height

        def near(value: int) -> int:
            return min(max(round(value / multiple) * multiple, least), most)

        super().__init__(
            f"A tile of {width} x {height} px cannot be painted: each side must be a multiple of "
            f"{multiple} from {least} to {most} px.",
            f"The nearest size that works is {near(width)} x {near(height)} px.",
        )


class MissingScale(InputError):
    """No micrometres per pixel were given, and the file does not state them."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} does not state its scale in micrometres per pixel.",
            "Give it with --mpp (0.5 is usual for a 20x scan); it is never guessed.",
        )


class BadHole(InputError):
    """A hole mask that leaves nothing to do, or nothing to go by."""


class BadRecipe(InputError):
    """A recipe file with one or more problems; all of them are listed."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name, self.problems = name, tuple(problems)
        listed = "; ".join(problems)
        super().__init__(
            f"{name} has {len(problems)} problem(s): {listed}.",
            "Correct them and run again; docs/recipes.md lists every key.",
        )


class BadPairing(InputError):
    """Two folders whose files do not pair by stem."""

    def __init__(self, what: str, left: Sequence[str], right: Sequence[str]) -> None:
        self.left, self.right = tuple(left), tuple(right)
        parts = [f"{len(left)} without a {what} ({_some(left)})"] if left else []
        parts += [f"{len(right)} {what}(s) without a partner ({_some(right)})"] if right else []
        super().__init__(
            f"The folders do not pair by file name: {'; '.join(parts)}.",
            "Give both files the same stem, e.g. a.png and a.csv.",
        )


class NoFiles(InputError):
    """A path that names no file to work on."""

    def __init__(self, path: Path, suffixes: Sequence[str]) -> None:
        self.path, self.suffixes = path, tuple(suffixes)
        there = "holds no file" if path.is_dir() else "is not there; wanted a file or folder of files"
        super().__init__(f"{path} {there} ending in {', '.join(suffixes)}.", "Check the path.")


class BadOption(InputError):
    """An option's value is out of its range."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        self.option, self.value, self.allowed = option, value, allowed
        super().__init__(f"{option} is {value}, but must be {allowed}.", "Give another value.")


# --- things that do not belong together ---------------------------------------------------------


class MismatchError(HistosynError):
    """Two things are fine alone and do not belong together."""


class ScaleMismatch(MismatchError):
    """A scale too far from the one the bundle was trained at."""

    def __init__(self, got_mpp: float, want_mpp: float, tolerance: float) -> None:
        self.got_mpp, self.want_mpp = got_mpp, want_mpp
        super().__init__(
            f"The scale is {got_mpp:g} um/px, but this bundle paints at {want_mpp:g} um/px "
            f"(within {tolerance:.0%}).",
            f"Resample the tile and its nuclei to {want_mpp:g} um/px, or use another bundle.",
        )


class SizeMismatch(MismatchError):
    """Two arrays of one tile differ in size."""

    def __init__(self, what: str, got: tuple[int, int], want: tuple[int, int]) -> None:
        self.got, self.want = got, want
        super().__init__(
            f"The {what} is {got[0]} x {got[1]} px, but its image is {want[0]} x {want[1]} px.",
            f"Draw the {what} on the same tile, at the same size.",
        )


class AdapterMismatch(MismatchError):
    """An adapter does not fit its base completely; nothing was loaded."""

    def __init__(
        self,
        name: str,
        missing: Sequence[str],
        unexpected: Sequence[str],
        why: str = "",
    ) -> None:
        self.name, self.missing, self.unexpected = (
            name,
            tuple(missing),
            tuple(unexpected),
        )
        parts = [why] if why else []
        parts += [f"{len(missing)} missing ({_some(missing, 3)})"] if missing else []
        parts += [f"{len(unexpected)} unexpected ({_some(unexpected, 3)})"] if unexpected else []
        super().__init__(
            f"Adapter {name!r} does not fit this base: {'; '.join(parts)}.",
            "Use the base it was trained on, or train the adapter again.",
        )


class BundleMismatch(MismatchError):
    """A file of a bundle is not the one its card names."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} does not belong to its bundle: {reason}.", "Get the bundle again.")


class SplitLeak(MismatchError):
    """Patients stand on both sides of a split."""

    def __init__(self, patients: Sequence[str]) -> None:
        self.patients = tuple(patients)
        super().__init__(
            f"{len(patients)} patient(s) stand in training and in validation: {_some(patients)}.",
            "Split by patient, so that each stands on one side only.",
        )


class ResumeMismatch(MismatchError):
    """A run folder holds another recipe than the one given."""

    def __init__(self, run: Path, changed: Sequence[str]) -> None:
        self.run, self.changed = run, tuple(changed)
        super().__init__(
            f"{run} was begun with another recipe (changed: {_some(changed)}).",
            "Use a new --out folder, or the recipe saved in that one.",
        )


# --- what cannot be had here --------------------------------------------------------------------


class UnavailableError(HistosynError):
    """Something that this machine or installation cannot do."""


class NotWritable(UnavailableError):
    """An output place cannot be written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be written: {reason}.", "Choose another --out.")


class BadWeights(UnavailableError):
    """A weights file is missing, cut off or not what it says."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"{path} cannot be loaded as weights: {reason}.",
            "Get the file again and compare its sha256 with the bundle's card.",
        )


class NeedsExtra(UnavailableError):
    """A feature lives in an optional extra that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(
            f"{feature} is not installed.",
            f"Install it: pip install 'histosynth[{extra}]'.",
        )

"""Two valid things do not belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .base import HistosynthError, listed


class MismatchError(HistosynthError):
    """Two valid things do not belong together."""


class ScaleMismatch(MismatchError):
    """A scale too far from the one the bundle was trained at."""

    def __init__(
        self,
        got_mpp: float,
        want_mpp: float,
        tolerance: float,
    ) -> None:
        self.got_mpp = got_mpp
        self.want_mpp = want_mpp
        super().__init__(
            f"The scale is {got_mpp:g} um/px, but this bundle paints at {want_mpp:g} um/px "
            f"(within {tolerance:.0%}).",
            f"Resample the tile and its nuclei to {want_mpp:g} um/px, or use another bundle.",
        )


class FinerThanSlide(MismatchError):
    """Tiles are wanted at a finer scale than their slide was scanned at."""

    def __init__(
        self,
        name: str,
        tile_mpp: float,
        slide_mpp: float,
    ) -> None:
        self.name = name
        self.tile_mpp = tile_mpp
        self.slide_mpp = slide_mpp
        super().__init__(
            f"Tiles of {tile_mpp:g} um/px are finer than {name}, which was scanned at "
            f"{slide_mpp:g} um/px: enlarging adds no detail.",
            f"Set mpp of [tiles] (--tile-mpp) to {slide_mpp:g} or more, or leave the slide out; "
            "if the slide states a wrong scale, give the right one with --mpp.",
        )


class SizeMismatch(MismatchError):
    """Two arrays of one tile differ in size."""

    def __init__(
        self,
        what: str,
        got: tuple[int, int],
        want: tuple[int, int],
    ) -> None:
        self.got = got
        self.want = want
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
        remedy: str = "",
    ) -> None:
        self.name = name
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        parts = [why] if why else []
        parts += [f"{len(missing)} missing ({listed(missing, 3)})"] if missing else []
        parts += [f"{len(unexpected)} unexpected ({listed(unexpected, 3)})"] if unexpected else []
        super().__init__(
            f"Adapter {name!r} does not fit this base: {'; '.join(parts)}.",
            remedy or "Use the base it was trained on, or train the adapter again.",
        )


class BundleMismatch(MismatchError):
    """A file of a bundle is not the one its card names."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} does not belong to its bundle: {reason}.", "Get the bundle again."
        )


class OnnxMismatch(MismatchError):
    """A file of an ONNX export is not the one that its model.json names."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} does not belong to its ONNX export: {reason}.",
            "Export the bundle again, into a new folder: histosynth export onnx.",
        )


class SplitLeak(MismatchError):
    """Patients are in more than one split."""

    def __init__(self, patients: Sequence[str]) -> None:
        self.patients = tuple(patients)
        super().__init__(
            f"{len(patients)} patient(s) stand in more than one split: {listed(patients)}.",
            "Split by patient, so that each stands on one side only.",
        )


class ResumeMismatch(MismatchError):
    """A run folder holds another recipe than the one given."""

    def __init__(self, run: Path, changed: Sequence[str]) -> None:
        self.run = run
        self.changed = tuple(changed)
        super().__init__(
            f"{run} was begun with another recipe (changed: {listed(changed)}).",
            "Use a new --out folder, or the recipe saved in that one.",
        )

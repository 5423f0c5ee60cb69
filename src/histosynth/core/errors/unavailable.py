"""This machine or installation cannot do it."""

from __future__ import annotations

from pathlib import Path

from ..number_format import counted
from .base import HistosynthError


class UnavailableError(HistosynthError):
    """This machine or installation cannot do it."""


class NotWritable(UnavailableError):
    """An output path cannot be written."""

    def __init__(
        self,
        path: Path,
        reason: str,
        remedy: str = "",
    ) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} cannot be written: {reason}.",
            remedy or "Choose another --out.",
        )


class FolderInUse(NotWritable):
    """Another run writes to a folder, or the same file in it."""

    def __init__(
        self,
        path: Path,
        owner: str = "",
        activity: str = "works in it",
    ) -> None:
        self.owner = owner
        run = f"another run ({owner})" if owner else "another run"
        super().__init__(
            path,
            f"{run} {activity}",
            "Wait until it ends and run again, or choose another --out.",
        )


class BadWeights(UnavailableError):
    """A weights file is missing, cut off or of other content."""

    def __init__(
        self,
        path: Path,
        reason: str,
        remedy: str = "",
    ) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} cannot be loaded as weights: {reason}.",
            remedy or "Get the file again and compare its sha256 with the bundle's card.",
        )


class NeedsExtra(UnavailableError):
    """A feature needs an optional extra that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(
            f"{feature} is not installed.",
            f"Install it: pip install 'histosynth[{extra}]'.",
        )


class TooLittleMemory(UnavailableError):
    """A GPU cannot hold what is computed at a time.

    Attributes:
        total: bytes of the GPU.
        free: bytes of them that nothing else holds.
    """

    def __init__(
        self,
        what: str,
        *,
        total: int,
        free: int,
        remedy: str,
    ) -> None:
        self.what = what
        self.total = total
        self.free = free
        super().__init__(
            f"The GPU has {_in_gib(total)} GiB of memory, and {_in_gib(free)} GiB of them are "
            f"free: too little for {what}.",
            remedy,
        )


def _in_gib(count: int) -> str:
    """Bytes as GiB, to a tenth."""
    return f"{count / 2**30:.1f}"


class WorkerLost(UnavailableError):
    """Worker processes, or the nodes that hold them, were lost and not replaced."""

    def __init__(
        self,
        what_happened: str,
        left: int,
        first_step: str = "",
    ) -> None:
        self.left = left
        steps = f"{first_step} " if first_step else ""
        are = "is" if left == 1 else "are"
        super().__init__(
            f"{what_happened}; {counted(left, 'piece')} of work {are} left.",
            f"{steps}Give the workers more memory or use fewer --workers, and run again: "
            "what is done is kept.",
        )


class FetchFailed(UnavailableError):
    """A download failed."""

    def __init__(
        self,
        what: str,
        reason: str,
        remedy: str = "",
    ) -> None:
        self.what = what
        self.reason = reason
        super().__init__(
            f"{what} cannot be fetched: {reason}.",
            remedy or "Run it again: what came is kept, and it goes on from there.",
        )


class Diverged(UnavailableError):
    """Training reached numbers that are not finite; nothing of that step was kept."""

    def __init__(
        self,
        step: int,
        what: str,
        value: float,
    ) -> None:
        self.step = step
        self.what = what
        self.value = value
        super().__init__(
            f"Training diverged at step {step}: its {what} is {value}; what was saved before "
            "stays.",
            "Lower loop.learning_rate or raise loop.warmup, and begin again with a new --out.",
        )


class BadRun(UnavailableError):
    """A run folder cannot be resumed."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path} cannot be gone on from: {reason}.",
            "Put the file back as it was, or begin again with a new --out.",
        )


class MissingParts(UnavailableError):
    """Parts of a slide are missing, damaged or of another slide."""

    def __init__(
        self,
        folder: Path,
        count: int,
        first: str,
    ) -> None:
        self.folder = folder
        self.count = count
        self.first = first
        are = "is" if count == 1 else "are"
        super().__init__(
            f"{counted(count, 'block')} of the slide in {folder} {are} missing or damaged, the "
            f"first at {first}.",
            "Run it again: these blocks are made anew, and the others are kept.",
        )

"""Locks of folders for results: two runs do not write the same files.

A verb that writes a folder of its own holds it alone (`own_folder`). One that writes files next to
those of other runs shares it (`share_folder`) and holds the names of its files. Locks work on all
nodes that share a folder, if its file system can lock, and end with their process. Where it cannot,
other runs cannot be noticed.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from .errors import FolderInUse, NotWritable
from .file_locks import Lock, is_open_file, try_lock, wait_for_lock
from .links import held
from .paths import real_path
from .plain_files import open_plain
from .progress import ProgressCallback
from .stopping import Stopped, raise_if_stopped
from .store import ensure_folder
from .temporary import PREFIX, remove_abandoned, temporary_file

LOCK_FILE = ".histosynth-lock"
GO_ON = "Run the same command again to go on."
INDEX_LOCK_FILE = ".histosynth-index-lock"
_CLAIM = ".claim"
"""Suffix of a temporary file that lists the names a run writes."""
_MAX_OWNER_BYTES = 1000
_TRIES = 5
_PAUSE_S = 0.05
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass
class FolderRun:
    """One run in a folder.

    Attributes:
        folder: of the results.
        done: how far the run is, for the message if it is stopped.
        remedy: the next step then.
    """

    folder: Path
    done: str = ""
    remedy: str = "Run the same command again to finish."

    def count(
        self,
        done: int,
        total: int,
        what: str,
    ) -> None:
        """State how far the run is; another run goes on from there.

        Args:
            done: so many are done.
            total: of so many.
            what: words between numbers and folder, e.g. "pictures are written to".

        Raises:
            Stopped: a signal came before, and was swallowed on its way.
        """
        self.done = f"{done:,} of {total:,} {what} {self.folder}"
        self.remedy = GO_ON
        raise_if_stopped()

    def counting(
        self,
        on_progress: ProgressCallback | None,
        what: str,
    ) -> ProgressCallback:
        """A callback that counts, and then calls another one; see `count`."""

        def count_and_report(done: int, total: int) -> None:
            self.count(done, total, what)
            if on_progress:
                on_progress(done, total)

        return count_and_report


_held: dict[tuple[int, Path], FolderRun] = {}
"""Folders that a thread owns: what it calls may own them once more."""


@contextmanager
def own_folder(folder: Path) -> Iterator[FolderRun]:
    """Hold a folder alone for one run, and remove what killed runs and workers left in it.

    What is called in the block may own the same folder again.

    Args:
        folder: is created where it is not there, and removed where the block fails and it is empty.

    Raises:
        FolderInUse: another run works in it.
        NotWritable: it cannot be created or written.
    """
    key = (threading.get_ident(), real_path(folder))
    if key in _held:
        yield _held[key]
        return
    with held([folder]), _created(folder), _locked(folder, shared=False):
        _clean(folder)
        run = FolderRun(folder)
        _held[key] = run
        try:
            with _stating(run):
                yield run
        finally:
            del _held[key]
            _clean(folder)  # of workers on other nodes that were lost


def in_own_folder(verb: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A function that writes to its argument `out`, in a folder that it owns."""
    signature = inspect.signature(verb)

    @functools.wraps(verb)
    def owning(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        out = signature.bind(*args, **options).arguments["out"]
        with own_folder(out):
            return verb(*args, **options)

    return owning


@contextmanager
def _created(folder: Path) -> Iterator[None]:
    """Create a folder; where the block fails, folders that are new and empty are removed again."""
    new = []
    path = folder
    while not os.path.lexists(path):
        new.append(path)
        path = path.parent
    ensure_folder(folder)
    try:
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):  # another run may use it by now
                path.rmdir()
        raise


def _clean(folder: Path) -> None:
    """Remove leftovers of killed runs in a folder and the folders in it."""
    remove_abandoned(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_abandoned(Path(entry.path))


@contextmanager
def share_folder(folder: Path, names: Collection[str]) -> Iterator[FolderRun]:
    """Hold files of a folder for one run, next to other runs that write other files.

    Args:
        folder: is created where it is not there, and removed where the block fails and it is empty.
        names: of the files that the run writes.

    Raises:
        FolderInUse: another run writes one of them, or owns the folder.
        NotWritable: it cannot be created or written.
    """
    with ExitStack() as stack:
        stack.enter_context(held([folder]))
        stack.enter_context(_created(folder))
        stack.enter_context(_locked(folder, shared=True))
        remove_abandoned(folder)
        with index_lock(folder):
            _refuse_claimed(folder, names)
            stack.enter_context(_claimed(folder, names))
        run = FolderRun(folder)
        stack.enter_context(_stating(run))
        yield run


@contextmanager
def index_lock(folder: Path) -> Iterator[None]:
    """Hold what runs of one folder write together, such as a list of all pictures; waits for it.

    Raises:
        NotWritable: the folder takes no lock file.
    """
    path = folder / INDEX_LOCK_FILE
    while True:
        handle = _open(path)
        wait_for_lock(handle)
        if is_open_file(handle, path):
            break
        os.close(handle)  # the run that held it removed it
    try:
        yield
    finally:
        _release(handle, path)


@contextmanager
def _stating(run: FolderRun) -> Iterator[None]:
    """Add to a stop how far the run is."""
    try:
        yield
    except Stopped as stop:
        done = run.done or f"nothing in {run.folder} is half-written"
        stop.state(done, run.remedy)
        raise


@contextmanager
def _locked(folder: Path, *, shared: bool) -> Iterator[None]:
    path = folder / LOCK_FILE
    handle = _open_lock_file(path, shared=shared)
    try:
        _write_owner(handle, "" if shared else _this_process())
        yield
    finally:
        _release(handle, path)


def _open_lock_file(path: Path, *, shared: bool) -> int:
    """Open and lock a lock file. Others remove it when they end, and hold it for a moment then."""
    for _ in range(_TRIES):
        handle = _open(path)
        state = try_lock(handle, shared=shared)
        if state is not Lock.TAKEN and is_open_file(handle, path):
            return handle
        owner = _read_owner(handle)
        os.close(handle)
        if state is Lock.TAKEN:
            time.sleep(_PAUSE_S)
    raise FolderInUse(path.parent, owner)


def _open(path: Path) -> int:
    """Open a lock file, never what a link leads to. One of another user is opened for reading."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
        except PermissionError:
            return os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        raise NotWritable(path, error.strerror or str(error)) from error


def _release(handle: int, path: Path) -> None:
    """Remove a lock file that nobody else holds, and release it."""
    try:
        if try_lock(handle) is Lock.HELD and is_open_file(handle, path):
            with suppress(OSError):  # Windows does not remove open files
                path.unlink()
    finally:
        os.close(handle)


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _write_owner(handle: int, owner: str) -> None:
    """Write who holds the lock, for the message to others."""
    with suppress(OSError):  # the disk may be full, or the file another user's
        if os.fstat(handle).st_nlink == 1:  # it is no second name of another file
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, owner.encode())


def _read_owner(handle: int) -> str:
    """Who holds the lock; "" where that is not known."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        text = os.read(handle, _MAX_OWNER_BYTES).decode("ascii", "replace")
    except OSError:
        return ""
    return text if text.isprintable() else ""


@contextmanager
def _claimed(folder: Path, names: Collection[str]) -> Iterator[None]:
    """List the names that this run writes, in a file that is locked as long as the run lasts."""
    claim = {"owner": _this_process(), "names": sorted(names)}
    with ExitStack() as stack:
        try:
            path = stack.enter_context(temporary_file(folder, _CLAIM))
            path.write_text(json.dumps(claim), encoding="utf-8")
            path.chmod(0o644)  # other users of the folder read it too
        except OSError as error:
            raise NotWritable(folder, error.strerror or str(error)) from error
        yield


def _refuse_claimed(folder: Path, names: Collection[str]) -> None:
    """Refuse names that another living run writes.

    Raises:
        FolderInUse: naming one of them.
    """
    for path in folder.glob(f"{PREFIX}*{_CLAIM}"):
        for is_last in (False, True):  # who removes an abandoned one holds it for a moment
            claim = _read_claim(path)
            both = sorted(set(names).intersection(claim.get("names", ())))
            if not both:
                break
            if is_last:
                raise FolderInUse(folder / both[0], str(claim.get("owner", "")), "writes it")
            time.sleep(_PAUSE_S)


def _read_claim(path: Path) -> dict[str, Any]:
    """What a living run claims; empty where its process is dead or cannot be noticed."""
    try:
        with open_plain(path, follow_links=False) as file:
            if try_lock(file.fileno(), shared=True) is not Lock.TAKEN:
                return {}
            claim = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return claim if isinstance(claim, dict) else {}

"""Bundles in one piece: packed as a zip file or a folder, and unpacked, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..core.errors import BundleMismatch, InputError, NotWritable
from ..core.file_names import name_key, path_problem
from ..core.folder_lock import share_folder
from ..core.paths import real_path
from ..core.plain_files import open_plain
from ..core.store import atomic_write
from ..core.temporary import temporary_folder
from .card_files import count_parameters, read_text, rewrite_card
from .info import BundleInfo, read_info, verified

_SUFFIXES = (".json", ".md", ".safetensors", ".txt")
"""All that a bundle holds: numbers and text, nothing that runs."""
_MAX_ARCHIVE_FILES = 1000
_MAX_ARCHIVE_BYTES = 64 << 30
_IS_LINK = "it is a link"
Contents = dict[str, Path | bytes]
"""Files by name in the bundle: their path, or their bytes."""


def bundle_contents(folder: Path, measured: Path | None = None) -> Contents:
    """The files of a bundle to publish: hashes verified, `bundle.json` and the card rewritten in
    memory.

    Hidden files are no part of a bundle. The folder itself is not changed.

    Args:
        folder: the bundle.
        measured: Markdown of what was measured, for the card; None: what its card has now.

    Raises:
        BundleMismatch: a file is missing or differs from what `bundle.json` states.
        InputError: a file in it is no json, safetensors, Markdown or text.
        BadWeights: a weights file cannot be read.
    """
    info = _without_folders(verified(folder, read_info(folder)))
    contents: Contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_plain_folder = path.is_dir() and not path.is_symlink()
        if _is_hidden(name) or is_plain_folder:
            continue
        problem = path_problem(name.as_posix())
        reason = problem or _refusal(path)
        if reason:
            raise InputError(
                f"{path} cannot be given away: {reason}.",
                "Take it out of the folder.",
            )
        contents[name.as_posix()] = path
    text = read_text(measured) if measured else ""
    contents["README.md"] = rewrite_card(folder, info, text).encode()
    contents["bundle.json"] = _rewrite_info(folder, info)
    return dict(sorted(contents.items()))


def _without_folders(info: BundleInfo) -> BundleInfo:
    """The same without the folders of this machine."""
    if info.base is None:
        return info
    return replace(info, base=info.base.without_folders())


def _rewrite_info(folder: Path, info: BundleInfo) -> bytes:
    """`bundle.json` with all hashes; keys that it does not have are not added."""
    values = json.loads(read_text(folder / "bundle.json"))
    values["hashes"] = info.hashes
    if info.base is not None:
        values["base"] = asdict(info.base)
    text = json.dumps(values, indent=2, sort_keys=True)
    return f"{text}\n".encode()


def pack(
    folder: Path,
    out: Path,
    *,
    measured: Path | None = None,
) -> dict[str, Any]:
    """Write a bundle as one zip file (the same bundle, the same bytes) or as a folder, whole or not
    at all.

    Raises:
        NotWritable: `out` exists already, or is inside the bundle.
        HistosynthError: see `bundle_contents`.
    """
    if real_path(out).is_relative_to(real_path(folder)):
        raise NotWritable(out, "it lies in the bundle itself")
    if out.suffix == ".zip":
        refuse_existing(out)
    contents = bundle_contents(folder, measured)
    with share_folder(out.parent, [out.name]):
        if out.suffix == ".zip":
            refuse_existing(out)
            _write_zip(contents, out)
        else:
            with new_folder(out) as folder:
                write_contents(contents, folder)
    return packing_summary(contents, out=str(out))


def write_contents(contents: Contents, folder: Path) -> None:
    """Write files into a folder that is ours."""
    for name, source in contents.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as sink:
            _copy(source, sink)


def _write_zip(contents: Contents, out: Path) -> None:
    with (
        atomic_write(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, source in contents.items():
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01, whenever it is packed
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = _size_bytes(source)
            with archive.open(entry, "w") as sink:
                _copy(source, sink)


def unpack(archive: Path, out: Path) -> dict[str, Any]:
    """Unpack a bundle that `pack` wrote into a new folder, verified, whole or not at all.

    Raises:
        BundleMismatch: it is no such file, holds names outside the folder, links, compressed files
            or too much, or its hashes do not hold.
        NotWritable: `out` exists already.
    """
    out = real_path(out)
    try:
        with (
            open_plain(archive) as file,
            zipfile.ZipFile(file) as opened,
            share_folder(out.parent, [out.name]),
            new_folder(out) as folder,
        ):
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check_entries(archive, entries)
            for entry in entries:
                _extract(opened, entry, folder)
            info = _read_unpacked(archive, folder)
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise BundleMismatch(archive, f"it is no whole zip file ({error})") from error
    return {
        "out": str(out),
        "name": info.name,
        "files": len(entries),
    }


def _extract(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    folder: Path,
) -> None:
    target = folder / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink)


def _read_unpacked(archive: Path, folder: Path) -> BundleInfo:
    """The verified `bundle.json`; errors name the archive, not the temporary folder."""
    try:
        return verified(folder, read_info(folder))
    except BundleMismatch as error:
        path = archive / error.path.relative_to(folder)
        raise BundleMismatch(path, error.reason) from error


def _refusal(path: Path) -> str:
    """Why a file is not published; empty if it is."""
    if path.is_symlink():
        return _IS_LINK
    if not path.is_file():
        return "it is no file"
    if path.suffix not in _SUFFIXES:
        return f"only files ending in {', '.join(_SUFFIXES)} are"
    if path.suffix == ".safetensors":
        count_parameters(path)
        return ""
    try:
        text = read_text(path)
        if path.suffix == ".json":
            json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is no {path.suffix[1:]} ({error})"
    return ""


def _check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse what `pack` does not write, before anything is written.

    Raises:
        BundleMismatch: naming the first.
    """
    size = sum(entry.file_size for entry in entries)
    max_bytes = min(_MAX_ARCHIVE_BYTES, archive.stat().st_size)
    if len(entries) > _MAX_ARCHIVE_FILES or size > max_bytes:
        limit = (
            f"{_MAX_ARCHIVE_FILES} files and {_MAX_ARCHIVE_BYTES:,} bytes are the most, and no "
            "more than its own size"
        )
        raise BundleMismatch(archive, f"it holds {len(entries)} files of {size:,} bytes; {limit}")
    names = set[str]()
    for entry in entries:
        problem = _entry_problem(entry)
        name = name_key(entry.filename)
        if not problem and name in names:
            problem = "its name is there twice"
        if problem:
            raise BundleMismatch(archive, f"of {entry.filename!r:.200}, {problem}")
        names.add(name)


def _entry_problem(entry: zipfile.ZipInfo) -> str:
    """Why an entry is not one of `pack`; empty if it is."""
    problem = path_problem(entry.filename)
    if problem:
        return f"its name leads elsewhere, or is no name on every system: {problem}"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return _IS_LINK
    if PurePosixPath(entry.filename).suffix not in _SUFFIXES:
        return f"only files ending in {', '.join(_SUFFIXES)} are in a bundle"
    is_encrypted = bool(entry.flag_bits & 1)
    if entry.compress_type != zipfile.ZIP_STORED or is_encrypted:
        return "it is compressed or encrypted, which histosynth never does"
    return ""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder to fill, which is moved to `out` only if the block succeeds.

    Raises:
        NotWritable: `out` exists already, or cannot be written.
    """
    out = real_path(out)
    is_empty_folder = out.is_dir() and not any(out.iterdir())
    if not is_empty_folder:
        refuse_existing(out)
    with temporary_folder(out.parent) as temporary:
        folder = temporary / out.name
        folder.mkdir()
        try:
            yield folder
            folder.replace(out)
        except OSError as error:
            raise NotWritable(out, error.strerror or str(error)) from error


def refuse_existing(out: Path) -> None:
    """Refuse to write to a path that exists.

    Raises:
        NotWritable: it does.
    """
    if os.path.lexists(out):
        raise NotWritable(out, "something is there already")


def _size_bytes(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _copy(source: Path | bytes, sink: IO[bytes]) -> None:
    if isinstance(source, bytes):
        sink.write(source)
        return
    with open_plain(source) as opened:
        shutil.copyfileobj(opened, sink)


def packing_summary(contents: Contents, **facts: Any) -> dict[str, Any]:
    """The result: those facts, the bytes of each file, and all bytes together."""
    sizes = {name: _size_bytes(source) for name, source in contents.items()}
    return {
        **facts,
        "files": sizes,
        "bytes": sum(sizes.values()),
    }


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def total_bytes(path: Path) -> int:
    """Of a file, or of all files below a folder without hidden ones."""
    if path.is_file():
        return path.stat().st_size
    files = [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files if not _is_hidden(file.relative_to(path)))

"""Bundles in one piece: packed as a zip file or a folder, and unpacked, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..core.errors import BundleMismatch, InputError, NotWritable
from ..core.store import atomic_write, ensure_folder
from .card_files import parameters, read_text, write_anew
from .info import BundleInfo, read_info, verified

SUFFIXES = (".json", ".md", ".safetensors", ".txt")
"""All that a bundle holds: numbers and text, nothing that runs."""
MOST_FILES = 1000
MOST_BYTES = 64 << 30
_LINK = "it is a link"
Contents = dict[str, Path | bytes]
"""Files by name in the bundle: where they lie, or what is in them."""


def anonymous(info: BundleInfo) -> BundleInfo:
    """The same without the folders in which its base lies here: their last name is all that is
    told.
    """
    if info.base is None:
        return info
    base = info.base
    source = Path(base.source).name if Path(base.source).is_absolute() else base.source
    config = Path(base.config).name if base.config else ""
    return replace(info, base=replace(base, source=source, config=config))


def contents(folder: Path, measured: Path | None = None) -> Contents:
    """What of a bundle is given away: hashes verified, `bundle.json` and the card written anew, in
    memory.

    Hidden files are no part of a bundle. The folder itself is not touched.

    Args:
        folder: the bundle.
        measured: Markdown of what was measured, for the card; None: what its card says now.

    Raises:
        BundleMismatch: a file is missing or another one than `bundle.json` says.
        InputError: something in it is no json, safetensors, Markdown or text.
        BadWeights: a weights file cannot be read.
    """
    info = anonymous(verified(folder, read_info(folder)))
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if _hidden(name) or (path.is_dir() and not path.is_symlink()):
            continue
        if why := _refused(path):
            raise InputError(f"{path} cannot be given away: {why}.", "Take it out of the folder.")
        found[name.as_posix()] = path
    text = read_text(measured) if measured else ""
    found["README.md"] = write_anew(folder, info, text).encode()
    told = {**json.loads(read_text(folder / "bundle.json")), "hashes": info.hashes}
    if info.base is not None:
        told["base"] = asdict(info.base)
    found["bundle.json"] = (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()
    return dict(sorted(found.items()))


def pack(folder: Path, out: Path, *, measured: Path | None = None) -> dict[str, Any]:
    """Write a bundle as one zip file (the same bundle, the same bytes) or as a folder, whole or not
    at all.

    Raises:
        NotWritable: `out` is there already, or lies in the bundle.
        HistosynError: see `contents`.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise NotWritable(out, "it lies in the bundle itself")
    if out.suffix != ".zip":
        files = contents(folder, measured)
        with _new_folder(out) as place:
            for name, source in files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                with (place / name).open("wb") as sink:
                    _copy(source, sink)
        return told_of(files, out=str(out))
    keep(out)
    files = contents(folder, measured)
    with (
        atomic_write(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, source in files.items():
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01, whenever it is packed
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = _length(source)
            with archive.open(entry, "w") as sink:
                _copy(source, sink)
    return told_of(files, out=str(out))


def unpack(archive: Path, out: Path) -> dict[str, Any]:
    """Unpack a bundle that `pack` wrote into a new folder, verified, whole or not at all.

    Raises:
        BundleMismatch: it is no such file, holds names that lead elsewhere, links, compressed files
            or too much, or its hashes do not hold.
        NotWritable: `out` is there already.
    """
    try:
        with zipfile.ZipFile(archive) as opened, _new_folder(out) as place:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check_entries(archive, entries)
            for entry in entries:
                target = place / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink)
            try:
                info = verified(place, read_info(place))
            except BundleMismatch as error:
                raise BundleMismatch(
                    archive / error.path.relative_to(place), error.reason
                ) from error
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise BundleMismatch(archive, f"it is no whole zip file ({error})") from error
    return {
        "out": str(out),
        "name": info.name,
        "files": len(entries),
    }


def _refused(path: Path) -> str:
    """Why a file is not given away; empty if it is."""
    if path.is_symlink() or not path.is_file():
        return _LINK if path.is_symlink() else "it is no file"
    if path.suffix not in SUFFIXES:
        return f"only files ending in {', '.join(SUFFIXES)} are"
    if path.suffix == ".safetensors":
        parameters(path)
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
    seen = set[str]()
    if len(entries) > MOST_FILES or size > min(MOST_BYTES, archive.stat().st_size):
        most = (
            f"{MOST_FILES} files and {MOST_BYTES:,} bytes are the most, and no more than "
            "its own size"
        )
        raise BundleMismatch(archive, f"it holds {len(entries)} files of {size:,} bytes; {most}")
    for entry in entries:
        name = PurePosixPath(entry.filename)
        checks = {
            "its name leads elsewhere": not (
                re.search(r'[\\:*?"<>|\x00-\x1f]', entry.filename)
                or name.is_absolute()
                or any(part.startswith(".") for part in name.parts)
                or str(name) != entry.filename
            ),
            _LINK: not stat.S_ISLNK(entry.external_attr >> 16),
            f"only files ending in {', '.join(SUFFIXES)} are in a bundle": name.suffix in SUFFIXES,
            "it is compressed or encrypted, which histosynth never does": (
                entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
            ),
            "its name is there twice": entry.filename.casefold() not in seen,
        }
        if wrong := [what for what, holds in checks.items() if not holds]:
            raise BundleMismatch(archive, f"of {entry.filename!r}, {wrong[0]}")
        seen.add(entry.filename.casefold())


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place only if the block succeeds.

    Raises:
        NotWritable: something is there already, or the place cannot be written.
    """
    out = out.resolve()
    if not (out.is_dir() and not any(out.iterdir())):
        keep(out)
    ensure_folder(out.parent)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        place = Path(temporary) / out.name
        place.mkdir()
        try:
            yield place
            place.replace(out)
        except OSError as error:
            raise NotWritable(out, error.strerror or str(error)) from error


def keep(out: Path) -> None:
    """Refuse to write where something is.

    Raises:
        NotWritable: it is.
    """
    if os.path.lexists(out):
        raise NotWritable(out, "something is there already")


def _length(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _copy(source: Path | bytes, sink: IO[bytes]) -> None:
    if isinstance(source, bytes):
        sink.write(source)
        return
    with source.open("rb") as opened:
        shutil.copyfileobj(opened, sink)


def told_of(files: Contents, **facts: Any) -> dict[str, Any]:
    """The result: those facts, each file with its bytes, and all bytes together."""
    lengths = {name: _length(source) for name, source in files.items()}
    return {
        **facts,
        "files": lengths,
        "bytes": sum(lengths.values()),
    }


def _hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def bytes_of(place: Path) -> int:
    """Of a file, or of all files below a folder but hidden ones."""
    if place.is_file():
        return place.stat().st_size
    files = (path for path in place.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if not _hidden(path.relative_to(place)))

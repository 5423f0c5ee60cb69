"""A slide from its pieces of work: on any engine, in any order, continued after any stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadRun, NotWritable, ResumeMismatch
from ..core.folder_lock import own_folder, share_folder
from ..core.plain_files import read_plain_text
from ..core.progress import ProgressCallback, ignore_progress
from ..core.store import remove_file, remove_folder, write_json
from ..engine import Engine
from ..model.autoencoder import FACTOR
from ..slides.slide import NotThisReader
from ..slides.writing import (
    BytesNeeded,
    SlideDescription,
    check_space,
    finish_slide,
    needed_bytes,
    read_slide_recipe,
)
from .kept_features import MOST_BYTES_A_CELL
from .lattice import WINDOW_CELLS
from .opened import open_scene
from .pieces import Painting, remaining_readers
from .work_list import PaintPiece, list_work

PARTS_SUFFIX = ".parts"
_RECIPE_FILE = "painting.json"
_ROWS_IN_WORK = 3
_BYTES_A_CELL = MOST_BYTES_A_CELL + 128
"""Of features and latents of a window."""
_FEW_ITEMS = 8
"""Fewer pieces of work are done in this process: others would take longer to begin."""


@dataclass(frozen=True)
class PaintedSlide:
    """The result of a run.

    Attributes:
        path: of the slide.
        was_there: an earlier run had finished it.
        pieces: pieces of work that this run did.
    """

    path: Path
    was_there: bool
    pieces: int


@dataclass(frozen=True)
class PaintProgress:
    """Callbacks for pieces of work painted, and for blocks written."""

    painted: ProgressCallback = ignore_progress
    written: ProgressCallback = ignore_progress


def parts_folder(out: Path) -> Path:
    """The folder of the parts of a slide: beside it, and removed when it is finished."""
    return out.with_name(out.name + PARTS_SUFFIX)


def paint_slide(
    painting: Painting,
    out: Path,
    description: SlideDescription,
    *,
    engine: Engine,
    progress: PaintProgress | None = None,
) -> PaintedSlide:
    """Paint a slide, continuing where an earlier run stopped.

    Args:
        painting: what to paint; its parts lie in `parts_folder(out)`.
        out: the slide, see `finish_slide`.
        description: what it states of itself.
        engine: where the work is done.
        progress: callbacks.

    Raises:
        NotWritable: `out` holds something else, cannot be written, or there is no room.
        ResumeMismatch: an earlier run began to paint something else there.
        WorkerLost: workers died again and again.
    """
    progress = progress or PaintProgress()
    with share_folder(out.parent, [out.name]):
        if _is_there(out, description):
            return PaintedSlide(
                out,
                True,
                0,
            )
        check_space(
            out,
            painting.folder,
            _needed_bytes(painting),
        )
        with own_folder(painting.folder) as work:
            _remember(painting)
            done = _paint(
                painting,
                engine,
                work.counting(progress.painted, "pieces of work are done for"),
            )
            finish_slide(
                out,
                painting.parts,
                description,
                run=_with_engine(engine),
                on_progress=progress.written,
            )
        remove_folder(painting.folder)
    return PaintedSlide(
        out,
        False,
        done,
    )


def _needed_bytes(painting: Painting) -> BytesNeeded:
    """Of the file and its parts, and of the latents and features that wait for others."""
    needed = needed_bytes(
        painting.parts.pyramid,
        painting.parts.encoding,
    )
    cells = _ROWS_IN_WORK * WINDOW_CELLS * (painting.area.box.width // FACTOR + WINDOW_CELLS)
    return needed._replace(parts=needed.parts + cells * _BYTES_A_CELL)


def _is_there(out: Path, description: SlideDescription) -> bool:
    """Whether the slide is there already.

    Raises:
        NotWritable: another file is.
    """
    if not out.exists():
        return False
    found = _recipe_in(out)
    if found is not None and found == json.loads(json.dumps(dict(description.recipe))):
        return True
    raise NotWritable(
        out,
        "it is there, and is not what these options give",
        "Remove it, or choose another --out.",
    )


def _recipe_in(path: Path) -> dict[str, Any] | None:
    """The recipe of a slide that histosynth wrote; None: it is something else."""
    if not path.is_file() and not path.is_dir():
        return None
    try:
        return read_slide_recipe(path)
    except NotThisReader:
        return None


def _remember(painting: Painting) -> None:
    """Note what is painted in the folder of its parts.

    Raises:
        ResumeMismatch, BadRun: the folder holds parts of something else.
    """
    path = painting.folder / _RECIPE_FILE
    wanted = _remembered(painting)
    if not path.exists():
        _refuse_other_files(painting.folder)
        write_json(path, wanted)
        return
    try:
        found = json.loads(read_plain_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise BadRun(painting.folder, f"its {_RECIPE_FILE} cannot be read") from error
    if found == wanted:
        return
    changed = _changed(found, wanted)
    raise ResumeMismatch(painting.folder, changed or ["its contents"])


def _refuse_other_files(folder: Path) -> None:
    """Refuse a folder that holds files of others: it is removed when the slide is finished.

    Raises:
        NotWritable: naming one.
    """
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise NotWritable(
            folder,
            f"parts of a slide would lie there, but it holds {others[0]}",
            "Move it elsewhere, or choose another --out.",
        )


def _remembered(painting: Painting) -> dict[str, Any]:
    box = painting.area.box
    values = {
        "key": painting.scene.key,
        "recipe": painting.scene.recipe,
        "region": [box.x, box.y, box.width, box.height],
        "encoding": asdict(painting.parts.encoding),
        "parts": painting.parts.identity.hex(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _changed(found: Any, wanted: dict[str, Any]) -> list[str]:
    """Names of what differs, the most telling ones."""
    if not isinstance(found, dict):
        return []
    recipe = found.get("recipe")
    names = []
    if isinstance(recipe, dict):
        every = {**recipe, **wanted["recipe"]}
        names = [name for name in every if recipe.get(name) != wanted["recipe"].get(name)]
    names += [name for name in ("region", "encoding") if found.get(name) != wanted[name]]
    return sorted(names)


def _paint(
    painting: Painting,
    engine: Engine,
    on_progress: ProgressCallback,
) -> int:
    """Do what is missing; the number of pieces."""
    work = list_work(
        open_scene(painting.scene).lattice,
        painting.area,
        painting.phases,
        painting.finished(),
        painting.slide,
    )
    readers = remaining_readers(work)
    total = len(work.pieces)
    on_progress(0, total)
    finished = engine.map(
        painting.do,
        work.pieces,
        after=work.after,
    )
    for done, (index, _) in enumerate(finished, 1):
        on_progress(done, total)
        for earlier in work.after[index]:
            readers[earlier] -= 1
            if not readers[earlier]:
                _remove(painting, work.pieces[earlier])
    return total


def _remove(painting: Painting, piece: PaintPiece) -> None:
    """Remove what no other piece will read."""
    path = painting.file_of(piece)
    if path is not None:
        remove_file(path)


def _with_engine(engine: Engine) -> Callable[..., Iterable[tuple[int, Any]]]:
    """An engine's `map`, which leaves a few items to this process."""

    def run(work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[tuple[int, Any]]:
        if len(items) < _FEW_ITEMS:
            return ((index, work(item)) for index, item in enumerate(items))
        return engine.map(work, items)

    return run

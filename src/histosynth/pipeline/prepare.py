"""`prepare`: slides in, a tile set out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..core.recipe import build
from ..engine import EngineOptions
from ..preparation import run as preparation
from ..preparation.quality import pass_all_limits
from ..preparation.recipe import PrepareRecipe, read_prepare_recipe
from ..preparation.run import Prepared, PrepareProgress
from .engines import process_engine
from .progress_bars import ProgressOption, shown_stages

PREPARATION_STAGES = ("surveying slides", "writing tiles")
"""Names of the callbacks of `PrepareProgress`, in their order."""


@dataclass(frozen=True)
class TileOptions:
    """Size, scale and position of tiles; see `preparation.grid.GridPlan`."""

    size: int = 1024
    mpp: float = 0.5
    stride: int = 0
    edge: str = "drop"
    tissue: float = 0.25


def prepare(
    recipe: Path | str,
    out: Path | str,
    *,
    mpp: float | None = None,
    workers: int | None = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressOption = False,
) -> Prepared:
    """Turn slides into a tile set, as `histosynth prepare run` does.

    A run that was stopped continues when it is called again.

    Args:
        recipe: TOML file; one line is enough: `slides = ["*.svs"]`.
        out: folder of the tile set, for `TileSet(out)`.
        mpp: micrometres per pixel of slides that state none, or a wrong one.
        workers: processes; 1: this one; None: one a core.
        device: where detector and artefact classifier run; None: the CPU.
        dtype: their number type, "fp32" or "bf16"; None: fp32.
        progress: True: a bar for each stage; or a function, called with (done, total) of stage
            after stage.

    Returns:
        The folder, how many Parquet files were written, and the contents of `prepare.json`.

    Raises:
        BadRecipe: with all the recipe's problems.
        NoFiles, BadTable, BadOption: slides, table or an option cannot be used.
        ResumeMismatch: `out` was begun with another recipe.
        NotWritable: `out` cannot be written.
    """
    with shown_stages(progress, *PREPARATION_STAGES) as stages:
        return run_preparation(
            Path(recipe),
            Path(out),
            mpp=mpp,
            engine=process_engine(workers),
            device=device,
            dtype=dtype,
            progress=PrepareProgress(*stages),
        )


def run_preparation(
    recipe: Path,
    out: Path,
    *,
    mpp: float | None,
    engine: EngineOptions,
    device: str | None = None,
    dtype: str | None = None,
    progress: PrepareProgress | None = None,
) -> Prepared:
    """Prepare slides as a recipe describes; see `prepare`.

    Args:
        recipe: TOML file; its paths start from its folder.
        out: folder of the tile set.
        mpp: scale of slides that state none, or a wrong one.
        engine: where the work is done.
        device: where detector and artefact classifier run; None: the CPU.
        dtype: their number type, "fp32" or "bf16"; None: fp32.
        progress: callbacks for slides surveyed and tiles written.
    """
    from ..tensors.placing import measuring_place

    return preparation.prepare(
        _read_recipe(recipe, mpp),
        out,
        base_folder=recipe.parent,
        engine=engine.open(),
        progress=progress,
        place=measuring_place(device, dtype),
    )


def plan_preparation(
    recipe: Path,
    *,
    mpp: float | None,
    device: str | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """What `run_preparation` would do; no slide is read further than its header."""
    from ..tensors.placing import measuring_place

    place = measuring_place(device, dtype)
    return preparation.dry_run(_read_recipe(recipe, mpp), recipe.parent, place)


def _read_recipe(path: Path, mpp: float | None) -> PrepareRecipe:
    recipe = read_prepare_recipe(path)
    return recipe if mpp is None else replace(recipe, mpp=mpp)


def cut_tiles(
    slides: Sequence[str],
    out: Path,
    *,
    tiles: TileOptions,
    mpp: float | None,
    engine: EngineOptions,
    progress: PrepareProgress | None = None,
) -> Prepared:
    """Cut slides into tiles: no quality checks, no change of stain, no nuclei.

    Args:
        slides: files or patterns, from the current folder.
        out: folder of the tile set.
        tiles: size, scale and position of the tiles.
        mpp: scale of slides that state none, or a wrong one.
        engine: where the work is done.
        progress: callbacks for slides surveyed and tiles written.
    """
    values: dict[str, Any] = {
        "slides": [str(Path(slide).absolute()) for slide in slides],
        "tiles": asdict(tiles),
        "quality": pass_all_limits(),
        "stain": {"method": "none"},
        "nuclei": {"source": "none"},
    }
    if mpp is not None:
        values["mpp"] = mpp
    return preparation.prepare(
        build(values, PrepareRecipe, name="the options"),
        out,
        base_folder=Path(),
        engine=engine.open(),
        progress=progress,
    )

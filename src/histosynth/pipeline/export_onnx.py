"""`export onnx`: a bundle as ONNX graphs that programs without torch run, browsers too."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import BadOption, InputError, NotWritable
from ..core.folder_lock import share_folder
from ..core.paths import real_path
from ..core.progress import ProgressCallback, ignore_progress
from ..core.shipped import COMPACT
from ..core.store import json_text
from ..core.version import __version__

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..model.onnx_info import ExportedGrain, ExportedLayout, OnnxInfo, SolverPlan

LAYOUT_SIZE = (256, 256)
_LAYOUTS = 12
_LEAST_NUCLEI = 40
_MAX_DRAWN = 200
_COORDINATE_DIGITS = 2
_WHOLE_TILES = "global"


def export_onnx(
    bundle: Path | str | None = None,
    *,
    out: Path | str,
    adapter: str = _WHOLE_TILES,
    dtype: Literal["fp16", "fp32"] = "fp16",
    on_progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Write a bundle as a new folder of ONNX graphs with `model.json`, whole or not at all.

    Graphs: the structure encoder, one step of the denoiser with an adapter merged in, the decoder,
    and the grain if the bundle knows it. `model.json` holds what else a program needs to paint a
    whole tile: appearances, sizes of nuclei and the coefficients of the solver. Each graph is run
    once in onnxruntime and compared with torch.

    Args:
        bundle: folder; None: the compact one.
        out: a new or empty folder.
        adapter: that paints; where the bundle has one that does the same in few steps, that one.
        dtype: number type that weights are stored in. All sums are float32.
        on_progress: called with (written, all) graphs.

    Returns:
        `out`, `name`, `adapter`, `dtype`, `solver`, `steps`, `bytes` of each file, and
        `differences` from torch of each graph.

    Raises:
        NeedsExtra: the extra `onnx` is not installed.
        BadOption: the bundle has no such adapter, or `dtype` is another.
        InputError: the bundle does not hold its base.
        NotWritable: `out` exists already, or lies in the bundle.
        BundleMismatch, BadWeights, AdapterMismatch: the bundle is not whole.
    """
    from ..model.onnx_check import largest_difference, refuse_without_onnx
    from ..model.onnx_graphs import bundle_graphs, onnx_bytes
    from ..model.onnx_info import ONNX_INFO_FILE
    from ..model.packing import new_folder, write_contents

    if dtype not in ("fp16", "fp32"):
        raise BadOption("--dtype", dtype, "fp16 or fp32")
    refuse_without_onnx()
    folder = COMPACT if bundle is None else Path(bundle)
    out = real_path(Path(out))
    if out.is_relative_to(real_path(folder)):
        raise NotWritable(out, "it lies in the bundle itself")
    report = on_progress or ignore_progress
    with share_folder(out.parent, [out.name]), new_folder(out) as written:
        merged, used, plan = _opened(folder, adapter)
        graphs = bundle_graphs(merged)
        metadata = _metadata(merged)
        hashes: dict[str, str] = {}
        sizes: dict[str, int] = {}
        differences: dict[str, float] = {}
        for done, (name, graph) in enumerate(graphs.items()):
            report(done, len(graphs))
            data = onnx_bytes(
                graph,
                grid_px=merged.grid_px,
                half=dtype == "fp16",
                metadata=metadata,
            )
            write_contents({name: data}, written)
            hashes[name] = hashlib.sha256(data).hexdigest()
            sizes[name] = len(data)
            differences[name] = largest_difference(graph, data)
        report(len(graphs), len(graphs))
        info = _info_of(merged, used, plan, hashes, dtype=dtype)
        text = json_text(asdict(info)).encode()
        write_contents({ONNX_INFO_FILE: text}, written)
        sizes[ONNX_INFO_FILE] = len(text)
    return {
        "out": str(out),
        "name": info.bundle.name,
        "adapter": used,
        "dtype": dtype,
        "solver": plan.solver,
        "steps": plan.steps,
        "files": sizes,
        "bytes": sum(sizes.values()),
        "differences": differences,
    }


def _opened(folder: Path, adapter: str) -> tuple[Bundle, str | None, SolverPlan]:
    """The bundle with the adapter merged in, the adapter's name, and the plan of the solver.

    Raises:
        InputError: the bundle does not hold its base.
        BadOption: it has no such adapter.
    """
    from ..model.adapters import adapter_names
    from ..model.info import read_info
    from ..model.opening import open_bundle

    if (folder / "bundle.json").is_file():
        family = read_info(folder).base_family
        if not family.holds_base:
            raise InputError(
                f"{folder} is for a {family.name} base, and only a bundle that holds its base is "
                "exported to ONNX.",
                "Export a bundle on the compact base.",
            )
    opened = open_bundle(folder, device="cpu", dtype="fp32")
    names = adapter_names(opened.unet)
    if adapter not in names and (adapter != _WHOLE_TILES or names):
        allowed = f"one of the bundle's adapters: {', '.join(names) or 'none'}"
        raise BadOption("--adapter", adapter, allowed)
    used, plan = _plan_of(opened, adapter if adapter in names else None)
    return opened.with_merged_adapter(used), used, plan


def _plan_of(
    bundle: Bundle,
    adapter: str | None,
) -> tuple[str | None, SolverPlan]:
    """The adapter that samples in place of a wanted one, and its plan: few steps where it has
    learnt them.

    Raises:
        AdapterMismatch: few steps are wanted that were learnt from another adapter.
    """
    from ..sampling.few_steps import with_few_steps
    from ..sampling.settings import adapter_settings
    from ..sampling.solver_plan import solver_plan

    if adapter is None:
        return None, solver_plan(adapter_settings(bundle, None))
    info = bundle.adapters.get(adapter)
    of_few = None if info is None else info.few_steps
    wanted = adapter if of_few is None else of_few.teacher
    used, settings = with_few_steps(
        bundle,
        wanted,
        adapter_settings(bundle, wanted),
    )
    if of_few is not None and used != adapter:
        bundle.with_merged_adapter(adapter)  # refuses it, for its teacher is another one
    return used, solver_plan(settings)


def _metadata(bundle: Bundle) -> dict[str, str]:
    """What every graph states of itself."""
    from ..model.onnx_info import ONNX_NOTICE

    return {
        "bundle": bundle.info.name,
        "bundle_sha256": bundle.info.sha256,
        "histosynth": __version__,
        "licence": bundle.info.licence,
        "notice": ONNX_NOTICE,
    }


def _info_of(
    bundle: Bundle,
    adapter: str | None,
    plan: SolverPlan,
    hashes: dict[str, str],
    *,
    dtype: str,
) -> OnnxInfo:
    """`model.json`."""
    from ..model.conditioning import MAX_STYLE_SD
    from ..model.onnx_info import ExportedBundle, OnnxInfo
    from ..tissue.nucleus_sizes import LEVELS

    info = bundle.info
    exported = ExportedBundle(
        info.name,
        info.sha256,
        info.licence,
        info.data,
    )
    return OnnxInfo(
        bundle=exported,
        adapter=adapter,
        hashes=hashes,
        weights=dtype,
        mpp=info.mpp,
        classes=info.classes,
        any_class=info.any_class,
        mpp_tolerance=info.mpp_tolerance,
        labels=info.labels,
        least_px=info.least_px,
        most_px=info.most_px,
        multiple_px=bundle.grid_px,
        latent_mean=info.latent_mean,
        latent_std=info.latent_std,
        style_mean=info.style_mean,
        style_std=info.style_std,
        max_style_sd=MAX_STYLE_SD,
        palette=info.palette,
        plan=plan,
        size_levels=LEVELS,
        sizes=bundle.sizes,
        grain=_grain(bundle),
        layout_px=LAYOUT_SIZE[0],
        layouts=_layouts(info.classes, info.mpp),
        histosynth=__version__,
    )


def _grain(bundle: Bundle) -> ExportedGrain | None:
    """Of appearances whose noise is not known, as those of a palette."""
    from ..model.onnx_info import ExportedGrain

    if bundle.grain is None:
        return None
    table = bundle.grain.table
    red, green, blue = table.strength_of(None).tolist()
    darkest_red, darkest_green, darkest_blue, whitest = table.extremes
    return ExportedGrain(
        (red, green, blue),
        (darkest_red, darkest_green, darkest_blue, whitest),
    )


def _layouts(classes: tuple[str, ...], mpp: float) -> tuple[ExportedLayout, ...]:
    """Layouts of the package's model, of more than a few nuclei; none for other classes."""
    from ..model.onnx_info import ExportedLayout
    from ..tissue.layouts.drawing import draw_nuclei_like
    from ..tissue.layouts.model import read_layouts

    model = read_layouts()
    if not set(model.classes) <= set(classes):
        return ()
    layouts: list[ExportedLayout] = []
    for number in range(_MAX_DRAWN):
        nuclei = draw_nuclei_like(
            model,
            LAYOUT_SIZE,
            mpp=mpp,
            seed=0,
            number=number,
        )
        if len(nuclei) < _LEAST_NUCLEI:
            continue
        x, y = nuclei.xy.round(_COORDINATE_DIGITS).astype(float).T
        layouts.append(
            ExportedLayout(
                tuple(x.round(_COORDINATE_DIGITS).tolist()),
                tuple(y.round(_COORDINATE_DIGITS).tolist()),
                tuple(classes.index(name) for name in nuclei.names()),
            )
        )
        if len(layouts) == _LAYOUTS:
            break
    return tuple(layouts)

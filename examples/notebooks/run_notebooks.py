"""Runs the notebooks whole, and keeps them with their outputs.

    python examples/notebooks/run_notebooks.py --out notebooks --real ../shared/data/brca-m2c

Each runs in a folder of its own below `--out`. `--store` also writes the outputs into the
notebooks that people read on GitHub: pictures shrunk, nothing of this machine, and no picture of
real tissue.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

FOLDER = Path(__file__).parent
REAL_TISSUE = "real-tissue"
"""Tag of cells that show tissue of a patient, where there is some."""
NOT_STORED = "(This picture shows tissue of a patient and is not stored. Run the cell to see it.)"
MAX_WIDTH_PX = 900
JPEG_QUALITY = 80
TIMEOUT_S = 3600


def notebooks() -> list[Path]:
    """The notebooks in the repository."""
    return sorted(FOLDER.glob("*.ipynb"))


def set_parameters(notebook: Any, values: Mapping[str, object]) -> None:
    """Other values in the cell that is tagged `parameters`.

    Raises:
        KeyError: the cell has no such name.
    """
    (cell,) = [each for each in notebook.cells if "parameters" in each.metadata.get("tags", ())]
    for name, value in values.items():
        line = re.compile(rf"^{name} = [^#\n]*?(?=  #|$)", re.M)
        if not line.search(cell.source):
            raise KeyError(f"the notebook has no parameter {name}")
        cell.source = line.sub(lambda _, text=f"{name} = {value!r}": text, cell.source)


def execute(path: Path, folder: Path, values: Mapping[str, object] | None = None) -> Any:
    """A notebook with the outputs of its cells.

    Args:
        path: the notebook.
        folder: where it runs, and writes what it makes.
        values: of its parameters, in place of its own.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, 4)
    set_parameters(notebook, values or {})
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as sockets:
        # files in place of ports: no other user of the machine can connect
        places = {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}
        client = NotebookClient(
            notebook,
            config=Config(KernelManager=places),
            kernel_name="python3",
            timeout=TIMEOUT_S,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()
    return notebook


def store(executed: Any, path: Path, *, with_real_tissue: bool) -> None:
    """Write outputs into a notebook of the repository, whose code stays as it is."""
    notebook = nbformat.read(path, 4)
    for cell, done in zip(notebook.cells, executed.cells, strict=True):
        if cell.cell_type != "code":
            continue
        is_hidden = with_real_tissue and REAL_TISSUE in cell.metadata.get("tags", ())
        cell.execution_count = done.execution_count
        cell.outputs = [_shrunk(each, is_hidden) for each in done.outputs if _is_kept(each)]
    nbformat.write(notebook, path)


def _is_kept(output: Any) -> bool:
    """Bars of progress are on stderr, and hold times."""
    return output.get("name") != "stderr"


def _shrunk(output: Any, is_hidden: bool) -> Any:
    """An output with its picture as a small JPEG where that is smaller, or without it."""
    output.get("metadata", {}).clear()
    data = output.get("data", {})
    if "image/png" not in data:
        return output
    if is_hidden:
        data.clear()
        data["text/plain"] = NOT_STORED
        return output
    if output.output_type == "execute_result":
        return output  # a synthetic tile: its file is marked, a smaller one would not be
    png = base64.b64decode(data["image/png"])
    with Image.open(BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((MAX_WIDTH_PX, MAX_WIDTH_PX))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    if len(buffer.getvalue()) < len(png):
        del data["image/png"]
        data["image/jpeg"] = base64.b64encode(buffer.getvalue()).decode()
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("notebooks"))
    parser.add_argument("--real", type=Path, help="folder of real tissue, if there is one")
    parser.add_argument("--only", default="", help="begins the name of the notebook")
    parser.add_argument("--store", action="store_true", help="write outputs into the repository")
    options = parser.parse_args()
    has_real = options.real is not None
    if has_real and not options.real.is_dir():
        parser.error(f"--real {options.real} is no folder; leave it out, or name one")
    if has_real:
        os.environ["REAL_TISSUE"] = str(options.real.resolve())
    for path in notebooks():
        if not path.name.startswith(options.only):
            continue
        executed = execute(path, (options.out / path.stem).resolve())
        nbformat.write(executed, options.out / path.name)
        print(f"{options.out / path.name}")
        if options.store:
            store(executed, path, with_real_tissue=has_real)


if __name__ == "__main__":
    main()

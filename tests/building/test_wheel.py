"""The wheel in an environment of its own, far from this checkout, does what the README names."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.geometry import Box
from histosynth.core.images import encode_png, read_rgb
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows
from histosynth.model.adapters import ADAPTER_FILE
from histosynth.testing_bases import tiny_base
from histosynth.tissue.layout import draw_layout

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SIDE = 1024


def build(target, folder):
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


class Installed:
    """An environment that holds the wheel alone; its dependencies are those of this one."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        wheel = build("wheel", folder / "dist")
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--quiet"]
        options = ["--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *options, str(wheel)], check=True)
        shown = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.run([self.python, "-c", shown], capture_output=True, text=True)
        # a plain line adds a folder and reads no .pth file there, so that no checkout is found
        dependencies = Path(packages.stdout.strip()) / "dependencies.pth"
        dependencies.write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, command, folder):
        """Run a line of shell as a new user would; returns what it printed."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("environment"))


def test_the_wheel_is_alone_and_begins_and_checks_a_recipe(installed, tmp_path):
    where = "python -c 'import histosynth; print(histosynth.__file__)'"
    assert str(installed.bin.parent) in installed.run(where, tmp_path)
    names = installed.run("histosynth train --list", tmp_path)
    for name in ("first-adapter", "global", "sarcodiff", "compact-base"):
        assert re.search(f"^{name} ", names, re.M)
    installed.run("histosynth recipe init first-adapter > my.toml", tmp_path)
    first = (tmp_path / "my.toml").read_text().splitlines()[0]
    schema = Path(first.removeprefix("#:schema file://"))
    assert schema.is_file() and schema.is_relative_to(installed.bin.parent)
    printed = installed.run("histosynth recipe schema", tmp_path)
    assert printed == schema.read_text()
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
    checked = installed.run("histosynth recipe check my.toml", tmp_path)
    assert checked == "my.toml has no problems: task global, 200 steps of 2 tiles.\n"


def test_the_source_archive_holds_no_benchmarks(tmp_path):
    archive = build("sdist", tmp_path)
    with tarfile.open(archive) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
    assert {"pyproject.toml", "README.md", "src/histosynth/recipes/global.toml"} <= {*names}
    left_out = ("benchmarks/", "findings/", ".ci/")
    assert not [name for name in names if name.startswith(left_out)]


def test_links_of_the_readme_are_absolute():
    targets = re.findall(r"\]\(([^)]+)\)", README) + re.findall(
        r"^\[[^\]]+\]: (\S+)$", README, re.M
    )
    assert len(targets) > 15
    assert [target for target in targets if not target.startswith("https://")] == []
    of_files = [target.partition("/main/")[2].partition("#")[0] for target in targets]
    assert [path for path in of_files if path and not (ROOT / path).exists()] == []


def test_links_of_the_readme_are_defined():
    text = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.S)
    defined = {name.lower() for name in re.findall(r"^\[([^\]]+)\]:", text, re.M)}
    used = re.findall(r"\[([^\]]+)\](?:\[([^\]]+)\])?(?![\](:])", text)
    assert {(second or first).lower() for first, second in used} == defined


def lines_of(heading):
    """Lines of shell in a section of the README that call the program."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [line for line in lines if line.startswith(("histosynth", "echo"))]
    assert found, heading
    return found


def write_picture(path, side=512, seed=0):
    random = np.random.default_rng(seed)
    canvas = np.full((side, side, 3), (225, 170, 205)) + random.normal(0, 8, (side, side, 1))
    nuclei = draw_layout((side, side), mpp=0.5, seed=seed)
    for x, y in nuclei.xy.astype(int):
        canvas[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = (95, 65, 140)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = canvas.clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels, nuclei


@pytest.mark.slow
def test_the_demo_of_the_readme_runs(installed, tmp_path):
    for line in lines_of("Try it"):
        installed.run(line, tmp_path)
    assert {"contact.png", "report.html"} <= {path.name for path in (tmp_path / "demo").iterdir()}


@pytest.mark.slow
def test_what_the_readme_uses_runs(installed, tmp_path):
    write_picture(tmp_path / "reference.png")
    _, nuclei = write_picture(tmp_path / "torn.png", seed=1)
    write_csv(tmp_path / "cells.csv", nuclei)
    mask = np.zeros((512, 512), np.uint8)
    mask[200:300, 200:300] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    section = README.partition("## Use it\n")[2]
    code = re.search(r"```python\n(.*?)```", section, re.S).group(1)
    (tmp_path / "use.py").write_text(code)
    installed.run("python use.py", tmp_path)
    assert read_rgb(tmp_path / "tile.png").shape == (512, 512, 3)
    (tmp_path / "completed.png").unlink()
    for line in lines_of("Use it"):
        installed.run(line, tmp_path)
    assert len(list((tmp_path / "tiles").glob("*.png"))) == 4
    assert read_rgb(tmp_path / "completed.png").shape == (512, 512, 3)


@pytest.mark.slow
def test_what_the_readme_trains_runs(installed, tmp_path):
    rows = []
    for index in range(6):
        pixels, nuclei = write_picture(tmp_path / "images" / f"P{index}_tile.png", SIDE, index)
        write_csv(tmp_path / "points" / f"P{index}_tile.csv", nuclei)
        ref = TileRef(f"S{index}", f"P{index}", Box(0, 0, SIDE, SIDE), 0.5)
        split = "train" if index < 4 else "validation"
        rows.append(Row(ref, "", split, encode_png(pixels), nuclei))
    (tmp_path / "tiles").mkdir()
    write_rows(tmp_path / "tiles" / "set.parquet", rows, {})
    tiny_base(tmp_path / "SD21", "sd21", width=64)
    first, *others = lines_of("Train your own")
    installed.run(first, tmp_path)
    recipe = tmp_path / "my.toml"
    text = (
        recipe.read_text().replace("steps = 200", "steps = 2").replace("warmup = 20", "warmup = 1")
    )
    recipe.write_text(text.replace("drop_classes = 0.1", "drop_classes = 0.1\ncrops = [128]"))
    for line in others:
        installed.run(line, tmp_path)
    weights = tmp_path / "runs" / "first" / "weights"
    with safe_open(weights / ADAPTER_FILE, "np") as file:
        metadata = file.metadata()
    assert "epithelial" in str(metadata), sorted(weights.iterdir())

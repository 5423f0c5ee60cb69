"""Each line of docs/python.md runs, and shows what the page shows."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import histosynth as hs
from histosynth.core.images import write_mask

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def tissue(tile):
    """(256, 256, 3) uint8 with values from 65 to 246."""
    whole = np.concatenate([tile[:128], tile[:128, ::-1]])
    whole = np.concatenate([whole, whole[::-1]], axis=1)
    whole = whole.clip(65, 246)
    whole[0, 0] = 65
    return whole


@pytest.fixture
def folder(tmp_path, tissue, bundle_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = ["x,y,class", "31.5,40,lymphocyte", "120.2,88.7,epithelial", "200,200,stromal"]
    (tmp_path / "cells.csv").write_text("\n".join(rows))
    Image.fromarray(tissue).save("reference.png")
    Image.fromarray(tissue[::-1]).save("torn.png")
    missing = np.zeros((256, 256), bool)
    missing[100:160, 80:150] = True
    write_mask("mask.png", missing)
    (tmp_path / "my-bundle").symlink_to(bundle_folder)
    tiny = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    place = "histosynth.pipeline.default_bundle."
    monkeypatch.setattr(f"{place}default_bundle", lambda: tiny)
    monkeypatch.setattr(f"{place}_default_bundle_on", lambda device, dtype: tiny)
    return tmp_path


def test_each_line_of_the_page_about_python_runs(folder):
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) >= 9
    parser = doctest.DocTestParser()
    test = parser.get_doctest("\n".join(blocks), {}, "python.md", str(PAGE), 0)
    shown = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    result = runner.run(test, out=shown.append)
    assert result.failed == 0, "".join(shown)
    assert result.attempted == len(test.examples) > 30
    assert sorted(path.name for path in folder.glob("tile*.png")) == ["tile.png"]

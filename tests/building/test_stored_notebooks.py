"""Notebooks in the repository show a whole run, and nothing of the machine that ran them."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 1_500_000
MACHINE = re.compile(
    r"/(home|root|tmp|work|usr|opt|var|mnt|Users)/|[A-Z]:\\|file://"  # a path
    r"|\d\d:\d\d|\d(it/s|s/it)|\d+ (s|min|seconds|minutes)\b|\b20\d\d-\d\d-\d\d"  # a time
    r"|Warning|Traceback|Error\b| at 0x"
)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def is_run(path):
    """Whether it holds outputs; a notebook without any is as good, but part of a run is not."""
    return any(cell["outputs"] for cell in code_cells(path))


def texts_of(output):
    yield "".join(output.get("text", ""))
    for name, value in output.get("data", {}).items():
        if name.startswith("text/"):
            yield "".join(value)


def pictures_of(path):
    for cell in code_cells(path):
        for output in cell["outputs"]:
            for name, value in output.get("data", {}).items():
                if name.startswith("image/"):
                    yield Image.open(BytesIO(base64.b64decode("".join(value))))


def test_there_are_three_and_they_are_small():
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["detector-from-synthetic-tiles", "first-adapter", "mend-your-tiles"]
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestStored:
    def test_all_cells_were_run_in_order_or_none(self, path):
        counts = [cell["execution_count"] for cell in code_cells(path)]
        whole = list(range(1, len(counts) + 1))
        assert counts == (whole if is_run(path) else [None] * len(counts))

    def test_outputs_hold_no_path_time_warning_or_error(self, path):
        for cell in code_cells(path):
            for output in cell["outputs"]:
                assert output["output_type"] in ("stream", "display_data", "execute_result")
                assert output.get("name", "stdout") == "stdout"
                for text in texts_of(output):
                    assert not MACHINE.search(text), text

    def test_the_pattern_above_finds_what_it_should(self, path):
        for text in (
            "/tmp/x",
            "100%|##| 3/3 [00:01<00:00, 1.5it/s]",
            "TqdmWarning: no",
            "took 12 s",
        ):
            assert MACHINE.search(text), text
        assert not MACHINE.search("F1 0.846 (0.808 to 0.868)  trained on 200 synthetic tiles")

    def test_pictures_are_there_small_and_without_real_tissue(self, path):
        pictures = list(pictures_of(path))
        assert len(pictures) >= (3 if is_run(path) else 0)
        assert all(max(each.size) <= 1200 for each in pictures)
        for cell in code_cells(path):
            if "real-tissue" in cell["metadata"].get("tags", ()):
                assert not any("image/png" in each.get("data", {}) for each in cell["outputs"])
                assert not any("image/jpeg" in each.get("data", {}) for each in cell["outputs"])

    def test_it_states_research_use_and_that_tiles_are_synthetic(self, path):
        text = path.read_text(encoding="utf-8")
        assert "For research use, not for diagnosis" in text
        assert "synthetic" in text

    def test_its_links_exist(self, path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        links = re.findall(r"\]\(([^)]+)\)", text)
        assert links
        for link in links:
            assert (FOLDER / link).exists(), link

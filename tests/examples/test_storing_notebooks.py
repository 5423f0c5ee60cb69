"""What is kept of a notebook that was run."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

run_notebooks = pytest.importorskip("run_notebooks", reason="the dev extra brings nbclient")
nbformat = run_notebooks.nbformat
v4 = nbformat.v4


def png(width=1200, height=600):
    """A noisy picture, which JPEG stores in fewer bytes."""
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def notebook(tmp_path):
    """Its path in the repository, without outputs, and the same after a run."""
    cells = [
        v4.new_code_cell("print(1)"),
        v4.new_code_cell("look", metadata={"tags": ["real-tissue"]}),
    ]
    path = tmp_path / "a.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    executed = nbformat.read(path, 4)
    executed.cells[0].source = "print(2)"
    for number, cell in enumerate(executed.cells):
        cell.execution_count = number + 1
        cell.outputs = [
            v4.new_output("stream", name="stderr", text="100%| 1.2it/s"),
            v4.new_output("stream", name="stdout", text="one\n"),
            v4.new_output("display_data", {"image/png": png(), "text/plain": "Figure"}),
        ]
    return path, executed


def test_pictures_are_shrunk_and_stderr_is_left_out(notebook):
    path, executed = notebook
    run_notebooks.store(executed, path, with_real_tissue=True)
    first, second = nbformat.read(path, 4).cells
    assert first.source == "print(1)"
    assert [each.output_type for each in first.outputs] == ["stream", "display_data"]
    picture = Image.open(BytesIO(base64.b64decode(first.outputs[1].data["image/jpeg"])))
    assert picture.size == (900, 450)
    assert "image/png" not in first.outputs[1].data
    assert second.outputs[1].data == {"text/plain": run_notebooks.NOT_STORED}


def test_without_real_tissue_all_pictures_are_kept(notebook):
    path, executed = notebook
    run_notebooks.store(executed, path, with_real_tissue=False)
    assert "image/jpeg" in nbformat.read(path, 4).cells[1].outputs[1].data


def test_parameters_are_replaced_and_their_comments_stay():
    cell = v4.new_code_cell("A = 1  # one\nB = f(2)\nAB = 3", metadata={"tags": ["parameters"]})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("A = 1"), cell])
    run_notebooks.set_parameters(notebook, {"A": 5, "B": "x\\y"})
    assert cell.source == "A = 5  # one\nB = 'x\\\\y'\nAB = 3"
    assert notebook.cells[0].source == "A = 1"
    with pytest.raises(KeyError, match="no parameter C"):
        run_notebooks.set_parameters(notebook, {"C": 1})

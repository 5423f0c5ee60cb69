"""Public types show themselves: one line of facts, pictures in notebooks, arrays and tensors."""

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

import histosynth as hs
from histosynth.core.condition import Condition, Context
from histosynth.core.errors import BadOption
from histosynth.core.line_of_facts import MAX_LINE
from histosynth.core.nuclei import ANY, Nuclei
from histosynth.core.nuclei_picture import nuclei_picture
from histosynth.core.synthetic import Synthetic, is_synthetic, read_recipe
from histosynth.core.tile import Tile, TileRef
from histosynth.core.tileset import Row
from histosynth.evaluation.report.model import Material, Report
from histosynth.preparation.run import Prepared
from histosynth.testing import tiny_bundle

RECIPE = {"verb": "synthesize", "seed": 7, "mpp": 0.25}
CLASSES = ("tumour", "stroma\n\x1b[31m")


@pytest.fixture
def nuclei():
    return Nuclei.of(
        [[5, 6], [40, 60], [100, 100]],
        ["tumour", ANY, "tumour"],
        size=(128, 136),
        mpp=0.25,
        classes=CLASSES,
    )


@pytest.fixture
def synthetic(tile, nuclei):
    return Synthetic(tile, Condition(nuclei, (128, 136), "breast"), RECIPE)


def test_each_type_shows_itself_in_one_line(tile, nuclei, synthetic, tmp_path):
    mask = np.zeros((136, 128), bool)
    mask[:34] = True
    context = Context(tile, mask)
    ref = TileRef("s1", "p1", hs.Box(256, 512, 128, 136), 0.5)
    summary = {"kept": 1200, "tiles": 2000}
    shown = {
        synthetic: "Synthetic(128 x 136 px, 0.25 um/px, synthesize, 3 nuclei, label 'breast', "
        "seed 7)",
        nuclei: "Nuclei(3 on 128 x 136 px at 0.25 um/px: 2 tumour, 0 stroma\\n\\u001b[31m, 1 any)",
        context: "Context(128 x 136 px, 25.0% missing)",
        Condition(None, (128, 136), context=context): (
            "Condition(128 x 136 px, nuclei unknown, 25.0% to complete)"
        ),
        Condition(
            nuclei, (128, 136), "breast"
        ): "Condition(128 x 136 px, 3 nuclei, label 'breast')",
        Tile(ref, tile): "Tile(128 x 136 px, 0.5 um/px, slide 's1', at 256, 512)",
        Report("a compared with b", Material("a", 8), Material("b", 9)): (
            "Report(a compared with b, 8 synthetic tiles, 9 real tiles, 0 sections, 0 warnings)"
        ),
    }
    for value, line in shown.items():
        assert repr(value) == line
    prepared = Prepared(tmp_path / "t", 2, 3, summary)
    assert repr(prepared).startswith(
        "Prepared(1,200 of 2,000 tiles kept, 2 files written, 3 there before, folder '"
    )
    row = Row(ref, refused="blur", quality={"blur": 0.1})
    assert repr(row) == "Row('s1_256_512', patient 'p1', refused: blur)"


def test_no_type_shows_its_numbers(tile, synthetic):
    bundle = tiny_bundle()
    appearance = hs.measure_appearance(tile)
    for value in (bundle, bundle.info, appearance, appearance.hue, synthetic, hs.Box(0, 0, 8, 8)):
        text = repr(value)
        assert text.startswith(f"{type(value).__name__}(") and text.endswith(")")
        assert len(text) <= MAX_LINE and "\n" not in text
    assert "classes epithelial, lymphocyte, stromal" in repr(bundle)
    many = Nuclei.none((64, 64), 0.5, [f"class {number}" for number in range(255)])
    assert len(repr(many)) == MAX_LINE and repr(many).endswith("...)")


def test_a_synthetic_tile_is_an_array(synthetic, tile):
    assert np.array_equal(np.asarray(synthetic), tile)
    assert np.asarray(synthetic) is synthetic.pixels
    own = np.array(synthetic)
    own[0] = 0
    assert np.array_equal(synthetic.pixels, tile)
    floats = np.asarray(synthetic, dtype=np.float32)
    assert floats.dtype == np.float32 and floats.max() == tile.max()
    assert np.array_equal(synthetic.__array__(np.uint8, copy=False), tile)
    with pytest.raises(ValueError, match="pixels are uint8: float64 needs a copy"):
        synthetic.__array__(np.float64, copy=False)
    assert np.mean(synthetic) == tile.mean()


def test_a_real_tile_is_an_array_too(tile):
    ref = TileRef("s1", "p1", hs.Box(0, 0, 128, 136), 0.5)
    assert np.array_equal(np.asarray(Tile(ref, tile)), tile)
    with Image.open(io.BytesIO(Tile(ref, tile)._repr_png_())) as shown:
        assert np.array_equal(np.asarray(shown), tile)


def test_a_tensor_has_channels_first_and_values_from_0_to_1(synthetic, tile):
    tensor = synthetic.tensor()
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 136, 128)
    expected = tile.astype(np.float32) / 255
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)
    tensor.zero_()
    assert np.array_equal(synthetic.pixels, tile)


def test_a_notebook_shows_a_marked_png(synthetic, tile, tmp_path):
    path = tmp_path / "shown.png"
    path.write_bytes(synthetic._repr_png_())
    assert read_recipe(path) == RECIPE
    synthetic.save(tmp_path / "saved.png")
    assert path.read_bytes() == (tmp_path / "saved.png").read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.TIFF"])
def test_a_pil_image_keeps_the_mark_when_it_is_saved(synthetic, tile, tmp_path, name):
    image = synthetic.pil
    assert isinstance(image, Image.Image) and image.size == (128, 136) and image.mode == "RGB"
    image.save(tmp_path / name)
    assert read_recipe(tmp_path / name) == RECIPE
    with Image.open(tmp_path / name) as read:
        assert np.array_equal(np.asarray(read), tile)
    pickle.loads(pickle.dumps(image)).save(tmp_path / f"again {name}")
    assert is_synthetic(tmp_path / f"again {name}")


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_files_of_a_pil_image_state_that_it_is_synthetic(synthetic, form):
    stream = io.BytesIO()
    synthetic.pil.save(stream, form, quality=90)
    assert b"trainedAlgorithmicMedia" in stream.getvalue()


def test_a_pil_image_is_not_saved_where_the_mark_has_no_place(synthetic, tmp_path):
    for name, form in (("a.bmp", "BMP"), ("a.xyz", ".xyz")):
        with pytest.raises(BadOption) as caught:
            synthetic.pil.save(tmp_path / name)
        assert str(caught.value) == (
            f"the format is {form}, but must be PNG, TIFF, JPEG or WebP, which hold the mark of "
            "synthetic tissue. Give another value."
        )
    assert list(tmp_path.iterdir()) == []


def test_the_callers_options_of_a_format_stay(synthetic, tmp_path):
    synthetic.pil.save(tmp_path / "a.tif", compression="tiff_lzw")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["compression"] == "tiff_lzw"
    assert is_synthetic(tmp_path / "a.tif")


def test_nuclei_are_shown_in_the_colours_of_their_classes(nuclei):
    page = np.asarray(nuclei_picture(nuclei))
    top = 28
    left = 8
    for (x, y), colour in zip(
        nuclei.xy, [(213, 94, 0), (120, 120, 120), (213, 94, 0)], strict=True
    ):
        scale = 256 / 136
        row = top + round((y + 0.5) * scale - 0.5)
        column = left + round((x + 0.5) * scale - 0.5)
        assert tuple(page[row, column]) == colour
    legend = page[top + 256 + 8 :, left : left + 12].reshape(-1, 3)
    found = {tuple(colour) for colour in legend}
    assert {(213, 94, 0), (0, 114, 178), (120, 120, 120)} <= found
    with Image.open(io.BytesIO(nuclei._repr_png_())) as shown:
        assert np.array_equal(np.asarray(shown), page)


def test_a_picture_of_nuclei_is_of_bounded_size():
    large = nuclei_picture(Nuclei.none((100_000, 10), 0.5, ("a",)))
    many = nuclei_picture(Nuclei.none((8, 8), 0.5, [str(number) for number in range(255)]))
    assert large.size == (512 + 16, 28 + 1 + 8 + 20 + 8)
    assert many.size == (320 + 16, 28 + 256 + 8 + 21 * 20 + 8)

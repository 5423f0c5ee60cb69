"""References: what shows no stain is refused, and what a reference cannot show is told."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import histosynth as hs
from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import StainNotFound
from histosynth.core.geometry import Size
from histosynth.pipeline.synthesize_files import synthesize_files
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.settings import resolve_appearance
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import CANONICAL_DYES
from histosynth.tissue.density import from_density
from histosynth.tissue.reference import ReferenceNotes, measure_reference

OPTIONS = SamplingOptions(steps=1)
NEXT_STEP = "Give a reference tile with nuclei and stroma, or leave the appearance out."


def tissue(side=128):
    """Two dyes in smooth amounts, with noise."""
    random = np.random.default_rng(0)
    amounts = ndimage.gaussian_filter(random.standard_normal((side, side, 2)), (3, 3, 0))
    amounts = (0.4 + 2 * amounts).clip(0.05, 1.2)
    density = (amounts @ CANONICAL_DYES).astype(np.float32)
    pixels = from_density(density) + random.normal(0, 3, (side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def as_jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def of_colour(*colour):
    return np.full((128, 128, 3), colour, np.uint8)


def glass_with_a_speck():
    pixels = of_colour(245, 244, 246)
    pixels[:20, :20] = tissue()[:20, :20]
    return pixels


REFUSED = {
    "white": (of_colour(255, 255, 255), "0 of its 16,384 pixels are tissue, 500 are needed"),
    "blue": (of_colour(0, 0, 255), "0 of its 16,384 pixels are tissue, 500 are needed"),
    "speck": (glass_with_a_speck(), "of its 16,384 pixels are tissue, 500 are needed"),
    "black": (
        of_colour(0, 0, 0),
        "it is of one colour (its optical density varies by 0.000, that of tissue by 0.1 and more)",
    ),
    "pink": (of_colour(200, 120, 180), "it is of one colour"),
    "tiny": (tissue(16), "of its 256 pixels are tissue, 500 are needed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reference_without_a_stain_is_refused_with_its_numbers(name):
    pixels, reason = REFUSED[name]
    with pytest.raises(StainNotFound) as refused:
        measure_reference(pixels, "ref.png")
    sentence = str(refused.value)
    assert sentence.startswith("The stain of ref.png cannot be found: ")
    assert reason in sentence and sentence.endswith(NEXT_STEP)


def test_tissue_of_any_stain_is_taken_whole():
    pixels = tissue()
    assert ReferenceNotes.of([("a", measure_reference(pixels))]).sentences() == []
    pale = (255 - 0.3 * (255 - pixels.astype(np.float32))).astype(np.uint8)
    assert measure_reference(pale).frame.scale[1] > 1.5


def test_blocks_and_few_pixels_are_told_once_for_all_references():
    found = [
        ("a.jpg", measure_reference(as_jpeg(tissue(), 20))),
        ("b.png", measure_reference(tissue(64))),
        ("c.png", measure_reference(tissue())),
        ("d.jpg", measure_reference(as_jpeg(tissue(), 20))),
    ]
    assert ReferenceNotes.of(found).sentences() == [
        "2 references (first a.jpg) show the blocks of JPEG compression, which are no grain of "
        "tissue: grain is drawn as strong as in typical tissue.",
        "The reference b.png has fewer than 10,000 pixels, too few to limit the darkest and "
        "brightest values.",
    ]


def test_in_python_it_is_a_warning():
    with pytest.warns(UserWarning, match="The reference given as appearance has fewer than"):
        resolve_appearance(tissue(64), tiny_bundle())
    with pytest.raises(StainNotFound, match="The stain of the appearance cannot be found"):
        resolve_appearance(of_colour(255, 255, 255), tiny_bundle())


def test_files_get_the_same(tmp_path, bundle_folder):
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    references = {"a": tissue(64), "b": REFUSED["white"][0], "c": tissue()}
    for name, pixels in references.items():
        write_csv(tmp_path / "cells" / f"{name}.csv", nuclei)
        (tmp_path / "tiles").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "tiles" / f"{name}.png")
    outcome = synthesize_files(
        tmp_path / "cells",
        tmp_path / "out",
        size=Size(128, 128),
        appearance=str(tmp_path / "tiles"),
        options=OPTIONS,
        bundle=bundle_folder,
    )
    assert [path.name for path in outcome.written] == ["a_0.png", "c_0.png"]
    (refused,) = outcome.refused.items()
    assert refused[0] == str(tmp_path / "cells" / "b.csv")
    assert f"The stain of {tmp_path / 'tiles' / 'b.png'} cannot be found: 0 of" in str(refused[1])
    assert outcome.notes == [
        f"The reference {tmp_path / 'tiles' / 'a.png'} has fewer than 10,000 pixels, too few to "
        "limit the darkest and brightest values."
    ]

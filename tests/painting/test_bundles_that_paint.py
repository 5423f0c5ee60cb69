"""Bundles whose decoder looks at whole pictures do not paint slides: parts would differ in tone."""

import pytest
from stable_bundles import write_stable_bundle

from histosynth.core.errors import BadOption
from histosynth.pipeline.paint import paint
from histosynth.pipeline.slide_layouts import draw_slide_layout
from histosynth.testing_bases import tiny_base


def test_a_decoder_that_looks_at_whole_pictures_is_refused_with_nothing_written(tmp_path):
    tiny_base(tmp_path / "base", "sd15", width=64)
    write_stable_bundle(tmp_path / "base", tmp_path / "bundle")
    layout = draw_slide_layout((512, 512), seed=1, like="model")
    before = set(tmp_path.iterdir())
    with pytest.raises(BadOption, match=r"--bundle is bundle, .*looks at whole pictures"):
        paint(layout, tmp_path / "slide.ome.tiff", bundle=tmp_path / "bundle")
    assert set(tmp_path.iterdir()) == before

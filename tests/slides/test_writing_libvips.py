"""libvips, which many viewers and servers build on, reads every level as it was written."""

import numpy as np
import pytest
import tifffile
from slides_to_write import noisy, parts_of, smooth

from histosynth.slides.writing import SlideDescription, finish_slide

pyvips = pytest.importorskip("pyvips", reason="needs pyvips with pyvips-binary")


@pytest.mark.parametrize(("codec", "picture"), [("jpeg", smooth), ("deflate", noisy)])
def test_libvips_sees_every_level_at_its_scale(tmp_path, codec, picture):
    out = tmp_path / "slide.ome.tiff"
    finish_slide(
        out, parts_of(tmp_path / "parts", picture(700, 501), codec), SlideDescription(0.25)
    )
    with tifffile.TiffFile(out) as tiff:
        wanted = [level.asarray() for level in tiff.series[0].levels]
    assert len(wanted) == 4
    for level, pixels in enumerate(wanted):
        by_page = pyvips.Image.tiffload(str(out), page=level)
        by_subifd = pyvips.Image.tiffload(str(out), subifd=level - 1)
        np.testing.assert_array_equal(by_page.numpy(), pixels)
        np.testing.assert_array_equal(by_subifd.numpy(), pixels)
        scale = 700 / pixels.shape[1] * 0.25
        assert 1000 / by_page.xres == pytest.approx(scale, rel=1e-4)

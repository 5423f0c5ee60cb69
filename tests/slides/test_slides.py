"""Slides: two readers, one answer; every scale is stated or refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histosynth.core.errors import BadOption, HistosynthError, MissingScale, NotRGB, UnreadableImage
from histosynth.core.geometry import Box
from histosynth.core.images import IMAGE_SUFFIXES
from histosynth.slides import best_level, open_slide, opening, read_box, thumbnail
from histosynth.slides.opening import SlideReader
from histosynth.slides.openslide import OpenSlideSlide
from histosynth.slides.slide import NotThisReader
from histosynth.slides.tiff import TiffSlide

CMU = Path(__file__).resolve().parents[3] / "shared/data/slides/cmu-1-small-region.svs"
real = pytest.mark.skipif(not CMU.exists(), reason="needs the shared slides beside the checkout")


def scene(width: int, height: int) -> np.ndarray:
    """Smooth colour, so that every scale of it is known: (H, W, 3) uint8."""
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    red = 128 + 90 * np.sin(x / 90) * np.cos(y / 70) + 0 * y
    green = 60 + 120 * x / width + 0 * y
    blue = 200 - 120 * y / height + 0 * x
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


def write_pyramid(
    path: Path, *, size=(1500, 1100), levels=3, mpp=0.25, compression="jpeg", **options
):
    """A tiled pyramid whose every level halves the one before."""
    with tifffile.TiffWriter(
        path,
        bigtiff=options.pop("bigtiff", False),
        ome=path.name.endswith("ome.tif"),
    ) as f:
        pixels = scene(*size)
        for level in range(levels):
            facts = {
                "resolution": (1e4 / mpp, 1e4 / mpp),
                "resolutionunit": 3,
                **options,
            }
            shape = (pixels.shape[1] >> level, pixels.shape[0] >> level)
            image = np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BOX))
            level_tags = (
                {"subifds": levels - 1}
                if level == 0 and path.name.endswith("ome.tif")
                else {"subfiletype": int(level > 0)}
            )
            if level == 0 and path.name.endswith("ome.tif"):
                level_tags["metadata"] = {
                    "axes": "YXS",
                    "PhysicalSizeX": mpp,
                    "PhysicalSizeXUnit": "µm",
                }
            f.write(
                image,
                photometric="rgb",
                tile=(256, 256),
                compression=compression,
                **level_tags,
                **({} if path.name.endswith("ome.tif") else {"metadata": None}),
                **facts,
            )
    return path


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory) -> Path:
    return write_pyramid(tmp_path_factory.mktemp("slides") / "p.tiff")


@real
def test_the_fast_path_gives_the_pixels_of_openslide_on_a_real_scan():
    fast = TiffSlide(CMU)
    reference = OpenSlideSlide(CMU)
    assert fast.mpp == reference.mpp == 0.499
    assert [(x.width, x.height) for x in fast.levels] == [
        (x.width, x.height) for x in reference.levels
    ]
    random = np.random.default_rng(0)
    for _ in range(20):
        x, y = (int(random.integers(-100, side)) for side in (2220, 2967))
        box = Box(
            x,
            y,
            int(random.integers(1, 600)),
            int(random.integers(1, 600)),
        )
        assert (fast.read(0, box) == reference.read(0, box)).all()


@pytest.mark.parametrize("compression", ["jpeg", "deflate", "lzw"])
def test_the_fast_path_gives_the_pixels_of_openslide_on_each_level(tmp_path, compression):
    path = write_pyramid(tmp_path / "p.tiff", size=(1024, 768), compression=compression)
    fast = TiffSlide(path)
    reference = OpenSlideSlide(path)
    assert fast.mpp == pytest.approx(reference.mpp) == pytest.approx(0.25)
    assert len(fast.levels) == len(reference.levels) == 3
    for level, size in enumerate(fast.levels):
        box = Box(16, 32, size.width - 40, size.height - 50)
        assert (fast.read(level, box) == reference.read(level, box)).all()


@pytest.mark.parametrize("name", ["a.tiff", "b.ome.tif"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_the_fast_path_takes_the_family(tmp_path, name, bigtiff):
    slide = open_slide(
        write_pyramid(
            tmp_path / name,
            size=(600, 500),
            compression="deflate",
            bigtiff=bigtiff,
        )
    )
    assert (
        slide.reader == "tifffile" and slide.mpp == pytest.approx(0.25) and len(slide.levels) == 3
    )
    assert (slide.read(0, Box(0, 0, 600, 500)) == scene(600, 500)).all()


@real
def test_openslide_takes_what_tifffile_does_not():
    slide = open_slide(CMU.parent / "boxes_0.dcm")
    assert slide.reader.startswith("openslide") and slide.mpp == pytest.approx(0.499)


@real
def test_dicom_that_openslide_refuses_goes_to_wsidicom_with_the_same_pixels(monkeypatch):
    path = CMU.parent / "boxes_0.dcm"
    reference = open_slide(path)
    box = Box(-3, 2, 16, 12)
    wanted = reference.read(0, box)
    sizes = [(level.width, level.height) for level in reference.levels]

    def refuse(*_, **__):
        raise UnreadableImage(path, "not this one")

    monkeypatch.setattr(OpenSlideSlide, "__init__", refuse)
    slide = open_slide(path)
    assert slide.reader == "wsidicom" and slide.mpp == pytest.approx(0.499)
    assert (slide.levels[0].width, slide.levels[0].height) == sizes[0]
    assert np.abs(slide.read(0, box).astype(int) - wanted).max() <= 1
    slide.close()


def test_dicom_without_a_slide_in_it_is_refused(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"nothing")
    with pytest.raises(UnreadableImage, match="pydicom"):
        open_slide(tmp_path / "x.dcm")


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.25, 0), (0.4, 0), (0.5, 1), (0.501, 1), (0.9, 1), (1.0, 2), (4.0, 2)]
)
def test_the_best_level_is_the_coarsest_that_is_fine_enough(pyramid, mpp, level):
    assert best_level(open_slide(pyramid), mpp / 0.25) == level


@pytest.mark.parametrize("size", [400, 256, 200, 131, 100, 50])
def test_a_box_shows_the_same_place_at_every_size(tmp_path, size):
    slide = open_slide(write_pyramid(tmp_path / "p.tiff", compression="deflate"))
    box = Box(333, 251, 400, 400)
    exact = Image.fromarray(scene(1500, 1100)).resize(
        (size, size),
        Image.Resampling.BOX,
        box=(333, 251, 733, 651),
    )
    got = read_box(slide, box, (size, size))
    assert np.abs(got.astype(int) - np.asarray(exact)).max() <= 2


def test_resampling_does_not_alias(tmp_path):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the wanted scale: must come out grey
    Image.fromarray(stripes).save(tmp_path / "a.png")
    got = read_box(
        open_slide(tmp_path / "a.png", mpp=0.25),
        Box(0, 0, 512, 512),
        (128, 128),
    )
    assert np.abs(got[4:-4, 4:-4].astype(int) - 127).max() <= 2


def test_pixels_of_the_file_come_as_they_are_where_the_scale_is_the_wanted_one(pyramid):
    slide = open_slide(pyramid)
    assert (
        read_box(slide, Box(7, 9, 300, 200), (300, 200)) == slide.read(0, Box(7, 9, 300, 200))
    ).all()
    assert (
        read_box(slide, Box(8, 10, 400, 200), (200, 100)) == slide.read(1, Box(4, 5, 200, 100))
    ).all()


def test_outside_the_slide_is_white(pyramid):
    for reader in (TiffSlide, OpenSlideSlide):
        got = reader(pyramid).read(0, Box(-10, 1090, 20, 20))
        assert (
            (got[:, :10] == 255).all() and (got[10:] == 255).all() and (got[:10, 10:] != 255).any()
        )


def test_a_thumbnail_is_the_slide_in_small(pyramid):
    small = thumbnail(open_slide(pyramid), 2.5)
    assert small.shape == (110, 150, 3)
    exact = Image.fromarray(scene(1500, 1100)).resize((150, 110), Image.Resampling.BOX)
    assert np.abs(small.astype(int) - np.asarray(exact)).mean() < 2


# --- refusals ---------------------------------------------------------------------------------


def test_a_slide_without_scale_is_refused_and_taken_with_one(tmp_path):
    path = tmp_path / "p.tiff"
    tifffile.imwrite(
        path,
        scene(512, 512),
        photometric="rgb",
        tile=(256, 256),
        compression="deflate",
    )
    with pytest.raises(MissingScale, match="--mpp"):
        open_slide(path)
    assert open_slide(path, mpp=0.5).mpp == 0.5


def test_an_impossible_scale_that_is_given_is_refused(pyramid):
    for mpp in (-1.0, 25.0):
        with pytest.raises(BadOption, match="--mpp"):
            open_slide(pyramid, mpp=mpp)


def test_boxes_that_lie_apart_are_read_apart(tmp_path):
    slide = open_slide(
        write_pyramid(
            tmp_path / "p.tiff",
            size=(1024, 1024),
            levels=5,
            compression="deflate",
        )
    )
    one, other = (read_box(slide, Box(x, 0, 960, 960), (60, 60)) for x in (0, 5))
    assert slide.levels[best_level(slide, 16)].downsample == 16 and (one != other).any()


def test_too_many_pixels_at_once_are_refused(pyramid):
    with pytest.raises(UnreadableImage, match="requested at once"):
        read_box(open_slide(pyramid), Box(0, 0, 100_000, 100_000), (100_000, 100_000))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_headers_are_refused_in_words(tmp_path, pyramid, seed):
    random = np.random.default_rng(seed)
    content = pyramid.read_bytes()
    for _ in range(25):
        spoiled = bytearray(content)
        for _ in range(3):
            spoiled[int(random.integers(4, 400))] = int(random.integers(256))
        path = tmp_path / "a.tiff"
        path.write_bytes(spoiled)
        try:
            slide = open_slide(path, mpp=0.5)
            slide.read(0, Box(0, 0, 300, 300))
        except HistosynthError:
            pass  # refused in a sentence; anything else fails the test


def test_dpi_of_a_printer_is_no_scale(tmp_path):
    with pytest.raises(MissingScale):
        open_slide(write_pyramid(tmp_path / "p.tiff", size=(512, 512), mpp=25_400 / 72))


def test_a_picture_under_the_name_of_a_slide_is_refused(tmp_path):
    Image.fromarray(scene(64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.svs")
    with pytest.raises(UnreadableImage, match="a PNG picture under the name of a slide"):
        open_slide(tmp_path / "a.svs", mpp=0.5)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9])
def test_a_slide_that_is_cut_off_is_refused(tmp_path, pyramid, keep):
    content = pyramid.read_bytes()
    path = tmp_path / "cut.tiff"
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises((UnreadableImage, MissingScale)):
        slide = open_slide(path)
        for level, size in enumerate(slide.levels):
            slide.read(level, Box(0, 0, size.width, size.height))


def test_a_header_that_says_an_impossible_size_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "bomb.tiff"
    write_pyramid(
        path,
        size=(512, 512),
        levels=1,
        compression="deflate",
    )
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(2_000_000_000, dtype="I")
    with pytest.raises(UnreadableImage, match="2,000,000,000 x 2,000,000,000 px, over the limit"):
        open_slide(path)


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "CMYK"])
def test_pictures_of_other_modes_are_refused(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(np.zeros((32, 32), np.uint16)).save(path)
    else:
        Image.new(mode, (32, 32)).save(path)
    with pytest.raises(NotRGB):
        open_slide(path, mpp=0.5)


def test_text_is_no_slide(tmp_path):
    (tmp_path / "a.svs").write_text("hello")
    with pytest.raises(UnreadableImage):
        open_slide(tmp_path / "a.svs")
    with pytest.raises(UnreadableImage, match="No such file"):
        open_slide(tmp_path / "absent.svs")


def test_readers_are_tried_in_order_until_one_takes_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.xyz"
    path.write_bytes(b"XYZ1")
    calls = []

    def refusing(name):
        def refuse(file, mpp):
            calls.append((name, mpp))
            raise NotThisReader(UnreadableImage(file, f"not for {name}"))

        return SlideReader(name, lambda file, start: start.startswith(b"XYZ"), refuse)

    def taking(file, mpp):
        calls.append(("taking", mpp))
        return "a slide"

    never = SlideReader("never", lambda file, start: start == b"", refusing("never").open)
    readers = (never, refusing("first"), refusing("second"))
    monkeypatch.setattr(opening, "SLIDE_READERS", readers)
    with pytest.raises(UnreadableImage, match="not for second"):
        open_slide(path)
    readers = (*readers, SlideReader("taking", lambda file, start: True, taking))
    monkeypatch.setattr(opening, "SLIDE_READERS", readers)
    assert open_slide(path, mpp=0.25) == "a slide"
    assert calls[-3:] == [("first", 0.25), ("second", 0.25), ("taking", 0.25)]


def test_every_suffix_of_a_picture_is_one_of_a_slide_too():
    assert set(IMAGE_SUFFIXES) < set(opening.SLIDE_SUFFIXES)
    names = [reader.name for reader in opening.SLIDE_READERS]
    assert names == ["picture", "OME-TIFF", "tifffile", "openslide", "wsidicom", "flat TIFF"]

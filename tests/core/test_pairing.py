"""Files of a folder, and their partners by stem: which are taken, their order, and refusals."""

from pathlib import Path

import pytest

from histosynth.core.errors import BadPairing, NoFiles
from histosynth.core.pairing import list_files, pair_by_stem


@pytest.fixture
def folder(tmp_path):
    """b.PNG, a.png, c.jpg, notes.txt, a folder d.png and the hidden file .e.png."""
    for name in ("b.PNG", "a.png", "c.jpg", "notes.txt", ".e.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.png").mkdir()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_files_are_sorted_by_name_and_their_endings_may_be_capitals(folder):
    assert names(list_files(folder, [".png"])) == ["a.png", "b.PNG"]
    assert names(list_files(folder, (".jpg", ".png"))) == ["a.png", "b.PNG", "c.jpg"]


def test_a_file_that_is_named_is_taken_whatever_its_ending(folder):
    for name in ("notes.txt", ".e.png"):
        assert list_files(folder / name, [".png"]) == [folder / name]


def test_partners_come_in_the_order_of_the_files(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("a.csv", "b.geojson", "c.CSV"):
        (other / name).write_text("")
    files = [Path("x/c.png"), Path("y/a.tif"), Path("b.png")]
    partners = pair_by_stem(files, other, [".csv", ".geojson"], "nuclei file")
    assert names(partners) == ["c.CSV", "a.csv", "b.geojson"]
    assert pair_by_stem(files, other / "a.csv", [".csv"], "nuclei file") == [other / "a.csv"] * 3


def refused(call, error):
    with pytest.raises(error) as caught:
        call()
    return caught.value


def test_a_path_without_files_is_refused_in_these_words(folder, monkeypatch):
    error = refused(lambda: list_files(folder / "d.png", [".png", ".jpg"]), NoFiles)
    assert str(error) == f"{folder}/d.png holds no file ending in .png, .jpg. Check the path."
    assert (error.path, error.suffixes) == (folder / "d.png", (".png", ".jpg"))
    error = refused(lambda: pair_by_stem([], folder / "none", [".csv"], "mask"), NoFiles)
    assert str(error) == (
        f"{folder}/none is not there; wanted a file or folder of files ending in .csv. "
        "Check the path."
    )

    for reason, shown in (((13, "Permission denied"), "Permission denied"), (("odd",), "odd")):

        def closed(self, reason=reason):
            raise OSError(*reason)

        monkeypatch.setattr("pathlib.Path.iterdir", closed)
        error = refused(lambda: list_files(folder, [".png", ".jpg"]), NoFiles)
        assert str(error) == (
            f"{folder} cannot be read ({shown}); wanted files ending in .png, .jpg. Check the path."
        )
        assert (error.path, error.suffixes) == (folder, (".png", ".jpg"))


def test_files_that_share_a_stem_are_refused_in_these_words(folder):
    for name in ("a.jpg", "c.png", "z.jpg"):
        (folder / name).write_text("")
    error = refused(lambda: list_files(folder, [".png", ".jpg"]), BadPairing)
    assert str(error) == (
        f"{folder} holds 4 files that share a stem with another (a.jpg, a.png, c.jpg, c.png), "
        "and a stem stands for one of them only. Rename them, or leave one of each stem."
    )
    assert error.twice == ("a.jpg", "a.png", "c.jpg", "c.png")
    assert error.left == error.right == ()


def test_files_and_partners_that_do_not_pair_are_refused_in_these_words(folder):
    def pair(*stems):
        return pair_by_stem([Path(f"{stem}.tif") for stem in stems], folder, [".png"], "mask")

    assert names(pair("b", "a")) == ["b.PNG", "a.png"]
    remedy = "Give both files the same stem, e.g. a.png and a.csv."
    for stems, parts in (
        ("ab", None),
        ("abc", "1 without a mask (c)"),
        ("b", "1 mask(s) without a partner (a)"),
        ("zy", "2 without a mask (z, y); 2 mask(s) without a partner (a, b)"),
    ):
        if parts is None:
            pair(*stems)
            continue
        error = refused(lambda stems=stems: pair(*stems), BadPairing)
        assert str(error) == f"The folders do not pair by file name: {parts}. {remedy}"
        assert error.twice == ()

"""`prepare orientation`: lines along the fibres of pictures."""

import numpy as np
from json_contract import check_json
from PIL import Image
from typer.testing import CliRunner

import histosynth as hs
from histosynth.annotation.orientation_lines import read_orientation_lines
from histosynth.cli.main import app


def stripes(folder, name, *, turned):
    y, x = np.mgrid[:128, :192]
    grey = 180 + 40 * np.sin((x if turned else y) / 2)
    pixels = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return pixels


def test_lines_lie_along_stripes_and_are_read_again(tmp_path):
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    pixels = stripes(tiles, "level.png", turned=False)
    stripes(tiles, "upright.png", turned=True)
    (tiles / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    words = ["prepare", "orientation", str(tiles), "--mpp", "0.5", "--out", str(out), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    found = check_json(done.stdout)
    assert list(found["refused"]) == ["broken.png"]
    assert min(found["strengths"].values()) > 0.9
    assert (out / "look" / "contact.png").is_file()
    level, upright = (
        read_orientation_lines(out / f"{name}.geojson").inside(hs.Box(0, 0, 192, 128))
        for name in ("level", "upright")
    )
    assert level.known.sum() == 5 * 8
    assert level.axes[level.known][:, 0].min() > 0.9
    assert upright.axes[upright.known][:, 0].max() < -0.9
    measured = hs.find_orientation(pixels).axes[level.known]
    np.testing.assert_allclose(level.axes[level.known], measured, atol=0.01)

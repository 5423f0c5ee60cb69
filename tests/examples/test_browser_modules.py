"""The page's numbers are the program's: maps, sizes, noise, grain and stain, computed by Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from grain_of_tests import white_patches
from page_noise import page_noise

import histosynth as hs
from histosynth.core.nuclei import ANY
from histosynth.tissue.appearance import Appearance, StainFrame
from histosynth.tissue.film_grain import add_grain
from histosynth.tissue.nucleus_sizes import LEVELS, ClassSizes, draw_shapes
from histosynth.tissue.position_hash import hashed_at

PAGE = Path(__file__).parents[2] / "examples" / "browser"
CLASSES = ("epithelial", "lymphocyte", "stromal")
SIZES = (
    ClassSizes(
        tuple(np.linspace(20, 90, len(LEVELS)).tolist()),
        tuple(np.linspace(1, 3, len(LEVELS)).tolist()),
    ),
    ClassSizes(),
    ClassSizes((30.0,) * len(LEVELS), (2.0,) * len(LEVELS)),
)
SEED = 12345678901
MODEL = {
    "size_levels": LEVELS,
    "sizes": [{"area_um2": each.area_um2, "elongation": each.elongation} for each in SIZES],
}
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed")


@pytest.fixture
def run(tmp_path):
    """The value of a JavaScript expression; `given` and what the modules export are known."""

    def value(expression, **given):
        for name in ("maps.js", "pixels.js"):
            shutil.copy(PAGE / name, tmp_path)
        (tmp_path / "package.json").write_text('{"type": "module"}')
        (tmp_path / "given.json").write_text(json.dumps(given))
        script = (
            'import { readFileSync } from "node:fs";\n'
            'import * as maps from "./maps.js";\n'
            'import * as pixels from "./pixels.js";\n'
            'const given = JSON.parse(readFileSync("given.json", "utf8"));\n'
            "const plain = (key, value) => {\n"
            "  if (ArrayBuffer.isView(value)) return Array.from(value);\n"
            '  return typeof value === "bigint" ? String(value) : value;\n'
            "};\n"
            f"const found = await (async () => ({expression}))();\n"
            "process.stdout.write(JSON.stringify(found, plain));\n"
        )
        (tmp_path / "script.js").write_text(script)
        done = subprocess.run(
            [NODE, "script.js"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return value


def nuclei_of(size=(136, 128), count=40):
    random = np.random.default_rng(4)
    xy = random.uniform(-0.5, np.array(size) - 0.51, (count, 2))
    xy[:4] = [[0.5, 1.5], [2.5, 4.5], [10, 11], [-0.5, -0.5]]  # nearest cells that are ambiguous
    names = random.choice([*CLASSES, ANY], count)
    return hs.Nuclei.of(xy, names, size=size, mpp=0.5, classes=CLASSES)


def as_plain(nuclei):
    shapes = nuclei.shapes_or_unknown().astype(float)
    rows = []
    for place, class_id, shape in zip(nuclei.xy, nuclei.class_ids, shapes, strict=True):
        known = None if np.isnan(shape).any() else shape.tolist()
        x, y = place.astype(float).tolist()
        rows.append({"x": x, "y": y, "classId": int(class_id), "shape": known})
    return rows


def test_hashes_are_the_same_words(run):
    found = run(
        "[[0, 0], [7, -3], [-9, 1000]].map(([x, y]) => maps.hashOf(given.seed)(x, y, 3))", seed=SEED
    )
    for (x, y), words in zip([(0, 0), (7, -3), (-9, 1000)], found, strict=True):
        expected = hashed_at(SEED, x, y, width=1, height=1, count=3).ravel()
        assert [int(word) for word in words] == expected.tolist()


def test_sizes_are_drawn_alike(run):
    nuclei = nuclei_of()
    expected = draw_shapes(nuclei, SIZES, seed=SEED)
    found = run(
        "maps.withShapes(given.nuclei, given.model, given.seed)",
        nuclei=as_plain(nuclei),
        model=MODEL,
        seed=SEED,
    )
    shapes = [each["shape"] or [np.nan] * 3 for each in found]
    assert np.isnan(expected.shapes).any() and np.isfinite(expected.shapes).any()
    np.testing.assert_allclose(np.array(shapes), expected.shapes, rtol=1e-6)


def test_maps_are_the_same(run):
    nuclei = draw_shapes(nuclei_of(), SIZES, seed=SEED)
    width, height = nuclei.size
    splats, shapes = run(
        "[maps.rasterize(given.nuclei, 3, given.width, given.height),"
        " maps.rasterizeShapes(given.nuclei, 0.5, given.width, given.height)]",
        nuclei=as_plain(nuclei),
        width=width,
        height=height,
    )
    expected = nuclei.rasterize(cell=2)
    assert expected.max() == 1
    np.testing.assert_allclose(np.array(splats).reshape(expected.shape), expected, atol=1e-6)
    expected = nuclei.rasterize_shapes(cell=2)
    np.testing.assert_allclose(np.array(shapes).reshape(expected.shape), expected, atol=1e-6)


def test_noise_is_normal_and_of_its_seed_alone(run):
    first, again, other = run(
        "[given.seed, given.seed, 1].map((s) => maps.gaussians(s, 4001))", seed=SEED
    )
    assert first == again != other
    np.testing.assert_allclose(first, page_noise(SEED, 4001), atol=1e-6)
    assert abs(np.mean(first)) < 0.05 and abs(np.std(first) - 1) < 0.05
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_grain_is_the_same(run):
    random = np.random.default_rng(3)
    canonical = random.uniform(0, 255, (40, 48, 3)).astype(np.float32)
    patches = white_patches(64)
    strength = np.array([3.0, 4.0, 5.0], np.float32)
    expected = add_grain(canonical, patches, strength, seed=SEED)
    found = run(
        """(() => {
          const { looks, rows, columns } = pixels.looksOf(given.canonical, 48, 40, given.seed);
          const count = given.posed[0].length;
          const poses = [];
          const patches = [];
          for (let cell = 0; cell < rows * columns; cell += 1) {
            let best = 0;
            let most = -Infinity;
            for (let index = 0; index < count; index += 1) {
              let closeness = 0;
              for (let place = 0; place < 36; place += 1) {
                const own = given.posed[place][index];
                closeness += looks[36 * cell + place] * own - own * own / 2;
              }
              if (closeness > most) [best, most] = [index, closeness];
            }
            poses.push(Math.floor(best / given.lost.length));
            patches.push(...given.lost[best % given.lost.length]);
          }
          return pixels.withGrain(Float32Array.from(given.canonical), 48, 40,
            { poses, patches, rows, columns }, given.strength);
        })()""",
        canonical=canonical.ravel().tolist(),
        posed=patches.posed_looks[:-1].tolist(),
        lost=patches.lost.reshape(64, -1).tolist(),
        strength=strength.tolist(),
        seed=SEED,
    )
    assert np.abs(expected - canonical).max() > 3
    np.testing.assert_allclose(np.array(found).reshape(canonical.shape), expected, atol=1e-3)


def test_stain_is_the_same(run):
    random = np.random.default_rng(3)
    canonical = random.uniform(0, 255, (30, 20, 3)).astype(np.float32)
    extremes = np.array([70.0, 40, 90, 240], np.float32)
    appearance = Appearance(StainFrame((0.8, 1.3, 1.0)), np.zeros(13, np.float32))
    plain, clipped = run(
        "[null, given.extremes].map((e) => pixels.inStain(Float32Array.from(given.canonical),"
        " [0.8, 1.3, 1.0], e))",
        canonical=canonical.ravel().tolist(),
        extremes=extremes.tolist(),
    )
    expected = appearance.apply(canonical)
    np.testing.assert_allclose(np.array(plain).reshape(expected.shape), expected, atol=1e-3)
    expected = appearance.apply(canonical, lambda pixels: pixels, extremes)
    np.testing.assert_allclose(np.array(clipped).reshape(expected.shape), expected, atol=1e-3)
    assert np.abs(np.subtract(plain, clipped)).max() > 1

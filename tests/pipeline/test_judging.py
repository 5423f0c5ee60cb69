"""`evaluate`: from folders or tile sets to a report, the same on every engine, stopped or not."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "prepare"))
from glass import tissue

from histosynth.core.errors import (
    BadOption,
    BadPairing,
    BadTable,
    MissingScale,
    NoFiles,
    SizeMismatch,
    SplitLeak,
)
from histosynth.core.geometry import Box
from histosynth.core.nuclei import Nuclei
from histosynth.core.nuclei_io import write_csv
from histosynth.core.tile import TileRef, encode_png, write_mask
from histosynth.core.tileset import Row, write_rows
from histosynth.engine import open_engine
from histosynth.pipeline.judging import Ask, Plan, Question, dry_run, evaluate
from histosynth.pipeline.judging.collections import open_collection
from histosynth.pipeline.judging.items import read_item

SIDE = 128
KINDS = ("nucleus",)


def save(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{name}.png")


def barcode(number):
    return f"TCGA-AA-{number:04d}-01Z"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folders real, made (two variants each), train and nuclei; made tiles are other tissue of like kind."""
    root = tmp_path_factory.mktemp("world")
    for number in range(9):
        for part in range(2):
            name = f"{barcode(number)}-{part}"
            pixels, xy = tissue(SIDE, SIDE, seed=100 + 2 * number + part)
            save(root / "real", name, pixels)
            nuclei = Nuclei.of(xy, ["nucleus"] * len(xy), size=(SIDE, SIDE), mpp=0.5, kinds=KINDS)
            (root / "nuclei").mkdir(exist_ok=True)
            write_csv(root / "nuclei" / f"{name}.csv", nuclei)
            for variant in range(2):
                made, _ = tissue(SIDE, SIDE, seed=1000 + 10 * number + 2 * part + variant)
                save(root / "made", f"{name}_{variant}", made)
    for number in range(20, 32):
        save(root / "train", f"{barcode(number)}-0", tissue(200, 180, seed=number)[0])
    return root


def question(world, **more):
    base = Question(
        world / "real", world / "made", reference=world / "train", conditions=world / "nuclei",
        ask=Ask(mpp=0.5), plan=Plan(detectors=("blobs",)),
    )  # fmt: skip
    return replace(base, **more)


def judged(ask, out, engine="local"):
    return evaluate(ask, out, engine=open_engine(engine, workers=2))


def section(report, key):
    (one,) = [each for each in report.sections if each.key == key]
    return one


def named(report, key, name):
    (one,) = [each for each in section(report, key).findings if each.name == name]
    return one


@pytest.fixture(scope="module")
def report(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged")
    return judged(question(world), out), out


def test_every_judge_that_the_inputs_allow_is_heard(report):
    found, out = report
    keys = [each.key for each in found.sections]
    assert keys == ["realism", "structure", "morphology", "layout", "copying", "quality", "stain"]
    facts = json.loads((out / "report.json").read_text())
    assert set(facts["sections"]) == set(keys)
    assert facts["synthetic"]["tiles"] == 36 and facts["synthetic"]["patients"] == 9
    assert facts["reference"]["patients"] == 12
    assert "<html" in (out / "report.html").read_text()


def test_variants_belong_to_the_nuclei_that_they_were_made_from(report):
    counts = named(report[0], "structure", "recall_blobs")
    assert counts.value.groups == 9 and counts.real.value > 0.8
    assert counts.value.value < counts.real.value  # other nuclei than asked for


def test_nothing_unseen_is_called_a_copy(report):
    assert section(report[0], "copying").facts["suspected"] == 0


def test_a_training_crop_among_made_tiles_is_called_a_copy_and_shown(world, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for path in (world / "made").iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    source = np.asarray(Image.open(world / "train" / f"{barcode(25)}-0.png"))
    save(made, f"{barcode(3)}-0_0", np.ascontiguousarray(np.rot90(source[31 : 31 + SIDE, 17 : 17 + SIDE])))
    found = judged(question(world, made=made, judges=("copying",)), tmp_path / "out")
    told = section(found, "copying")
    assert told.facts["suspected"] == 1
    assert f"{barcode(3)}-0_0" in told.verdict
    text, (mine, theirs) = told.galleries[0].rows[0]
    assert f"{barcode(25)}-0" in text
    assert np.abs(mine.astype(int) - theirs.astype(int)).mean() < 20  # lie on each other, to the pixel or two


def test_a_pool_says_what_one_process_says(world, report, tmp_path):
    again = judged(question(world, judges=("copying",)), tmp_path, "pool")
    assert section(again, "copying").as_dict() == section(report[0], "copying").as_dict()


def test_running_again_measures_only_what_changed(world, tmp_path, monkeypatch):
    ask = question(world, judges=("stain",))
    judged(ask, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".measured").iterdir()}
    judged(ask, tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".measured").iterdir()} == before
    made = tmp_path / "made"
    made.mkdir()
    for number, path in enumerate(sorted((world / "made").iterdir())):
        dark = np.asarray(Image.open(path)) // 2 if number == 0 else np.asarray(Image.open(path))
        save(made, path.stem, dark)
    after = judged(replace(ask, made=made), tmp_path)
    assert {path.name for path in (tmp_path / ".measured").iterdir()} == set(before)
    assert named(after, "stain", "stain_od_red_difference").value.value != 0


def test_tile_sets_are_taken_as_folders_are(world, report, tmp_path):
    for side in ("real", "made"):
        rows = []
        for path in sorted((world / side).iterdir()):
            stem = path.stem.rsplit("_", 1)[0]
            pixels = np.asarray(Image.open(path))
            xy = np.loadtxt(
                world / "nuclei" / f"{stem}.csv", delimiter=",", skiprows=1, usecols=(0, 1)
            ).reshape(-1, 2)
            nuclei = Nuclei.of(xy, ["nucleus"] * len(xy), size=(SIDE, SIDE), mpp=0.5, kinds=KINDS)
            ref = TileRef(path.stem, stem[:12], Box(0, 0, SIDE, SIDE), 0.5)
            rows.append(Row(ref, image=encode_png(pixels), nuclei=nuclei))
        folder = tmp_path / side
        folder.mkdir()
        write_rows(folder / "a.parquet", rows, {})
    sets = question(
        world, real=tmp_path / "real", made=tmp_path / "made", conditions=None, judges=("structure", "stain")
    )
    found = judged(sets, tmp_path / "out")
    for key, name in (("structure", "F1_blobs"), ("stain", "stain_W1")):
        assert named(found, key, name).value.value == pytest.approx(named(report[0], key, name).value.value)


def test_a_spoilt_picture_is_a_row_in_the_report(world, tmp_path):
    made = tmp_path / "made"
    for path in (world / "made").iterdir():
        save(made, path.stem, np.asarray(Image.open(path)))
    (made / f"{barcode(0)}-0_0.png").write_bytes((made / f"{barcode(0)}-0_0.png").read_bytes()[:900])
    (made / f"{barcode(1)}-0_0.png").write_bytes(b"no picture")
    save(made, f"{barcode(2)}-0_0", np.full((SIDE, SIDE, 3), 201, np.uint8))  # constant: fine, if odd
    found = judged(question(world, made=made), tmp_path / "out")
    assert set(found.refused) == {f"synthetic {barcode(0)}-0_0", f"synthetic {barcode(1)}-0_0"}
    assert named(found, "stain", "stain_od_red_difference").value.n in (34, 33)
    json.dumps(found.as_dict(), allow_nan=False)


def test_holes_are_judged_inside_at_the_seam_and_outside(world, tmp_path):
    hole = np.zeros((SIDE, SIDE), bool)
    hole[40:90, 30:100] = True
    for number, path in enumerate(sorted((world / "real").iterdir())):
        write_mask(tmp_path / "holes" / f"{path.stem}.png", hole)
        mended = np.asarray(Image.open(path)).copy()
        mended[hole] = tissue(SIDE, SIDE, seed=number)[0][hole]
        if number == 4:
            mended[0, 0] += 1
        save(tmp_path / "made", path.stem, mended)
    found = judged(
        question(world, made=tmp_path / "made", holes=tmp_path / "holes", judges=("mending",)),
        tmp_path / "out",
    )
    assert named(found, "mending", "outside_largest").value.value == 1
    assert barcode(2) in section(found, "mending").verdict
    assert named(found, "mending", "perceptual_histo_inside").value.value > 0


def test_patients_of_the_training_set_may_not_be_judged(world, tmp_path):
    for path in [*(world / "train").iterdir(), world / "real" / f"{barcode(3)}-0.png"]:
        save(tmp_path / "train", path.stem, np.asarray(Image.open(path)))
    with pytest.raises(SplitLeak, match="TCGA-AA-0003"):
        judged(question(world, reference=tmp_path / "train"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sizes_and_scales_must_be_one(world, tmp_path):
    for path in (world / "made").iterdir():
        save(tmp_path / "made", path.stem, np.asarray(Image.open(path))[:96, :96])
    with pytest.raises(SizeMismatch, match=r"128 x 128 px.*96 x 96 px.*--crop 96"):
        judged(question(world, made=tmp_path / "made"), tmp_path / "out")
    cut = question(
        world, made=tmp_path / "made", judges=("stain",), ask=Ask(mpp=0.5, crop=96), conditions=None
    )
    assert judged(cut, tmp_path / "out").synthetic.size_px == (96, 96)
    with pytest.raises(MissingScale):
        open_collection(world / "real", Ask())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"judges": ("beauty",)}, BadOption, "realism, structure"),
        ({"judges": ("mending",)}, BadOption, "--holes"),
        ({"reference": None, "judges": ("copying",)}, BadOption, "--reference"),
        ({"conditions": None, "judges": ("structure",)}, BadOption, "--conditions"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_measured(world, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        judged(question(world, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_tile_is_no_set(world, tmp_path):
    save(tmp_path / "made", f"{barcode(0)}-0_0", tissue(SIDE, SIDE, seed=1)[0])
    with pytest.raises(BadOption, match="1 tile"):
        judged(question(world, made=tmp_path / "made"), tmp_path / "out")
    with pytest.raises(NoFiles):
        judged(question(world, made=tmp_path / "nowhere"), tmp_path / "out")


def test_nuclei_of_other_tiles_are_refused(world, tmp_path):
    write_csv(tmp_path / "n" / "other.csv", Nuclei.none((SIDE, SIDE), 0.5, KINDS))
    with pytest.raises(BadPairing):
        judged(question(world, conditions=tmp_path / "n"), tmp_path / "out")


def test_a_table_says_whose_tiles_they_are_and_of_which_subtype(world, tmp_path):
    lines = ["slide,patient,label"]
    for path in sorted((world / "real").iterdir()):
        lines.append(f"{path.stem},p{path.stem[8:12]},{'viable' if path.stem < barcode(5) else 'necrotic'}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = open_collection(world / "real", Ask(mpp=0.5, table=tmp_path / "t.csv"))
    assert {item.label for item in found.items} == {"viable", "necrotic"}
    assert found.patients == {f"p{number:04d}" for number in range(9)}
    (tmp_path / "t.csv").write_text("name\nx\n")
    with pytest.raises(BadTable):
        open_collection(world / "real", Ask(mpp=0.5, table=tmp_path / "t.csv"))


def test_crops_reach_from_edge_to_edge_and_keep_their_nuclei(world):
    found = open_collection(world / "train", Ask(mpp=0.5, crop=96))
    boxes = [item.box for item in found.items if item.name.startswith(barcode(20))]
    assert {(box.x, box.y) for box in boxes} == {(0, 0), (84, 0), (0, 104), (84, 104)} or len(boxes) == 4
    pixels, nuclei = read_item(found.items[0], (), {})
    assert pixels.shape == (96, 96, 3) and nuclei is None


def test_a_dry_run_says_who_would_judge_what(world):
    facts = dry_run(question(world))
    assert facts["synthetic tiles"] == "36 of 9 patients"
    assert facts["classes"] == "nucleus" and "copying" in facts["judges"]


def test_a_damaged_measurement_is_told(world, tmp_path):
    ask = question(world, judges=("stain",))
    judged(ask, tmp_path)
    for path in (tmp_path / ".measured").iterdir():
        path.write_bytes(b"spoilt")
    assert judged(ask, tmp_path).sections  # measured again


def test_losses_of_the_bundle_are_judged_where_it_is_given(world, tmp_path, bundle_folder):
    found = judged(question(world, bundle=bundle_folder, judges=("stain",)), tmp_path)
    auc = named(found, "membership", "membership_AUC")
    assert 0 <= auc.value.value <= 1 and auc.value.groups == 21


def test_classes_are_the_same_on_all_sides_whether_their_nuclei_are_marked_or_not(world, tmp_path):
    """The reference has no nuclei files, some tiles have none either, and no detector knows one class."""
    for number, path in enumerate(sorted((world / "nuclei").iterdir())):
        if number % 3:
            kinds = ["immune", "mitosis", "tumour"]
            xy = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 1)).reshape(-1, 2)
            names = [kinds[place % 3] for place in range(len(xy))]
            write_csv(
                tmp_path / "n" / path.name, Nuclei.of(xy, names, size=(SIDE, SIDE), mpp=0.5, kinds=kinds)
            )
    plan = Plan(detectors=("centroids", "blobs"))
    ask = question(world, conditions=tmp_path / "n", plan=plan, judges=("morphology", "layout", "structure"))
    found = judged(ask, tmp_path / "out")
    immune = named(found, "morphology", "W1_immune")
    assert immune.real is None or not immune.real.told  # nobody marked the reference, no detector knows them
    assert named(found, "layout", "L_from_real_all").value.told


def test_a_file_changed_in_its_middle_is_measured_again(world, tmp_path):
    made = tmp_path / "made"
    for path in (world / "made").iterdir():
        pixels = np.asarray(Image.open(path))
        made.mkdir(exist_ok=True)
        Image.fromarray(np.tile(pixels, (3, 3, 1))).save(made / f"{path.stem}.tif")
        save(tmp_path / "real", path.stem.rsplit("_", 1)[0], np.tile(pixels, (3, 3, 1)))
    ask = question(
        world, real=tmp_path / "real", made=made, reference=None, conditions=None, judges=("stain",)
    )
    before = judged(ask, tmp_path / "out")
    for path in made.iterdir():
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle - 60_000 : middle + 60_000] = bytes(120_000)
        path.write_bytes(data)
    after = judged(ask, tmp_path / "out")
    values = [named(each, "stain", "stain_od_red_difference").value.value for each in (before, after)]
    assert abs(values[1] - values[0]) > 0.1
    assert before.synthetic.sha256 != after.synthetic.sha256


def test_a_copy_is_credited_to_its_source_where_another_tile_is_spoilt(world, tmp_path):
    for number, path in enumerate(sorted((world / "train").iterdir())):
        target = tmp_path / "train" / f"{path.stem}@20x.jpg"
        target.parent.mkdir(exist_ok=True)
        Image.open(path).save(target, quality=95)
        if number == 0:
            target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    for path in (world / "made").iterdir():
        save(tmp_path / "made", path.stem, np.asarray(Image.open(path)))
    source = np.asarray(Image.open(world / "train" / f"{barcode(25)}-0.png"))
    save(tmp_path / "made", f"{barcode(3)}-0_0", source[31 : 31 + SIDE, 17 : 17 + SIDE])
    ask = question(world, made=tmp_path / "made", reference=tmp_path / "train", judges=("copying",))
    told = section(judged(ask, tmp_path / "out"), "copying")
    assert f"{barcode(25)}-0@20x" in told.galleries[0].rows[0][0]


def test_what_a_made_picture_states_of_its_scale_counts(world, tmp_path):
    from histosynth.core.synthetic import write_marked

    for path in (world / "made").iterdir():
        (tmp_path / "made").mkdir(exist_ok=True)
        write_marked(tmp_path / "made" / path.name, np.asarray(Image.open(path)), {"mpp": 0.5})
    with pytest.raises(BadOption, match=r"0.25 and 0.5 um/px"):
        judged(question(world, made=tmp_path / "made", ask=Ask(mpp=0.25)), tmp_path / "out")

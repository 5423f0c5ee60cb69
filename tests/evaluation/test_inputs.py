"""`evaluate` on odd, spoilt and mismatched inputs: what is refused, and what goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import CLASSES, SIDE, barcode, config, evaluated, named, save, section, tissue
from PIL import Image

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import (
    BadOption,
    BadPairing,
    BadRecipe,
    BadTable,
    BadWeights,
    BundleMismatch,
    MissingScale,
    NeedsExtra,
    NoFiles,
    SizeMismatch,
    SplitLeak,
)
from histosynth.core.images import write_mask
from histosynth.core.nuclei import Nuclei
from histosynth.core.synthetic import write_synthetic
from histosynth.evaluation import InputOptions, MeasureSettings, dry_run
from histosynth.evaluation.assembly import warnings_of
from histosynth.evaluation.inputs.collections import open_collection
from histosynth.evaluation.inputs.items import read_item
from histosynth.evaluation.inputs.opening import open_inputs


def test_a_spoilt_picture_is_a_row_in_the_report(world, tmp_path):
    synthetic = tmp_path / "made"
    for path in (world / "made").iterdir():
        save(synthetic, path.stem, np.asarray(Image.open(path)))
    (synthetic / f"{barcode(0)}-0_0.png").write_bytes(
        (synthetic / f"{barcode(0)}-0_0.png").read_bytes()[:900]
    )
    (synthetic / f"{barcode(1)}-0_0.png").write_bytes(b"no picture")
    save(
        synthetic, f"{barcode(2)}-0_0", np.full((SIDE, SIDE, 3), 201, np.uint8)
    )  # constant: fine, if odd
    found = evaluated(config(world, synthetic=synthetic), tmp_path / "out")
    assert set(found.refused) == {f"synthetic {barcode(0)}-0_0", f"synthetic {barcode(1)}-0_0"}
    assert named(found, "stain", "stain_od_red_difference").value.n in (34, 33)
    json.dumps(found.as_dict(), allow_nan=False)


def test_masks_are_measured_inside_at_the_boundary_and_outside(world, tmp_path):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[40:90, 30:100] = True
    for number, path in enumerate(sorted((world / "real").iterdir())):
        write_mask(tmp_path / "holes" / f"{path.stem}.png", mask)
        completed = np.asarray(Image.open(path)).copy()
        completed[mask] = tissue(SIDE, SIDE, seed=number)[0][mask]
        if number == 4:
            completed[0, 0] += 1
        save(tmp_path / "made", path.stem, completed)
    found = evaluated(
        config(
            world,
            synthetic=tmp_path / "made",
            masks=tmp_path / "holes",
            metrics=("inpainting",),
        ),
        tmp_path / "out",
    )
    assert named(found, "inpainting", "outside_largest").value.value == 1
    assert barcode(2) in section(found, "inpainting").verdict
    assert named(found, "inpainting", "perceptual_histo_inside").value.value > 0


def test_a_barcode_of_the_training_set_is_refused_whatever_its_stated_patient(world, tmp_path):
    lines = ["slide,patient"]
    for side in ("real", "train"):
        for path in (world / side).iterdir():
            (tmp_path / side).mkdir(exist_ok=True)
            name = f"{side}_{path.name}".replace(barcode(20), barcode(3))
            (tmp_path / side / name).write_bytes(path.read_bytes())
            lines.append(f"{Path(name).stem},{side} {path.stem}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    inputs = InputOptions(mpp=0.5, table=tmp_path / "t.csv")
    with pytest.raises(SplitLeak) as caught:
        open_inputs(
            config(
                world,
                real=tmp_path / "real",
                reference=tmp_path / "train",
                inputs=inputs,
                conditions=None,
            )
        )
    assert caught.value.patients == ("TCGA-AA-0003 (barcode in the names)",)


def test_synthetic_names_need_no_patient_where_real_names_have_one(world, tmp_path):
    for number, path in enumerate(sorted((world / "made").iterdir())):
        save(tmp_path / "made", f"sample_{number}", np.asarray(Image.open(path)))
    inputs = InputOptions(mpp=0.5, patient=r"^TCGA-AA-(\d{4})")
    opened = open_inputs(config(world, synthetic=tmp_path / "made", inputs=inputs, conditions=None))
    assert opened.real.patients == {f"{number:04d}" for number in range(9)}
    assert len(opened.synthetic.patients) == 36
    with pytest.raises(BadRecipe, match="finds no patient in sample_0"):
        open_inputs(config(world, real=tmp_path / "made", inputs=inputs, conditions=None))


def test_patients_of_the_training_set_are_refused(world, tmp_path):
    for path in [*(world / "train").iterdir(), world / "real" / f"{barcode(3)}-0.png"]:
        save(tmp_path / "train", path.stem, np.asarray(Image.open(path)))
    with pytest.raises(SplitLeak, match="TCGA-AA-0003"):
        evaluated(config(world, reference=tmp_path / "train"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sizes_and_scales_must_be_one(world, tmp_path):
    for path in (world / "made").iterdir():
        save(tmp_path / "made", path.stem, np.asarray(Image.open(path))[:96, :96])
    with pytest.raises(SizeMismatch, match=r"128 x 128 px.*96 x 96 px.*--crop 96"):
        evaluated(config(world, synthetic=tmp_path / "made"), tmp_path / "out")
    cut = config(
        world,
        synthetic=tmp_path / "made",
        metrics=("stain",),
        inputs=InputOptions(mpp=0.5, crop=96),
        conditions=None,
    )
    assert evaluated(cut, tmp_path / "out").synthetic.size_px == (96, 96)
    with pytest.raises(MissingScale):
        open_collection(world / "real", InputOptions())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"metrics": ("beauty",)}, BadOption, "realism, structure"),
        ({"metrics": ("inpainting",)}, BadOption, "--masks"),
        ({"reference": None, "metrics": ("copying",)}, BadOption, "--reference"),
        ({"conditions": None, "metrics": ("structure",)}, BadOption, "--conditions"),
        ({"bundle": Path("nowhere")}, BundleMismatch, "nowhere"),
        (
            {"measurement": MeasureSettings(nima=Path("nowhere"))},
            (BadWeights, NeedsExtra),
            "nima|nowhere",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_measured(
    world,
    tmp_path,
    change,
    error,
    words,
):
    with pytest.raises(error, match=words):
        evaluated(config(world, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_tile_is_no_set(world, tmp_path):
    save(tmp_path / "made", f"{barcode(0)}-0_0", tissue(SIDE, SIDE, seed=1)[0])
    with pytest.raises(BadOption, match="1 tile"):
        evaluated(config(world, synthetic=tmp_path / "made"), tmp_path / "out")
    with pytest.raises(NoFiles):
        evaluated(config(world, synthetic=tmp_path / "nowhere"), tmp_path / "out")


def test_nuclei_of_other_tiles_are_refused(world, tmp_path):
    write_csv(tmp_path / "n" / "other.csv", Nuclei.none((SIDE, SIDE), 0.5, CLASSES))
    with pytest.raises(BadPairing):
        evaluated(config(world, conditions=tmp_path / "n"), tmp_path / "out")


def test_a_table_says_whose_tiles_they_are_and_of_which_subtype(world, tmp_path):
    lines = ["slide,patient,label"]
    for path in sorted((world / "real").iterdir()):
        lines.append(
            f"{path.stem},p{path.stem[8:12]},{'viable' if path.stem < barcode(5) else 'necrotic'}"
        )
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = open_collection(world / "real", InputOptions(mpp=0.5, table=tmp_path / "t.csv"))
    assert {item.label for item in found.items} == {"viable", "necrotic"}
    assert found.patients == {f"p{number:04d}" for number in range(9)}
    (tmp_path / "t.csv").write_text("name\nx\n")
    with pytest.raises(BadTable):
        open_collection(world / "real", InputOptions(mpp=0.5, table=tmp_path / "t.csv"))


def test_crops_reach_from_edge_to_edge_and_keep_their_nuclei(world):
    found = open_collection(world / "train", InputOptions(mpp=0.5, crop=96))
    boxes = [item.box for item in found.items if item.name.startswith(barcode(20))]
    assert {(box.x, box.y) for box in boxes} == {(0, 0), (84, 0), (0, 104), (84, 104)} or len(
        boxes
    ) == 4
    pixels, nuclei = read_item(found.items[0], (), {})
    assert pixels.shape == (96, 96, 3) and nuclei is None


def test_a_crop_of_a_tile_without_nuclei_has_zero_nuclei_not_unknown_ones(world, tmp_path):
    """Zero nuclei that are known count in the structure metric; unknown ones would drop out."""
    found = open_collection(world / "train", InputOptions(mpp=0.5, crop=96))
    item = replace(found.items[0], points=tmp_path / "none.csv")
    item.points.write_text("x,y,class\n")
    _, nuclei = read_item(item, ("nucleus",), {})
    assert nuclei is not None and len(nuclei) == 0 and nuclei.size == (96, 96)


def test_a_dry_run_reports_which_metrics_would_be_computed(world):
    facts = dry_run(config(world))
    assert facts["synthetic tiles"] == "36 of 9 patients"
    assert facts["classes"] == "nucleus" and "copying" in facts["metrics"]


def test_whoever_watches_is_told_of_files_opened_on_each_side(world):
    told = []
    open_inputs(config(world), lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == [0, 0, 0] and all(total for _, total in told)


def test_nuclei_without_classes_count_as_one_class(world, tmp_path):
    (tmp_path / "n").mkdir()
    for path in (world / "nuclei").iterdir():
        (tmp_path / "n" / path.name).write_text(path.read_text().replace("nucleus", "any"))
    opened = open_inputs(config(world, conditions=tmp_path / "n"))
    assert opened.measurement.classes == ("nucleus",) and "structure" in opened.metrics
    found = evaluated(
        config(world, conditions=tmp_path / "n", metrics=("structure", "layout")), tmp_path / "out"
    )
    classed = evaluated(config(world, metrics=("structure", "layout")), tmp_path / "classed")
    assert (
        named(found, "structure", "F1_blobs").value == named(classed, "structure", "F1_blobs").value
    )


def test_a_damaged_measurement_is_told(world, tmp_path):
    inputs = config(world, metrics=("stain",))
    evaluated(inputs, tmp_path)
    for path in (tmp_path / ".measured").iterdir():
        path.write_bytes(b"spoilt")
    assert evaluated(inputs, tmp_path).sections  # measured again


def test_losses_of_the_bundle_are_compared_where_it_is_given(world, tmp_path, bundle_folder):
    found = evaluated(config(world, bundle=bundle_folder, metrics=("stain",)), tmp_path)
    auc = named(found, "membership", "membership_AUC")
    assert 0 <= auc.value.value <= 1 and auc.value.groups == 21


def test_classes_are_the_same_on_all_sides_whether_their_nuclei_are_marked_or_not(world, tmp_path):
    """The reference has no nuclei files, some tiles have none either, and no detector knows one
    class."""
    for number, path in enumerate(sorted((world / "nuclei").iterdir())):
        if number % 3:
            classes = ["immune", "mitosis", "tumour"]
            xy = np.loadtxt(
                path,
                delimiter=",",
                skiprows=1,
                usecols=(0, 1),
            ).reshape(-1, 2)
            names = [classes[place % 3] for place in range(len(xy))]
            write_csv(
                tmp_path / "n" / path.name,
                Nuclei.of(
                    xy,
                    names,
                    size=(SIDE, SIDE),
                    mpp=0.5,
                    classes=classes,
                ),
            )
    plan = MeasureSettings(detectors=("centroids", "blobs"))
    inputs = config(
        world,
        conditions=tmp_path / "n",
        measurement=plan,
        metrics=("morphology", "layout", "structure"),
    )
    found = evaluated(inputs, tmp_path / "out")
    immune = named(found, "morphology", "W1_immune")
    assert (
        immune.real is None or not immune.real.is_defined
    )  # nobody marked the reference, no detector knows them
    assert named(found, "layout", "L_from_real_all").value.is_defined


def test_a_file_changed_in_its_middle_is_measured_again(world, tmp_path):
    synthetic = tmp_path / "made"
    for path in (world / "made").iterdir():
        pixels = np.asarray(Image.open(path))
        synthetic.mkdir(exist_ok=True)
        Image.fromarray(np.tile(pixels, (3, 3, 1))).save(synthetic / f"{path.stem}.tif")
        save(tmp_path / "real", path.stem.rsplit("_", 1)[0], np.tile(pixels, (3, 3, 1)))
    inputs = config(
        world,
        real=tmp_path / "real",
        synthetic=synthetic,
        reference=None,
        conditions=None,
        metrics=("stain",),
    )
    before = evaluated(inputs, tmp_path / "out")
    for path in synthetic.iterdir():
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle - 60_000 : middle + 60_000] = bytes(120_000)
        path.write_bytes(data)
    after = evaluated(inputs, tmp_path / "out")
    values = [
        named(each, "stain", "stain_od_red_difference").value.value for each in (before, after)
    ]
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
    save(
        tmp_path / "made",
        f"{barcode(3)}-0_0",
        source[31 : 31 + SIDE, 17 : 17 + SIDE],
    )
    inputs = config(
        world,
        synthetic=tmp_path / "made",
        reference=tmp_path / "train",
        metrics=("copying",),
    )
    told = section(evaluated(inputs, tmp_path / "out"), "copying")
    assert f"{barcode(25)}-0@20x" in told.galleries[0].rows[0][0]


def test_what_a_made_picture_states_of_its_scale_counts(world, tmp_path):
    for path in (world / "made").iterdir():
        (tmp_path / "made").mkdir(exist_ok=True)
        write_synthetic(
            tmp_path / "made" / path.name,
            np.asarray(Image.open(path)),
            {"mpp": 0.5},
        )
    with pytest.raises(BadOption, match=r"0.25 and 0.5 um/px"):
        evaluated(
            config(world, synthetic=tmp_path / "made", inputs=InputOptions(mpp=0.25)),
            tmp_path / "out",
        )


def own_patient_warnings(folder, **options):
    """Sides whose tiles are said to count as patients of their own."""
    opened = open_inputs(config(folder, conditions=None, reference=None, **options))
    texts = warnings_of(opened, config(folder, **options))
    return [text.split(" counts as")[0] for text in texts if "patient of its own" in text]


@pytest.mark.parametrize(
    ("names", "pattern", "warned"),
    [
        ([barcode(1), barcode(2)], "", False),
        (["TCGA-AA-0001", "TCGA-AA-0002"], "", False),
        (["case1_a", "case2_a"], r"^(case\d)", False),
        (["case1", "case2"], r"^(case\d)", False),
        (["case1", "case2"], "", True),
    ],
)
def test_tiles_count_as_patients_only_where_no_patient_is_stated(tmp_path, names, pattern, warned):
    for number, name in enumerate(names):
        for side in ("real", "made"):
            save(tmp_path / side, name, tissue(SIDE, SIDE, seed=number)[0])
    found = own_patient_warnings(tmp_path, inputs=InputOptions(mpp=0.5, patient=pattern))
    assert found == (["Each tile of real", "Each tile of made"] if warned else [])


@pytest.mark.parametrize(
    ("nuclei", "given"),
    [
        (None, False),
        ({"counts": {"lymphocyte": 3, "stromal": 0}, "sha256": ""}, True),
        ({"counts": {"lymphocyte": 0}, "sha256": ""}, False),
        ({"counts": {"lymphocyte": "many"}}, False),
        ({"counts": [3]}, False),
        ("many", False),
    ],
)
def test_a_recipe_states_whether_a_tile_was_given_nuclei(tmp_path, nuclei, given):
    pixels = tissue(SIDE, SIDE, seed=1)[0]
    write_synthetic(tmp_path / "a.png", pixels, {"mpp": 0.5, "nuclei": nuclei})
    (item,) = open_collection(tmp_path, InputOptions(mpp=0.5)).items
    assert item.given_nuclei is given


def test_tiles_that_state_their_nuclei_are_judged_beyond_the_layout(world, tmp_path):
    """The training tiles themselves, with recipes that state nuclei: the tissue gives them away."""
    for path in sorted((world / "train").iterdir())[:4]:
        pixels = np.asarray(Image.open(path))[:SIDE, :SIDE]
        recipe = {"mpp": 0.5, "nuclei": {"counts": {"nucleus": 9}}}
        (tmp_path / "made").mkdir(exist_ok=True)
        write_synthetic(tmp_path / "made" / path.name, pixels, recipe)
    report = evaluated(
        config(world, synthetic=tmp_path / "made", conditions=None, metrics=("copying",)),
        tmp_path / "out",
    )
    facts = section(report, "copying").facts
    assert (facts["suspected"], facts["given_nuclei"], facts["on_training_layout"]) == (4, 4, 0)
    assert 0.45 <= facts["bar_beyond_layout"] < 0.7

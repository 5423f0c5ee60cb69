"""A folder against itself, and six copies of each tile: no sentence of the report is false."""

import json
import math
import shutil

import numpy as np
import pytest
from evaluated import SIDE, barcode, config, evaluated, named, save, section, tissue

from histosynth.core.errors import BadOption
from histosynth.evaluation import InputOptions
from histosynth.evaluation.jobs import measure as measure_module
from histosynth.evaluation.jobs.measure import NOT_FINITE

METRICS = ("realism", "copying")
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """real and train; six and trainsix hold six copies of each, the latter as other patients."""
    root = tmp_path_factory.mktemp("folders")
    for number in range(9):
        for part in range(2):
            pixels, _ = tissue(SIDE, SIDE, seed=100 + 2 * number + part)
            save(root / "real", f"{barcode(number)}-{part}", pixels)
            save(root / "one", f"{barcode(0)}-{2 * number + part}", pixels)
            for copy in range(6):
                save(root / "six", f"{barcode(number)}-{part}_{copy}", pixels)
    for number in range(20, 23):
        pixels, _ = tissue(SIDE, SIDE, seed=number)
        for copy in range(6):
            save(root / "trainsix", f"{barcode(number + 100 * copy)}-0", pixels)
    return root


def report_of(folders, out, real, synthetic, **more):
    inputs = config(
        folders,
        real=folders / real,
        synthetic=folders / synthetic,
        conditions=None,
        inputs=InputOptions(mpp=0.5),
        **more,
    )
    report = evaluated(inputs, out)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((out / "report.json").read_text(), parse_constant=refuse)
    page = (out / "report.html").read_text()
    assert "nan" not in page.lower().split()
    return report


def test_six_copies_of_each_tile_lie_where_the_tiles_do(folders, tmp_path):
    """Other batches round features of equal pictures differently."""
    report = report_of(
        folders,
        tmp_path,
        "real",
        "six",
        reference=folders / "trainsix",
        metrics=METRICS,
    )
    for name in ("precision", "recall", "coverage"):
        assert named(report, "realism", f"{name}_histo").value.value == 1
    assert named(report, "realism", "density_histo").value.value == pytest.approx(1.2)
    copying = section(report, "copying")
    assert copying.verdict.startswith(
        "No verdict on copies: 18 of the 18 real tiles that set the bar are in the training "
        "tissue of other patients too"
    )
    assert copying.verdict in (tmp_path / "report.html").read_text()


def test_a_folder_of_one_patient_against_itself(folders, tmp_path):
    report = report_of(folders, tmp_path, "one", "one", reference=None, metrics=("realism",))
    assert named(report, "realism", "FD_histo").value.value == 0
    precision = named(report, "realism", "precision_histo")
    assert precision.value.value == 1 and math.isnan(precision.value.low)
    assert precision.value.reason == "an interval needs tiles of at least 2 patients; there is 1"
    assert precision.real.reason == "the baseline needs more real tiles of other patients"


def test_a_tile_of_which_the_features_are_no_numbers_is_refused(folders, tmp_path, monkeypatch):
    embed = measure_module.embed_tiles

    def broken(pictures, encoder):
        values = embed(pictures, encoder)
        for number in chosen:
            values[number]["embed/features"] = np.full_like(
                values[number]["embed/features"], np.nan
            )
        return values

    monkeypatch.setattr(measure_module, "embed_tiles", broken)
    chosen = [3]
    report = report_of(
        folders, tmp_path / "a", "real", "real", reference=None, metrics=("realism",)
    )
    name = f"{barcode(1)}-1"
    assert report.refused == {f"real {name}": NOT_FINITE, f"synthetic {name}": NOT_FINITE}
    assert named(report, "realism", "precision_histo").value.n == 17
    chosen = range(18)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(BadOption, match=NOT_FINITE):
        report_of(folders, tmp_path / "a", "real", "real", reference=None, metrics=("realism",))

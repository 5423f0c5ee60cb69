"""`histosynth evaluate` from the outside: words, JSON, exit codes, and nothing half-written."""

import json

import numpy as np
import pytest
from glass import tissue
from json_contract import check_json
from PIL import Image
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import HistosynthError


def call(*words):
    """(exit code, stdout, sentence of the refusal or stderr)."""
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    refusal = str(done.exception) if isinstance(done.exception, HistosynthError) else ""
    if "--json" in words and not refusal:
        check_json(done.stdout)
    return 1 if refusal else done.exit_code, done.stdout, refusal or done.stderr


@pytest.fixture
def sides(tmp_path):
    for seed, side in enumerate(("real", "made")):
        (tmp_path / side).mkdir()
        for number in range(10):
            pixels, _ = tissue(96, 96, seed=100 * seed + number)
            Image.fromarray(pixels).save(tmp_path / side / f"TCGA-AA-{number:04d}.png")
    return tmp_path


QUICK = ("--mpp", 0.5, "--metrics", "stain,quality", "--engine", "local")


def test_words_say_where_to_look_and_json_is_one_object(sides):
    code, out, _ = call(
        sides / "real",
        sides / "made",
        "--out",
        sides / "out",
        *QUICK,
    )
    assert code == 0 and "report.html" in out
    code, out, _ = call(
        sides / "real",
        sides / "made",
        "--out",
        sides / "out",
        *QUICK,
        "--json",
    )
    facts = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert code == 0 and facts["out"] == str(sides / "out")
    assert facts["sections"].keys() == {"stain", "quality"}
    written = json.loads((sides / "out" / "report.json").read_text())
    assert facts["report_schema"] == written["schema"] == 2
    added = {key: facts[key] for key in ("out", "created", "schema", "report_schema")}
    assert facts == written | added


def test_a_dry_run_writes_nothing(sides):
    code, out, _ = call(
        sides / "real",
        sides / "made",
        "--out",
        sides / "out",
        *QUICK,
        "--dry-run",
    )
    assert code == 0 and "metrics: quality, stain" in out and not (sides / "out").exists()
    code, out, _ = call(sides / "real", sides / "made", *QUICK, "--dry-run")
    assert code == 0 and "metrics: quality, stain" in out
    code, _, said = call(sides / "real", sides / "made", *QUICK)
    assert code == 1 and "--out is not given" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mpp", 0.5, "--metrics", "beauty"), "must be realism"),
        (("--mpp", 0.5, "--embedder", "eye"), "histo, inception"),
        (("--mpp", 99), "from 0.05 to 20"),
        ((), "does not state its scale"),
        (("--mpp", 0.5, "--crop", 500), "no tile holds a crop of 500 px"),
        (("--mpp", 0.5, "--conditions", "nowhere"), "nowhere"),
        (("--mpp", 0.5, "--patient", "("), "no pattern"),
        (("--mpp", 0.5, "--engine", "moon"), "local, pool or ray"),
        (("--mpp", 0.5, "--detectors", "eyes", "--metrics", "layout"), "centroids"),
    ],
)
def test_one_clear_sentence_and_no_folder(sides, words, said):
    extra = () if "--engine" in words else ("--engine", "local")
    code, _, refusal = call(
        sides / "real",
        sides / "made",
        "--out",
        sides / "out",
        *words,
        *extra,
    )
    assert code == 1 and said in refusal
    assert not (sides / "out" / "report.json").exists()


def test_files_that_are_no_tiles_are_said_and_the_others_judged(sides):
    (sides / "made" / "TCGA-AA-0003.png").write_bytes(b"GIF89a no")
    gray = Image.fromarray(np.zeros((96, 96), np.uint8))
    gray.save(sides / "made" / "TCGA-AA-0004.png")
    code, out, said = call(
        sides / "real",
        sides / "made",
        "--out",
        sides / "out",
        *QUICK,
    )
    assert code == 3 and "report.html" in out
    assert "TCGA-AA-0003" in said and "TCGA-AA-0004" in said and "grayscale" in said

"""Options of the command line: old names, solvers, and the same options in every verb."""

import inspect
import re
import shutil
from dataclasses import fields

import numpy as np
import pytest
import typer
from glass import tissue
from PIL import Image
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli.main import OLD_OPTIONS, app
from histosynth.cli.synthesize import synthesize
from histosynth.core.errors import HistosynthError
from histosynth.core.images import write_mask
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.solvers import SOLVERS
from histosynth.tissue.layout import draw_layout


def call(*words):
    """(exit code, stdout and the sentence of the refusal)."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, HistosynthError):
        return 1, str(done.exception)
    return done.exit_code, done.output


def commands(command, name=()):
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*name, word))


ALL = dict(commands(typer.main.get_command(app)))


@pytest.fixture
def folder(tmp_path, tile, monkeypatch):
    """A folder, entered, with nuclei, images, masks and a class map."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "nuclei.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    (tmp_path / "map.toml").write_text('Tumor = "epithelial"')
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    for side in ("real", "synthetic"):
        (tmp_path / side).mkdir()
    for number in range(4):
        pixels = tissue(96, 96, seed=number)[0]
        Image.fromarray(pixels).save(tmp_path / "real" / f"TCGA-AA-{number:04d}.png")
        Image.fromarray(pixels).save(tmp_path / "synthetic" / f"TCGA-AA-{number:04d}.png")
        write_mask(tmp_path / "masks" / f"TCGA-AA-{number:04d}.png", np.eye(96, dtype=bool))
    Image.fromarray(tile).save("torn.png")
    write_mask(tmp_path / "mask.png", mask)
    return tmp_path


EVALUATE = ("evaluate", "real", "synthetic", "--mpp", 0.5, "--dry-run")
OLD_CALLS = {
    "hole": ("complete", "--image", "torn.png", "--hole", "mask.png", "--out", "mended.png"),
    "kinds": (
        *("synthesize", "--nuclei", "nuclei.csv", "--kinds", "map.toml", "--size", "128"),
        *("--out", "tiles"),
    ),
    "judges": (*EVALUATE, "--judges", "stain"),
    "holes": (*EVALUATE, "--holes", "masks"),
}


def test_every_old_option_has_a_call():
    assert set(OLD_CALLS) == set(OLD_OPTIONS)


@pytest.mark.parametrize("old", OLD_OPTIONS)
def test_an_old_option_does_what_its_present_name_does(folder, bundle_folder, old):
    words = [*OLD_CALLS[old], "--json", "--quiet"]  # lines of progress state the time
    if words[0] != "evaluate":
        words += ["--bundle", bundle_folder]
    code, text = call(*words)
    assert code == 0, text
    for result in ("mended.png", "tiles"):  # what is finished is noted, and not sampled again
        if (folder / result).is_dir():
            shutil.rmtree(folder / result)
        (folder / result).unlink(missing_ok=True)
    present = [f"--{OLD_OPTIONS[old]}" if word == f"--{old}" else word for word in words]
    assert call(*present) == (0, text)


@pytest.mark.parametrize("name", ALL, ids=" ".join)
def test_no_help_shows_an_old_option(name):
    _, text = call(*name, "--help")
    for old in OLD_OPTIONS:
        assert not re.search(rf"--{old}\b", text)


def test_every_present_name_of_an_old_option_is_an_option():
    names = {option for command in ALL.values() for each in command.params for option in each.opts}
    assert {f"--{present}" for present in OLD_OPTIONS.values()} <= names


@pytest.mark.parametrize("verb", ["synthesize", "complete"])
def test_the_help_names_existing_solvers(verb):
    _, text = call(verb, "--help")
    names = re.search(r"--solver \S+\s+e\.g\. (.*?)\(an", text, re.S).group(1)
    named = set(re.findall(r"\w+", names))
    assert named and named <= set(SOLVERS)


def test_a_solver_is_chosen_or_refused_by_name(folder, bundle_folder):
    words = ("synthesize", "--nuclei", "nuclei.csv", "--size", 128, "--bundle", bundle_folder)
    code, _ = call(*words, "--out", "euler", "--solver", "euler", "--json")
    assert code == 0
    code, text = call(*words, "--out", "other", "--solver", "magic")
    assert code == 1
    assert "--solver is magic, but must be one of dpm, unipc, euler, heun" in text
    assert not (folder / "other").exists()


def test_the_command_line_offers_every_sampling_option():
    parameters = inspect.signature(synthesize).parameters
    options = {field.name for field in fields(SamplingOptions)}
    assert options - set(parameters) == {"exemplar"}  # an option of complete


@pytest.mark.parametrize(
    ("field", "word"),
    [("label", "--label"), ("seed", "--seed"), ("steps", "--steps"), ("batch", "--batch")],
)
def test_options_reach_the_verb(folder, monkeypatch, field, word):
    received = {}

    def synthesize_files(*paths, options, **more):
        received[field] = getattr(options, field)
        raise HistosynthError("Enough.", "Stop.")

    monkeypatch.setattr("histosynth.pipeline.synthesize_files.synthesize_files", synthesize_files)
    value = "breast" if field == "label" else 3
    call("synthesize", "--nuclei", "nuclei.csv", "--out", "tiles", word, value)
    assert received == {field: value}


def test_the_synthetic_side_has_that_name():
    _, text = call("evaluate", "--help")
    assert "SYNTHETIC" in text
    assert not re.search(r"\bSYNTH\b", text)

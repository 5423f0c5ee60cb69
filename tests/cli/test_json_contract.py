"""`--json` is a contract: every verb's object names its schema, and is as the schema says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from glass import tissue, write_slide
from json_contract import check_json, faults
from jsonschema import Draft202012Validator
from PIL import Image
from small import write_recipe
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli.json_schemas import SCHEMA_FOLDER, schema_of_output
from histosynth.cli.main import app, run
from histosynth.core.errors import HistosynthError
from histosynth.tissue.layout import draw_layout


def verbs(command, words=()):
    """The words of every verb that prints JSON."""
    below = getattr(command, "commands", {})
    if not below and any("--json" in each.opts for each in command.params):
        yield " ".join(words)
    for name, each in below.items():
        yield from verbs(each, (*words, name))


ALL = sorted(verbs(typer.main.get_command(app)))
SCHEMAS = sorted(path.stem for path in SCHEMA_FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, bundle_folder):
    """Small inputs of all verbs."""
    folder = tmp_path_factory.mktemp("contract")
    shutil.copytree(bundle_folder, folder / "changed")  # `bundle grain` writes into it
    write_slide(folder / "s.tiff")
    for number in range(8):
        pixels = tissue(128, 128, seed=number)[0]
        for side in ("real", "synthetic"):
            (folder / side).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / side / f"TCGA-AA-{number:04d}.png")
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "images" / f"P{number}_tile.png")
    (folder / "many").mkdir()
    for number in range(12):
        Image.fromarray(tissue(128, 128, seed=number)[0]).save(folder / "many" / f"{number}.png")
    names = [f"P{number}_tile.png" for number in range(8)]
    (folder / "train.txt").write_text("\n".join(names[:6]))
    (folder / "val.txt").write_text("\n".join(names[6:]))
    write_recipe(folder, folder, "autoencoder", steps=1, every=1)
    return folder


CALLS = {
    "train": "train autoencoder-1.toml --out t",
    "train --list": "train --list",
    "train --dry-run": "train autoencoder-1.toml --out t2 --dry-run",
    "evaluate --dry-run": "evaluate real synthetic --mpp 0.5 --metrics stain --dry-run",
    "doctor --quick": "doctor --quick",
    "recipe list": "recipe list",
    "recipe init": "recipe init first-adapter",
    "recipe check": "recipe check autoencoder-1.toml",
    "prepare tiles": "prepare tiles s.tiff --size 512 --engine local --out p3",
    "prepare stain": "prepare stain real --out st",
    "prepare regions": "prepare regions real --mpp 0.5 --out re",
    "prepare orientation": "prepare orientation real --mpp 0.5 --out or",
    "bundle pack": "bundle pack {bundle} --out b.zip",
    "bundle grain": "bundle grain changed --tiles many --mpp 0.5",
    "bundle export": "bundle export {bundle} --out ex",
    "bundle push": "bundle push {bundle} --repo me/mine --dry-run",
}
"""Calls of verbs that no other test calls with `--json`."""
CHECKED_IN = {
    "test_cli.py": ("synthesize", "complete", "demo", "doctor"),
    "test_evaluate_cli.py": ("evaluate",),
    "test_prepare_cli.py": (
        *("prepare run", "prepare nuclei", "prepare quality check", "prepare quality train"),
        *("prepare split", "prepare agreement", "prepare fetch"),
    ),
    "test_prepare_inspect.py": ("prepare inspect",),
    "test_bundle_cli.py": ("bundle inspect", "bundle unpack", "bundle convert"),
    "test_bundle_sizes.py": ("bundle sizes",),
    "test_export_onnx.py": ("export onnx",),
    "test_layout_changes.py": ("layout compare", "layout edit", "layout field"),
    "test_layout_cli.py": ("layout fit", "layout sample"),
    "test_mend_cli.py": ("mend",),
    "test_paint_cli.py": ("paint",),
}
"""Verbs whose tests read what `--json` prints through `check_json`."""


def test_every_verb_has_a_schema_that_its_output_is_checked_with():
    called = {name.partition(" --")[0] for name in CALLS}
    for name, words in CHECKED_IN.items():
        text = (Path(__file__).parent / name).read_text()
        assert "check_json(" in text
        called |= set(words)
    called.add("recipe schema")  # it prints the schema of recipes, with or without --json
    assert called == set(ALL), "check the JSON of the new verb; its schema goes to cli/schemas"


@pytest.mark.parametrize("name", CALLS)
def test_what_a_verb_prints_is_as_its_schema_says(name, place, bundle_folder, monkeypatch):
    monkeypatch.chdir(place)
    words = CALLS[name].format(bundle=bundle_folder).split()
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    verb, _, option = name.partition(" --")
    part = {"": "", "dry-run": "-plan", "quick": "-quick", "list": "-list"}[option]
    schema = f"urn:histosynth:{verb.replace(' ', '-')}{part}:1"
    assert check_json(done.stdout)["schema"] == schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_requires_what_it_names(name):
    schema = schema_of_output(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:histosynth:{name}:1" == schema["properties"]["schema"]["const"]
    assert set(schema["required"]) <= set(schema["properties"])


def test_a_refusal_is_an_object_with_its_schema(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.argv", ["histosynth", "bundle", "inspect", "nowhere", "--json"])
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 1
    found = check_json(capsys.readouterr().out)
    assert (found["schema"], found["error"]) == ("urn:histosynth:error:1", "BundleMismatch")


def test_a_key_too_many_too_few_or_of_another_type_is_found():
    good = {"schema": "urn:histosynth:demo:1", "contact": "", "report": "", "images": ""}
    good |= {"nuclei": "", "pictures": 8, "seconds": 1.5, "bundle": "tiny"}
    assert faults(good) == []
    assert faults(good | {"more": 1}) and faults(good | {"pictures": "8"})
    del good["bundle"]
    assert faults(good) == ["$: 'bundle' is a required property"]


def test_a_verb_prints_its_schema():
    done = CliRunner().invoke(app, ["train", "--json-schema"])
    assert done.exit_code == 0
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    ids = [each["$id"] for each in schema["oneOf"]]
    assert ids == [
        f"urn:histosynth:{name}:1" for name in ("train", "train-plan", "train-list", "error")
    ]


# exit codes


def exit_code(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    return 1 if isinstance(done.exception, HistosynthError) else done.exit_code


def test_one_refused_input_of_several_is_exit_three_and_all_are_exit_one(
    tmp_path, bundle_folder, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "cells" / "a.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    bad = tmp_path / "cells" / "bad.csv"
    bad.write_text("x,y,class\n900,1,stromal\n")
    words = ("synthesize", "--size", 128, "--steps", 1, "--bundle", bundle_folder, "--out", "o")
    assert exit_code(*words, "--nuclei", "cells") == 3
    assert exit_code(*words, "--nuclei", bad) == 1


def test_one_refused_file_of_inspect_is_exit_three_and_all_are_exit_one(place, monkeypatch):
    monkeypatch.chdir(place)
    (place / "none.svs").write_bytes(b"no slide")
    assert exit_code("prepare", "inspect", "s.tiff", "none.svs") == 3
    assert exit_code("prepare", "inspect", "none.svs") == 1
    assert exit_code("prepare", "inspect", "s.tiff") == 0


def test_one_refused_slide_of_a_set_is_exit_three(place, monkeypatch):
    monkeypatch.chdir(place)
    (place / "broken").mkdir()
    write_slide(place / "broken" / "good.tiff")
    Image.fromarray(np.full((300, 300, 3), 244, np.uint8)).save(place / "broken" / "white.png")
    words = ("prepare", "tiles", "broken/*", "--size", 512, "--engine", "local", "--out", "bs")
    assert exit_code(*words, "--mpp", 0.5) == 0
    (place / "broken" / "none.svs").write_bytes(b"no slide")
    assert exit_code(*words[:-1], "bs2", "--mpp", 0.5) == 3

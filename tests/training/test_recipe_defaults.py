"""Recipes that need little: what is left out, what is refused at once, and how fast that loads."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from histosynth import CLASSES
from histosynth.core import recipe as recipes
from histosynth.core.errors import BadRecipe
from histosynth.core.shipped_recipes import SCHEMAS, find_recipe, recipe_for_user, shipped_recipes
from histosynth.core.toml_text import parse_toml
from histosynth.pipeline.train_options import TrainOptions, choose_recipe, read_train_recipe
from histosynth.training.recipes import RECIPES, TASK_OF_LABEL, TEXT_ADAPTER_TASK
from histosynth.training.recipes.diffusion import DiffusionPlan
from histosynth.training.recipes.tiles import TileSource
from histosynth.training.tasks.tile_checks import open_examples

ROOT = Path(__file__).parents[2]
FOLDER_OF_PICTURES = """
[[data.train]]
images = "images"
points = "points"
patient = "^(..)"
mpp = 0.5
"""


def written(folder, text):
    path = folder / "my.toml"
    path.write_text(text)
    return path


def problems_of(path, **options):
    with pytest.raises(BadRecipe) as refused:
        choose_recipe(path, TrainOptions(**options))
    return refused.value.problems


def test_one_line_is_a_recipe(tmp_path):
    recipe = read_train_recipe(written(tmp_path, 'data.root = "tiles"\n'))
    assert (recipe.task, recipe.start, recipe.seed) == ("global", "compact", 0)
    assert recipe.data.train == (TileSource(".", split="train"),)
    assert recipe.data.validation == (TileSource(".", split="validation"),)
    assert (recipe.data.mpp, recipe.data.classes) == (0.5, CLASSES)
    assert recipe.conditions.mask_share == 0.0


@pytest.mark.parametrize(
    ("task", "loop"),
    [
        ("global", (1500, 6, 5e-4)),
        ("local", (1500, 6, 5e-4)),
        ("base", (20_000, 8, 5e-4)),
        ("autoencoder", (15_000, 4, 6e-4)),
        ("detector", (4000, 8, 1e-3)),
        ("encoder", (3200, 96, 1e-3)),
    ],
)
def test_each_task_has_steps_batch_and_rate_of_its_own(tmp_path, task, loop):
    recipe = read_train_recipe(written(tmp_path, f'task = "{task}"\n'))
    assert (recipe.loop.steps, recipe.loop.batch, recipe.loop.learning_rate) == loop


def test_the_usual_share_of_masks_is_that_of_the_task():
    shares = {
        label: recipes.build({"task": label}, RECIPES[name]).conditions.mask_share
        for label, name in (("base", "base"), ("global", "adapter"), ("local", "adapter"))
    }
    assert shares == {"base": 0.35, "global": 0.0, "local": 1.0}
    stated = recipes.build({"task": "local", "conditions": {"mask_share": 0.5}}, RECIPES["adapter"])
    assert stated.conditions.mask_share == 0.5
    own_encoder = recipes.build({"task": "global", "adapter": {"shapes": True}}, RECIPES["adapter"])
    assert own_encoder.conditions.mask_share == 0.25


@pytest.mark.parametrize("name", RECIPES)
def test_a_table_given_in_part_keeps_the_defaults_of_its_other_keys(name):
    labels = [label for label, recipe in TASK_OF_LABEL.items() if recipe == name]
    needed = {
        TEXT_ADAPTER_TASK: {"task": "global", "base": "stable-diffusion-2-1"},
        "artefact": {"task": "artefact", "data": {"root": "a", "patient": "(.)", "mpp": 1.0}},
    }.get(name) or {"task": labels[0]}
    whole = recipes.build(needed, RECIPES[name])
    tables = {key: value for key, value in recipes.as_dict(whole).items() if type(value) is dict}
    assert {"loop", "data"} <= set(tables)
    for table, values in tables.items():
        for key, value in values.items():
            if type(value) in (bool, int, float, str):
                given = needed | {table: needed.get(table, {}) | {key: value}}
                assert recipes.build(given, RECIPES[name]) == whole


def test_crops_without_shares_are_drawn_alike():
    assert DiffusionPlan(crops=(128, 256)).crop_shares == (0.5, 0.5)
    assert DiffusionPlan().crop_shares == (1.0,)


def test_a_fifth_of_the_patients_is_held_out_where_no_validation_is_named(tmp_path, tissue):
    path = written(tmp_path, f'data.root = "{tissue}"\n{FOLDER_OF_PICTURES}')
    data = read_train_recipe(path).data
    train, held_out = open_examples(data, tmp_path)
    patients = {each.patient for each in train}, {each.patient for each in held_out}
    assert (len(patients[0]), len(patients[1])) == (5, 1)
    assert not patients[0] & patients[1]
    again = open_examples(data, tmp_path)[1]
    assert [each.patient for each in again] == [each.patient for each in held_out]


def test_patients_that_are_not_known_cannot_be_held_out(tmp_path, tissue):
    text = FOLDER_OF_PICTURES.replace('"^(..)"', '""')
    data = read_train_recipe(written(tmp_path, f'data.root = "{tissue}"\n{text}')).data
    with pytest.raises(BadRecipe) as refused:
        open_examples(data, tmp_path)
    assert refused.value.problems == (
        "its training sources name 0 patient(s), so none is left for validation; "
        "name [[data.validation]]",
    )


def test_all_problems_are_shown_each_with_what_was_meant(tmp_path):
    path = written(
        tmp_path,
        """
        rank = 8
        [loop]
        max_train_steps = 300
        accumulates = 4
        batch = "6"
        precision = "bf61"
        learning_rate = 7
        weight_decay = -1
        [data]
        crop = 100
        [data.train]
        images = "x"
        [conditions]
        mask_share = 2.0
        crops = [100, 256]
        [adapter]
        targets = "attention"
        structure = 1
        [adapter.guided]
        span = [0.8, 0.2]
        """,
    )
    assert problems_of(path) == (
        "unknown key rank (did you mean adapter.rank?)",
        "unknown key loop.max_train_steps (did you mean loop.steps?)",
        "unknown key loop.accumulates (did you mean loop.accumulate?)",
        "loop.batch must be int, not '6' (did you mean 6?)",
        "loop.learning_rate must lie in (0, 1], not 7.0",
        "loop.weight_decay must not be negative, not -1.0",
        "loop.precision is 'bf61', not one of 'auto', 'bf16', 'fp32', 'fp16' "
        "(did you mean 'bf16'?)",
        "data.train must be a list (did you mean [[data.train]]?)",
        "data.crop must be a multiple of 8 from 64, not 100",
        "conditions.mask_share must lie in [0, 1], not 2.0",
        "conditions.crops[0] must be a multiple of 16 from 64, not 100",
        'adapter.targets must be a list (did you mean ["attention"]?)',
        "adapter.structure must be bool, not 1 (did you mean true?)",
        "adapter.guided: span must be two times, the smaller first, not (0.8, 0.2)",
    )


def test_a_task_that_does_not_exist_is_refused_with_the_nearest(tmp_path):
    (problem,) = problems_of(written(tmp_path, 'task = "globl"\n'))
    assert problem.endswith("artefact, encoder (did you mean 'global'?)")


def test_all_folders_that_are_missing_are_shown(tmp_path):
    (tmp_path / "images").mkdir()
    text = FOLDER_OF_PICTURES.replace('"images"', '"image"')
    path = written(tmp_path, f'start = "compcat"\n{text}members = "train.txt"\n')
    assert problems_of(path) == (
        f"start: there is no folder {tmp_path / 'compcat'} (did you mean compact?)",
        f"data.train[0].images: there is no folder {tmp_path / 'image'} (did you mean images?)",
        f"data.train[0].points: there is no folder {tmp_path / 'points'}",
        f"data.train[0].members: there is no file {tmp_path / 'train.txt'}",
    )
    (problem,) = problems_of("global", root=tmp_path / "tiles")
    assert problem == f"data.root: there is no folder {tmp_path / 'tiles'}"
    (problem,) = problems_of("global", root=tmp_path)
    assert problem == (
        f"data.root: {tmp_path} holds no tile set, and no [[data.train]] names a folder of "
        "pictures; `histosynth recipe init first-adapter` shows one"
    )


def test_a_recipe_in_the_package_is_named_and_a_file_of_that_name_has_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("global").write_text("")
    assert find_recipe("global").path == shipped_recipes()["global"].path
    assert find_recipe("global").base_folder == Path()
    assert find_recipe("./global").path == Path("global")
    for name, meant in (("sarcodif", "sarcodiff"), ("presets/dual-local.toml", "dual-local")):
        with pytest.raises(BadRecipe) as refused:
            find_recipe(name)
        assert refused.value.problems == (
            "there is no such file, and no recipe of this name in the package "
            f"(did you mean {meant}?)",
        )


def test_a_recipe_for_the_user_is_the_one_in_the_package_with_the_address_of_its_schema():
    for name, shipped in shipped_recipes().items():
        first, rest = recipe_for_user(name).split("\n", 1)
        assert first == f"#:schema {SCHEMAS[shipped.verb].as_uri()}"
        assert shipped.path.read_text() == f"#:schema ./{SCHEMAS[shipped.verb].name}\n{rest}"
        assert shipped.about and len(shipped.about) < 110
    with pytest.raises(BadRecipe, match="did you mean first-adapter"):
        recipe_for_user("first-adaptor")


def schema_writer():
    where = importlib.util.spec_from_file_location("write_schema", ROOT / "docs/write_schema.py")
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def test_the_schemas_in_the_package_are_those_of_the_code():
    """Written anew by `make docs`."""
    texts = schema_writer().schemas()
    assert {verb: path.read_text() for verb, path in SCHEMAS.items()} == texts, "run `make docs`"


def test_every_key_has_a_meaning_in_the_schema():
    for path in SCHEMAS.values():
        schema = json.loads(path.read_text())
        for name, table in schema["definitions"].items():
            for key, value in table["properties"].items():
                assert value.get("description") or "$ref" in value, (name, key)


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ('data.root = "tiles"', True),
        ('task = "base"\nbase.widths = [64]\nbase.structure_widths = [8]', True),
        ('base = "SD21"\nprompts.template = "H&E"', True),
        ('task = "detector"\nmodel.aside = 0.2', True),
        ("loop.stepz = 3", False),
        ("loop.steps = 0", False),
        ('task = "globl"', False),
        ('task = "detector"\nmodel.anchored = 2', False),
        ('task = "autoencoder"\nmodel.anchored = 2', True),
        ('prompts.template = "H&E"', False),
        ("conditions.crops = [100]", False),
        ('task = "artefact"', False),
    ],
)
def test_the_schema_takes_and_refuses_what_the_reader_does(tmp_path, text, is_valid):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMAS["train"].read_text())
    found = list(jsonschema.Draft7Validator(schema).iter_errors(parse_toml(text)))
    assert (not found) is is_valid
    try:
        read_train_recipe(written(tmp_path, text))
    except BadRecipe:
        assert not is_valid
    else:
        assert is_valid


def test_recipes_in_the_package_fit_their_schemas():
    jsonschema = pytest.importorskip("jsonschema")
    for shipped in shipped_recipes().values():
        schema = json.loads(SCHEMAS[shipped.verb].read_text())
        jsonschema.Draft7Validator(schema).validate(parse_toml(shipped.path.read_text()))


def test_every_key_but_the_data_has_a_default():
    for name, target in RECIPES.items():
        required = [each.name for each in fields(target) if recipes._is_required(each)]
        assert required == (["task", "data"] if name == "artefact" else []), name


def test_a_recipe_is_refused_before_torch_is_loaded(tmp_path):
    path = written(tmp_path, "loop.steps = 0\n")
    code = (
        "import sys; sys.argv = ['histosynth', 'train', sys.argv[1], '--out', 'run']\n"
        "from histosynth.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n"
        "    print(end.code, [m for m in ('torch', 'diffusers', 'scipy', 'pyarrow') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout == "1 []\n"
    assert done.stderr.startswith(f"histosynth: {path} has 2 problems:\n  loop.steps must be")


def test_missing_folders_are_shown_together_with_wrong_keys(tmp_path):
    """Unless the keys that name them are wrong themselves."""
    (tmp_path / "images").mkdir()
    text = FOLDER_OF_PICTURES.replace('"images"', '"image"').replace('points = "points"\n', "")
    path = written(tmp_path, f"loop.max_train_steps = 5\n{text}")
    unknown = "unknown key loop.max_train_steps (did you mean loop.steps?)"
    assert problems_of(path) == (
        unknown,
        f"data.train[0].images: there is no folder {tmp_path / 'image'} (did you mean images?)",
    )
    assert problems_of(path, root=tmp_path / "tiles") == (
        unknown,
        f"data.root: there is no folder {tmp_path / 'tiles'}",
    )
    path = written(tmp_path, f"loop.max_train_steps = 5\n{text}mpq = 0.5\n")
    assert problems_of(path) == (
        unknown,
        "unknown key data.train[0].mpq (did you mean data.train[0].mpp?)",
    )


def test_a_recipe_of_prepare_is_named_as_one(tmp_path):
    path = written(tmp_path, 'slides = ["a.svs"]\ntiles.size = 256\n')
    assert problems_of(path) == (
        "it is a recipe of `prepare run`, which --dry-run checks, and not of training",
    )

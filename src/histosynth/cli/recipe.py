"""`histosynth recipe`: recipes in the package, checks of your own, and their keys for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.plain_files import read_plain_text
from ..core.shipped_recipes import SCHEMAS, recipe_for_user, shipped_recipes
from .options import Json, Quiet
from .output import Output

app = typer.Typer(
    help="Recipes: list those in the package, begin one of your own, check it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RecipeName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of a recipe in the package, see `recipe list`."),
]
RecipeFile = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="File, or name of a recipe in the package."),
]
Root = Annotated[
    Path | None,
    typer.Option(help="In place of the recipe's folder of tiles."),
]
Base = Annotated[
    str | None,
    typer.Option(help="In place of the recipe's base."),
]
Verb = Annotated[
    Literal["train", "prepare"],
    typer.Argument(help="Recipes of which verb."),
]


@app.command("list")
def list_recipes(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the recipes in the package: what each trains or prepares.

    Example: histosynth recipe list
    """
    Output(as_json, quiet).done(recipe_facts(), recipe_lines())


@app.command("init")
def begin_recipe(
    name: RecipeName,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print a recipe of the package, to be kept as a file and changed.

    Example: histosynth recipe init first-adapter > my.toml
    """
    text = recipe_for_user(name)
    Output(as_json, quiet).done({"name": name, "text": text}, text.splitlines())


@app.command("check")
def check_recipe(
    recipe: RecipeFile,
    root: Root = None,
    base: Base = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a recipe of training, and the folders it names; opens no tile. JSON shows all values.

    Example: histosynth recipe check my.toml
    """
    from ..core.recipe import as_dict
    from ..pipeline.train_options import TrainOptions, choose_recipe

    chosen = choose_recipe(recipe, TrainOptions(base=base, root=root))
    loop = chosen.recipe.loop
    facts = {
        "recipe": recipe,
        "task": chosen.recipe.task,
        "values": as_dict(chosen.recipe),
    }
    line = (
        f"{recipe} has no problems: task {chosen.recipe.task}, "
        f"{loop.steps:,} steps of {loop.batch} tiles."
    )
    Output(as_json, quiet).done(facts, [line])


@app.command("schema")
def print_schema(
    verb: Verb = "train",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the JSON Schema of recipes: every key with its meaning, limits and default.

    Editors complete and check recipes with it (Taplo, Even Better TOML).

    Example: histosynth recipe schema > train.schema.json
    """
    text = read_plain_text(SCHEMAS[verb])
    facts = {"verb": verb, "schema": json.loads(text)}
    Output(as_json, quiet).done(facts, text.splitlines())


def recipe_facts() -> dict[str, object]:
    """The recipes in the package, for JSON."""
    recipes = shipped_recipes().values()
    facts = [{"name": each.name, "verb": each.verb, "about": each.about} for each in recipes]
    return {"recipes": facts}


def recipe_lines() -> list[str]:
    """The recipes in the package, one a line; those of the shipped weights come last."""
    recipes = sorted(shipped_recipes().values(), key=lambda each: each.name.startswith("compact-"))
    width = max(len(each.name) for each in recipes)
    return [f"{each.name:<{width}}  {each.about}" for each in recipes]

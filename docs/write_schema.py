"""Write the JSON Schemas of recipes into the package. Run by `make docs`; a test compares.

Types, limits and defaults come from the dataclasses that read recipes, meanings from the texts
below their fields. Draft 7, which Taplo reads.
"""

import ast
import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from histosynth.core.recipe import as_dict
from histosynth.core.recipe_checks import type_hints
from histosynth.core.recipe_limits import (
    Limits,
)
from histosynth.core.shipped_recipes import SCHEMAS
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.training.recipes import (
    DEFAULT_TASK,
    RECIPES,
    TASK_OF_LABEL,
    TEXT_ADAPTER_TASK,
)

DRAFT = "http://json-schema.org/draft-07/schema#"
LIMITS = {
    "least": "minimum",
    "most": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
    "multiple": "multipleOf",
}
SCALARS = {
    bool: "boolean",
    float: "number",
    int: "integer",
    str: "string",
    Path: "string",
}
NO_DEFAULT = dataclasses.MISSING


class Writer:
    """Schemas of dataclasses, each once under `definitions`."""

    def __init__(self):
        self.definitions = {}

    def reference(self, target):
        name = target.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # holds the name while its fields are visited
            self.definitions[name] = self.table(target)
        return {"$ref": f"#/definitions/{name}"}

    def table(self, target):
        hints = type_hints(target)
        meanings = meanings_of(target)
        properties = {}
        required = []
        for field in dataclasses.fields(target):
            if not field.init:
                continue
            default = default_of(field)
            value = self.value(hints[field.name])
            is_table = "$ref" in value
            if default is NO_DEFAULT:
                required.append(field.name)
            if is_table and field.name not in meanings:
                properties[field.name] = value
                continue
            facts = {"description": meanings[field.name]} if field.name in meanings else {}
            if not is_table and default is not NO_DEFAULT and default is not None:
                facts["default"] = default
            # Taplo reads nothing that stands next to a reference
            properties[field.name] = {"allOf": [value], **facts} if is_table else value | facts
        schema = {
            "type": "object",
            "description": plain(inspect.getdoc(target) or ""),
            "additionalProperties": False,
            "properties": properties,
        }
        return schema | ({"required": required} if required else {})

    def value(self, hint):
        origin = typing.get_origin(hint)
        arguments = typing.get_args(hint)
        if origin is typing.Annotated:
            schema = self.value(arguments[0])
            for each in arguments[1:]:
                schema |= limits_of(each)
            return schema
        if origin in (typing.Union, types.UnionType):
            return self.value(next(each for each in arguments if each is not type(None)))
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            return self.sequence(arguments)
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.value(arguments[1])}
        if dataclasses.is_dataclass(hint):
            return self.reference(hint)
        return {"type": SCALARS[hint]}

    def sequence(self, arguments):
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": self.value(arguments[0])}
        count = len(arguments)
        return {
            "type": "array",
            "items": self.value(arguments[0]),
            "minItems": count,
            "maxItems": count,
        }


def limits_of(note):
    if not isinstance(note, Limits):
        return {}
    values = dataclasses.asdict(note)
    return {LIMITS[name]: value for name, value in values.items() if value is not None}


def default_of(field):
    """The default of a field as JSON; `NO_DEFAULT` for a key that a recipe must have."""
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return NO_DEFAULT
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    if isinstance(value, tuple) and any(dataclasses.is_dataclass(item) for item in value):
        return [as_dict(item) for item in value]
    return json.loads(json.dumps(value, default=str))


def meanings_of(target):
    """Texts below the fields of a dataclass and of those that it is based on."""
    found = {}
    for each in reversed(target.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        (tree,) = ast.parse(inspect.getsource(each)).body
        for before, after in zip(tree.body, tree.body[1:], strict=False):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(before, ast.AnnAssign) and is_text:
                found[before.target.id] = plain(after.value.value)
    return found


def plain(text):
    return " ".join(text.split())


def train_schema():
    """Recipes of training: the keys of all tasks, and for each task only its own."""
    writer = Writer()
    tables = {name: writer.table(target) for name, target in RECIPES.items()}
    properties = {}
    for name in ("adapter", *RECIPES):  # the default task first: its texts are shown
        for key, schema in tables[name]["properties"].items():
            options = properties.setdefault(key, [])
            if schema not in options:
                options.append(schema)
    merged = {key: merge(options, writer) for key, options in properties.items()}
    labels = [DEFAULT_TASK, *(label for label in TASK_OF_LABEL if label != DEFAULT_TASK)]
    merged["task"] = {
        "enum": labels,
        "default": DEFAULT_TASK,
        "description": "What is trained.",
    }
    branches = []
    for name, target in RECIPES.items():
        branches.append({"if": condition(name), "then": writer.reference(target)})
    return {
        "$schema": DRAFT,
        "title": "histosynth train",
        "description": "A recipe of `histosynth train`: every key but the data has a default.",
        "type": "object",
        "properties": merged,
        "allOf": branches,
        "definitions": dict(sorted(writer.definitions.items())),
    }


def merge(options, writer):
    """One schema for a key that several tasks have, which editors complete from.

    Where the tasks differ it holds the keys of all and no limits: those are in the branches.
    """
    tables = [resolved(option, writer) for option in options]
    if len({json.dumps(without_texts(table)) for table in tables}) == 1:
        return options[0]
    described = [option["description"] for option in options if "description" in option]
    keys = {}
    for table in tables:
        for key, schema in table.get("properties", {}).items():
            before = keys.setdefault(key, schema)
            if without_texts(before) != without_texts(schema):
                keys[key] = {"description": before.get("description", "")}
    merged = {"description": described[0]} if described else {}
    return merged | ({"properties": keys} if keys else {})


def resolved(schema, writer):
    """The table that a schema refers to, or the schema itself."""
    inner = schema["allOf"][0] if "allOf" in schema else schema
    if "$ref" not in inner:
        return schema
    return writer.definitions[inner["$ref"].rpartition("/")[2]]


def without_texts(schema):
    """A schema without its texts and defaults."""
    if isinstance(schema, list):
        return [without_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left = {key: schema[key] for key in schema if key not in ("description", "default")}
    return {key: without_texts(value) for key, value in left.items()}


def condition(task_name):
    """Which recipe files are of a task, as `training.recipes.find_task_name` decides it."""
    names_base = {"required": ["base"], "properties": {"base": {"type": "string"}}}
    if task_name == TEXT_ADAPTER_TASK:
        return names_base
    labels = [label for label, name in TASK_OF_LABEL.items() if name == task_name]
    is_task = {"properties": {"task": {"enum": labels}}}
    if DEFAULT_TASK not in labels:
        is_task["required"] = ["task"]
    return {"allOf": [{"not": names_base}, is_task]}


def prepare_schema():
    """Recipes of preparation."""
    writer = Writer()
    table = writer.table(PrepareRecipe)
    return {
        "$schema": DRAFT,
        "title": "histosynth prepare run",
        **table,
        "definitions": dict(sorted(writer.definitions.items())),
    }


def schemas():
    """The text of each schema file, by the verb that reads the recipes."""
    made = {"train": train_schema(), "prepare": prepare_schema()}
    return {verb: json.dumps(schema, indent=1) + "\n" for verb, schema in made.items()}


if __name__ == "__main__":
    for verb, text in schemas().items():
        SCHEMAS[verb].write_text(text, encoding="utf-8")

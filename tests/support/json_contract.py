"""Objects of `--json` against the schemas in the package, with no key that these do not name."""

import json
from copy import deepcopy

from jsonschema import Draft202012Validator

from histosynth.cli.json_schemas import schema_of_output


def closed(schema):
    """The schema without room for other keys: users get such room, the program does not."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        made.setdefault("additionalProperties", False)
    return made


def faults(found):
    """What is wrong with an object, by the schema that it names."""
    name = found["schema"].split(":")[2]
    validator = Draft202012Validator(closed(deepcopy(schema_of_output(name))))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(found)]


def check_json(text):
    """The object of a line that a verb printed; fails where its schema does not allow it."""
    found = json.loads(text)
    assert faults(found) == []
    return found

"""What `--json` promises: each object names its schema, and the schemas are in this package.

Within a version keys may be added. None is removed, and none changes its type or meaning: that is
a new version, and a line in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.plain_files import read_plain_text

SCHEMA_FOLDER = Path(__file__).parent / "schemas"
ERROR = "error"
PARTS = ("plan", "quick", "list")
"""Of verbs with several results: of a dry run, of `doctor --quick`, of `train --list`."""
_MAX_BYTES = 1 << 20


def schema_id(name: str, version: int = 1) -> str:
    """What an object states under `schema`, e.g. `urn:histosynth:prepare-run:1`.

    Args:
        name: of the verb, with `-plan` for a dry run; or `error`, `log`.
        version: increases when a key is removed or changes its meaning.
    """
    return f"urn:histosynth:{name.replace(' ', '-')}:{version}"


def schema_of_output(name: str) -> dict[str, Any]:
    """The JSON Schema of that name."""
    path = SCHEMA_FOLDER / f"{name.replace(' ', '-')}.json"
    schema: dict[str, Any] = json.loads(read_plain_text(path, _MAX_BYTES))
    return schema


def schema_text(verb: str) -> str:
    """One JSON Schema of all that a verb may print with `--json`, as text."""
    names = [verb]
    for part in PARTS:
        name = f"{verb.replace(' ', '-')}-{part}"
        if (SCHEMA_FOLDER / f"{name}.json").exists():
            names.append(name)
    names.append(ERROR)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"histosynth {verb} --json",
        "oneOf": [schema_of_output(name) for name in names],
    }
    return json.dumps(schema, indent=2)

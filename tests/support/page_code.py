"""Code of a page of docs/, to be run by tests."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def python_blocks(page):
    """The Python blocks of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def replaced(code, changes):
    """Code with other values, each of which stands in it once."""
    for value, other in changes.items():
        assert code.count(value) == 1, value
        code = code.replace(value, other)
    return code


def run(code):
    """Run code as a script; its names."""
    names = {}
    exec(compile(code, "<page>", "exec"), names)
    return names

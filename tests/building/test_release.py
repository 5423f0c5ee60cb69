"""The version is the same wherever it is stated."""

import re
from pathlib import Path

import histosynth

ROOT = Path(__file__).parents[2]


def test_the_changelog_has_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.M)
    assert releases[0] == histosynth.__version__


def test_the_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version: (.+)$", text, re.M)
    assert version == histosynth.__version__


def test_contributing_names_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(\w+)` in `([\w/.]+)` \|", text)
    assert len(rows) >= 9
    for name, path in rows:
        source = (ROOT / "src" / "histosynth" / path).read_text(encoding="utf-8")
        assert re.search(rf"^{name}\b", source, re.M), f"{path} defines no {name}"

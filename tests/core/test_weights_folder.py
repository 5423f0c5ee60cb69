"""A folder of weights with a card."""

import hashlib
from dataclasses import dataclass

import pytest

from histosynth.core.errors import BadWeights
from histosynth.core.weights_folder import checked_weights, read_card, write_weights


@dataclass(frozen=True)
class Card:
    name: str
    sha256: str = ""


def test_weights_are_checked_against_their_card(tmp_path):
    sha256 = write_weights(tmp_path, lambda path: path.write_bytes(b"numbers"))
    assert sha256 == hashlib.sha256(b"numbers").hexdigest()
    path = checked_weights(tmp_path, sha256, card="card.json")
    assert path == tmp_path / "model.safetensors" and path.read_bytes() == b"numbers"
    with pytest.raises(BadWeights) as caught:
        checked_weights(tmp_path, "0" * 64, card="card.json")
    assert caught.value.problem == (
        f"{path} cannot be loaded as weights: its sha256 is not the one that card.json names."
    )
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_card_is_read_whole_or_refused(tmp_path):
    path = tmp_path / "card.json"
    with pytest.raises(BadWeights, match=r"card\.json"):
        read_card(path, Card)
    path.write_text('{"name": "x", "sha256": "0"}')
    assert read_card(path, Card) == Card("x", "0")
    path.write_bytes('{"name": "ü"}'.encode())
    assert read_card(path, Card) == Card("ü")
    problems = {
        "{": "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        '{"name": 1}': f'{path} has 1 problem: name must be str, not 1 (did you mean "1"?). '
        "Correct them and run again; `histosynth recipe schema` lists every key",
    }
    for text in ("{", "[]", '{"name": 1}', '{"name": "x", "more": 1}'):
        path.write_text(text)
        with pytest.raises(BadWeights) as caught:
            read_card(path, Card)
        assert caught.value.path == path
        if text in problems:
            assert caught.value.reason == problems[text]

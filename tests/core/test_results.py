"""Results of commands and metrics as plain values, and the places of bundles."""

import json
import math
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from histosynth.core.errors import BadWeights, MissingScale
from histosynth.core.estimate import Estimate, undefined
from histosynth.core.hub import hub_folder
from histosynth.core.outcome import Outcome
from histosynth.core.shipped import COMPACT, starting_point


def test_an_outcome_is_json_with_paths_and_reasons(tmp_path):
    outcome = Outcome()
    outcome.written.append(tmp_path / "a.png")
    outcome.refused["b.png"] = MissingScale("b.png")
    plain = json.loads(json.dumps(outcome.as_dict()))
    assert plain == {
        "written": [str(tmp_path / "a.png")],
        "refused": {"b.png": str(MissingScale("b.png"))},
    }


def test_an_estimate_without_a_value_is_undefined_and_none_in_json():
    estimate = undefined("at least 2 patients", n=3, unit="um", groups=1)
    assert not estimate.is_defined
    assert all(math.isnan(end) for end in (estimate.value, estimate.low, estimate.high))
    plain = estimate.as_dict()
    assert plain["value"] is plain["low"] is plain["high"] is None
    assert (plain["n"], plain["unit"], plain["groups"]) == (3, "um", 1)
    assert plain["reason"] == "at least 2 patients" and plain["interval"] == "none"
    assert undefined("too few").as_dict() == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "interval": "none",
        "reason": "too few",
        "unit": "",
        "groups": 0,
    }


def test_an_estimate_with_a_value_is_defined_even_without_an_interval():
    estimate = Estimate(0.5, math.nan, math.inf, 7, "none")
    assert estimate.is_defined
    plain = estimate.as_dict()
    assert plain["value"] == 0.5 and plain["low"] is None and plain["high"] is None
    assert not Estimate(math.inf, 0.0, 1.0, 7, "none").is_defined


def test_a_shipped_bundle_is_named_and_a_path_starts_at_the_recipe(tmp_path):
    assert starting_point("compact", tmp_path) == COMPACT
    assert starting_point("compact", tmp_path, part="unet") == COMPACT / "unet"
    assert starting_point("./compact", tmp_path) == tmp_path / "compact"
    assert COMPACT.is_dir()


def test_a_folder_is_taken_as_it_is_and_names_that_are_none_are_refused(tmp_path, monkeypatch):
    assert hub_folder(str(tmp_path), ["*"], local_hint="Do this.") == tmp_path
    for source in ("no-such-folder", "a/b/c", "a/b@", "a b/c"):
        with pytest.raises(BadWeights) as caught:
            hub_folder(source, ["*"], local_hint="Do this.")
        assert str(caught.value) == (
            f"{source} cannot be loaded as weights: there is no such folder, and the hub has no "
            "such names. Do this."
        )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub_folder("~", ["*"], local_hint="Do this.") == tmp_path


@pytest.mark.parametrize(
    ("source", "name", "revision"),
    [("owner/name", "owner/name", None), ("owner/name@v1.0", "owner/name", "v1.0")],
)
def test_repositories_of_the_hub_are_downloaded(monkeypatch, tmp_path, source, name, revision):
    calls = []

    def download(repo, *, revision, allow_patterns):
        calls.append((repo, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert hub_folder(source, ("a.json",), local_hint="") == tmp_path
    assert calls == [(name, revision, ["a.json"])]


def hub_error(error_class):
    return error_class("No.\nMore lines.", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("build", "reason", "remedy"),
    [
        (
            lambda: hub_error(GatedRepoError),
            "its owners give it to those only who agreed to their terms",
            "Request it at https://huggingface.co/owner/name and run `hf auth login`. Do this.",
        ),
        (
            lambda: LocalEntryNotFoundError("No."),
            "it is not here, and the hub cannot be reached",
            "Do this.",
        ),
        (
            lambda: hub_error(RepositoryNotFoundError),
            "the hub has no such repository, or no longer",
            "Do this.",
        ),
        (lambda: hub_error(HfHubHTTPError), "No", "Do this."),
        (lambda: OSError("the disk is full.\nmore lines"), "the disk is full", "Do this."),
        (lambda: ValueError("no pattern"), "no pattern", "Do this."),
    ],
)
def test_faults_of_the_hub_name_the_remedy(monkeypatch, build, reason, remedy):
    def download(*args, **more):
        raise build()

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(BadWeights) as caught:
        hub_folder("owner/name@v1", ("a.json",), local_hint="Do this.")
    assert str(caught.value) == f"owner/name@v1 cannot be loaded as weights: {reason}. {remedy}"

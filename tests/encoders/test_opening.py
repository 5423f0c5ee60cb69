"""Encoders and perceptual distances by name."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from histosynth.core.errors import BadOption, BadWeights
from histosynth.encoders import dinov2, histo, hub, inception, lpips, squeezenet
from histosynth.encoders.opening import open_encoder, open_perceptual


@pytest.fixture
def opened(monkeypatch):
    """What each opener was called with; they open nothing."""
    calls = []

    class Opened:
        name = "it"
        about: ClassVar = {"a": "b"}

    def taking(name):
        def take(*args):
            calls.append((name, *args))
            return Opened()

        return take

    for module, name in (
        (histo, "load_encoder"),
        (inception, "load_inception"),
        (dinov2, "load_dinov2"),
        (hub, "load_hub"),
        (lpips, "load_lpips"),
        (squeezenet, "load_squeezenet"),
    ):
        monkeypatch.setattr(module, name, taking(name))
    return calls


def test_bfloat16_is_reported_and_changes_features_little():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    plain = open_encoder("histo")
    half = open_encoder("histo", bf16=True)
    before = plain.embed(pictures)
    after = half.embed(pictures)
    assert (plain.about["numbers"], half.about["numbers"]) == (
        "float32",
        "bfloat16, sums in float32",
    )
    assert after.features.dtype == np.float32 and not np.array_equal(
        before.features, after.features
    )
    np.testing.assert_allclose(
        after.features,
        before.features,
        atol=0.05 * before.features.std(),
    )


@pytest.mark.parametrize(
    ("name", "weights", "wanted"),
    [
        ("histo", None, ("load_encoder",)),
        ("histo", Path("a"), ("load_encoder", Path("a"))),
        ("inception", None, ("load_inception", None)),
        ("inception", Path("a.pt"), ("load_inception", Path("a.pt"))),
        ("dinov2", None, ("load_dinov2", "")),
        ("dinov2", Path("a"), ("load_dinov2", "a")),
        ("dinov2:owkin/phikon-v2", None, ("load_dinov2", "owkin/phikon-v2")),
        ("dinov2:C:/a", None, ("load_dinov2", "C:/a")),
        ("hub:hf-hub:MahmoodLab/UNI", None, ("load_hub", "hf-hub:MahmoodLab/UNI", None)),
        ("hub:hf-hub:MahmoodLab/UNI", Path("a"), ("load_hub", "hf-hub:MahmoodLab/UNI", Path("a"))),
        ("squeezenet", Path("a.safetensors"), ("load_squeezenet", Path("a.safetensors"))),
    ],
)
def test_each_encoder_is_opened_by_its_name(
    opened,
    name,
    weights,
    wanted,
):
    open_encoder(name, weights=weights)
    assert opened == [wanted]


@pytest.mark.parametrize(
    ("name", "weights", "wanted", "called"),
    [
        ("histo", None, ("load_encoder",), "perceptual_it"),
        ("histo", Path("a"), ("load_encoder", Path("a")), "perceptual_it"),
        ("lpips", None, ("load_lpips", "alex", None), "it"),
        ("lpips-vgg", Path("a.pth"), ("load_lpips", "vgg", Path("a.pth")), "it"),
        ("squeezenet", Path("a"), ("load_squeezenet", Path("a")), "perceptual_it"),
    ],
)
def test_each_distance_is_opened_by_its_name_and_only_lpips_is_called_so(
    opened,
    name,
    weights,
    wanted,
    called,
):
    judge = open_perceptual(name, weights=weights)
    assert opened == [wanted]
    assert judge.name == called and judge.about == {"a": "b"}


@pytest.mark.parametrize(
    "name", ["", "fid", "Histo", "dinov2:", "hub", "hub:", "inception:a", "squeezenet:a"]
)
def test_unknown_encoders_are_refused_with_the_list(opened, name):
    with pytest.raises(BadOption) as caught:
        open_encoder(name)
    for known in ("histo", "inception", "dinov2", "hub:", "squeezenet"):
        assert known in caught.value.problem
    assert not opened


def test_unknown_distances_are_refused_with_the_list(opened):
    with pytest.raises(BadOption, match="histo, lpips, lpips-vgg, squeezenet"):
        open_perceptual("inception")
    assert not opened


def test_squeezenet_needs_its_weights_named(opened):
    for opening in (open_encoder, open_perceptual):
        with pytest.raises(BadOption, match="--weights is not given"):
            opening("squeezenet")
    assert not opened


def test_weights_that_are_not_there_are_refused(tmp_path):
    for name in ("histo", "inception", "dinov2", "squeezenet"):
        with pytest.raises(BadWeights):
            open_encoder(name, weights=tmp_path / "none.safetensors")


def test_naming_encoders_imports_none_of_them():
    code = (
        "import sys, histosynth.encoders.opening;"
        "print([m for m in ('torch', 'transformers', 'timm') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"

"""Batches whose surroundings are computed by threads beside the networks, as on a GPU: the same
pictures."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import histosynth as hs
from histosynth.core.errors import BadWeights
from histosynth.sampling import batches
from histosynth.sampling.grain_search import DeviceGrainSearch
from histosynth.sampling.work import encode_pictures
from histosynth.tissue.grain_patches import GrainPatches

NUCLEI = [hs.draw_layout((128, 128), mpp=0.5, seed=seed) for seed in range(3)]


def patches(seed: int, count: int = 40) -> GrainPatches:
    """Patches of which half look even: their eight poses are equals."""
    random = np.random.default_rng(seed)
    looks = random.integers(-100, 101, (count, 6, 6), np.int8)
    looks[::2] = random.integers(-3, 4, (count // 2, 1, 1), np.int8)
    lost = random.integers(-127, 128, (count, 12, 12, 3), np.int8)
    return GrainPatches(lost, looks)


def test_a_search_on_a_device_finds_the_same_patches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("histosynth.sampling.grain_search._ROWS_AT_A_TIME", 64)
    known = patches(0)
    random = np.random.default_rng(1)
    looks = random.integers(-120, 121, (150, 36)).astype(np.float32)
    looks[::3] = random.integers(-3, 4, (50, 1))
    search = DeviceGrainSearch(known, torch.device("cpu"))
    np.testing.assert_array_equal(search(looks), known.nearest(looks))


def test_patches_are_searched_on_the_cpu_where_the_device_has_no_memory_left(
    monkeypatch: pytest.MonkeyPatch,
):
    known = patches(0)
    looks = np.random.default_rng(1).integers(-120, 121, (9, 36)).astype(np.float32)
    search = DeviceGrainSearch(known, torch.device("cpu"))
    expected = known.nearest(looks)

    def refused(wanted: object) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(search, "_nearest", refused)
    np.testing.assert_array_equal(search(looks), expected)


def test_pictures_are_the_same_when_threads_work_beside(monkeypatch: pytest.MonkeyPatch):
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    in_turn = hs.synthesize(NUCLEI, bundle=bundle, seed=5, steps=2, batch=1)
    used: list[str] = []
    paint = "histosynth.sampling.batches.paint_group"
    original = batches.paint_group

    def watched(*arguments: object) -> object:
        used.append(threading.current_thread().name)
        return original(*arguments)

    monkeypatch.setattr("histosynth.sampling.work.leaves_cpu_free", lambda device: True)
    monkeypatch.setattr(paint, watched)
    beside = hs.synthesize(NUCLEI, bundle=bundle, seed=5, steps=2, batch=1)
    assert set(used) == {"histosynth-ahead"}
    for one, other in zip(in_turn, beside, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.recipe == other.recipe


def test_callbacks_stay_in_the_callers_thread(monkeypatch: pytest.MonkeyPatch):
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    monkeypatch.setattr("histosynth.sampling.work.leaves_cpu_free", lambda device: True)
    threads = []
    hs.synthesize(
        NUCLEI[:1],
        bundle=bundle,
        steps=2,
        on_step=lambda step: threads.append(threading.current_thread()),
    )
    assert threads == [threading.main_thread()] * 2


def test_an_error_beside_reaches_the_caller(monkeypatch: pytest.MonkeyPatch):
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    monkeypatch.setattr("histosynth.sampling.work.leaves_cpu_free", lambda device: True)
    monkeypatch.setattr(
        "histosynth.sampling.groups.decode_canonical",
        lambda bundle, latents: torch.full((len(latents), 128, 128, 3), torch.nan),
    )
    with pytest.raises(BadWeights, match="not all finite"):
        hs.synthesize(NUCLEI, bundle=bundle, steps=2, batch=1)
    names = [each.name for each in threading.enumerate()]
    assert "histosynth-ahead" not in names


@pytest.mark.parametrize("is_free", [False, True])
def test_pictures_are_encoded_in_their_order(monkeypatch: pytest.MonkeyPatch, is_free: bool):
    monkeypatch.setattr("histosynth.sampling.work.leaves_cpu_free", lambda device: is_free)
    names: set[str] = set()

    def encode(number: int) -> bytes:
        names.add(threading.current_thread().name)
        return str(number).encode()

    found = list(encode_pictures(iter(range(100)), encode, torch.device("cpu")))
    assert found == [(number, str(number).encode()) for number in range(100)]
    assert (threading.main_thread().name in names) != is_free


@pytest.mark.parametrize("is_free", [False, True])
def test_pictures_before_an_error_are_kept(monkeypatch: pytest.MonkeyPatch, is_free: bool):
    monkeypatch.setattr("histosynth.sampling.work.leaves_cpu_free", lambda device: is_free)

    def pictures():
        yield from range(3)
        raise KeyboardInterrupt

    found = []
    encoded = encode_pictures(pictures(), lambda number: b"", torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        for number, _ in encoded:
            found.append(number)
    assert found == [0, 1, 2]

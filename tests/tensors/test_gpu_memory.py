"""Work that a GPU cannot hold: what is said, and what would fit."""

from __future__ import annotations

import pytest
import torch
from toy import Toy, Whole, plan

import histosynth as hs
from histosynth.core.errors import TooLittleMemory
from histosynth.sampling import groups
from histosynth.tensors.gpu_memory import first_that_fits, runs_out_of_memory
from histosynth.training.loop.fit import fit


def refused(*_: object) -> None:
    raise torch.OutOfMemoryError("no memory")


def test_the_first_count_that_fits_is_found():
    def work(count: int) -> None:
        if count > 3:
            refused()

    assert first_that_fits([8, 4, 2, 1], work) == 2
    assert first_that_fits([8, 4], work) is None
    assert runs_out_of_memory(refused)


def test_other_errors_are_not_taken_for_it():
    def fails() -> None:
        raise RuntimeError("another")

    with pytest.raises(RuntimeError, match="another"):
        runs_out_of_memory(fails)


@pytest.mark.parametrize(
    ("most", "sentence"),
    [
        (1, "1 at a time fit: use --batch 1"),
        (2, "2 at a time fit: use --batch 2"),
        (0, "Not even one fits"),
    ],
)
def test_a_batch_that_does_not_fit_names_one_that_does(monkeypatch, most, sentence):
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    monkeypatch.setattr("histosynth.sampling.batches._is_group_exact", lambda *_, **__: True)
    paint_latents = groups.paint_latents

    def paint(bundle, maps, *others, **options):
        if len(maps.mask) > most:
            refused()
        return paint_latents(bundle, maps, *others, **options)

    monkeypatch.setattr(groups, "paint_latents", paint)
    nuclei = [hs.draw_layout((128, 128), mpp=0.5, seed=seed) for seed in range(4)]
    with pytest.raises(TooLittleMemory, match=sentence) as caught:
        hs.synthesize(nuclei, bundle=bundle, steps=1, batch=4)
    assert "too little for 4 pictures of 128 x 128 px at a time" in str(caught.value)


def test_conditions_that_do_not_fit_are_one_sentence(monkeypatch):
    monkeypatch.setattr(groups, "encode_conditions", lambda *_, **__: refused())
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    with pytest.raises(TooLittleMemory, match="the conditions of 1 picture at a time"):
        hs.synthesize(nuclei, bundle=bundle, steps=1)


def test_a_step_that_does_not_fit_names_the_parts_that_do(tmp_path):
    task = Toy(batch=8)
    loss = task.loss

    def large(step, generator, part=None):
        if part.count < 4:
            refused()
        return loss(step, generator, part)

    task.loss = large
    sentence = r"loop.batch 8 in 1 part a process.*One of 4 parts a process fits: set loop"
    with pytest.raises(TooLittleMemory, match=sentence):
        fit(task, plan(batch=8), tmp_path, seed=1)


def test_a_step_that_cannot_be_divided_names_other_ways(tmp_path):
    task = Whole()
    task.loss = refused
    with pytest.raises(TooLittleMemory, match=r"loop\.checkpointing = true"):
        fit(task, plan(), tmp_path, seed=1)

"""Adapters: isolation is proved, not promised."""

import copy
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import histosynth as hs
from histosynth.core.errors import AdapterMismatch, BadWeights
from histosynth.model.adapters import (
    ADAPTER_FILE,
    AdapterInfo,
    adapter_names,
    adapter_parameters,
    add_adapter,
    base_sha256,
    load_adapter,
    read_adapter,
    save_adapter,
    set_active_adapter,
    using_adapter,
)
from histosynth.model.loading import load_bundle
from histosynth.model.parts import save_part
from histosynth.model.structure import StructureEncoder, StructureMaps
from histosynth.testing import tiny_bundle

TARGETS = ("conv1", "conv2", "to_q", "to_k", "to_v", "to_out.0")


def predicted(bundle):
    maps = StructureMaps(
        torch.ones(1, 3, 64, 64) * 0.2,
        torch.ones(1),
        torch.zeros(1, 3, 128, 128),
        torch.ones(1, 1, 128, 128),
    )
    noise = torch.randn(
        1,
        4,
        16,
        16,
        generator=torch.Generator().manual_seed(0),
    )
    time = torch.tensor([0.6])
    with torch.inference_mode():
        features = bundle.structure(maps)
        return bundle.denoiser.predict_x0(
            noise,
            time,
            features,
            torch.zeros(1, 15),
        )


def train_a_little(bundle, name, steps=3):
    """A few honest optimiser steps on one adapter, the way the trainer sets it up."""
    add_adapter(
        bundle.unet,
        name,
        rank=4,
        alpha=4.0,
        targets=TARGETS,
    )
    trained = [parameter for parameter in bundle.unet.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.5)
    for step in range(steps):
        noise = torch.randn(
            2,
            4,
            16,
            16,
            generator=torch.Generator().manual_seed(step),
        )
        features = bundle.structure(
            StructureMaps(
                torch.zeros(2, 3, 64, 64),
                torch.zeros(2),
                torch.zeros(2, 3, 128, 128),
                torch.ones(2, 1, 128, 128),
            )
        )
        output = bundle.denoiser.predict(
            noise,
            torch.tensor([0.3, 0.7]),
            features,
            torch.zeros(2, 15),
        )
        output.square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    set_active_adapter(bundle.unet, None)


def info_of(bundle, name):
    return AdapterInfo(
        name,
        4,
        4.0,
        TARGETS,
        base_sha256(bundle.unet),
        bundle.info.classes,
        0.5,
    )


def test_training_an_adapter_leaves_the_base_bit_exact_and_changes_the_output():
    bundle = tiny_bundle()
    before = predicted(bundle)
    weights = copy.deepcopy(bundle.unet.state_dict())
    sha256 = base_sha256(bundle.unet)
    train_a_little(bundle, "global")
    after = {
        key.replace(".base_layer.", "."): value for key, value in bundle.unet.state_dict().items()
    }
    assert all(torch.equal(after[key], value) for key, value in weights.items())
    assert base_sha256(bundle.unet) == sha256
    assert torch.equal(predicted(bundle), before), (
        "without an active adapter the base must give its own results"
    )
    with using_adapter(bundle.unet, "global"):
        assert not torch.equal(predicted(bundle), before)
    assert torch.equal(predicted(bundle), before)


def test_a_new_adapter_changes_nothing():
    bundle = tiny_bundle()
    before = predicted(bundle)
    add_adapter(
        bundle.unet,
        "global",
        rank=4,
        alpha=4.0,
        targets=TARGETS,
    )
    assert torch.equal(predicted(bundle), before)


def test_training_global_leaves_local_untouched():
    bundle = tiny_bundle()
    train_a_little(bundle, "local")
    kept = [parameter.detach().clone() for parameter in adapter_parameters(bundle.unet, "local")]
    with using_adapter(bundle.unet, "local"):
        before = predicted(bundle)
    train_a_little(bundle, "global")
    assert kept and all(
        torch.equal(a, b)
        for a, b in zip(kept, adapter_parameters(bundle.unet, "local"), strict=True)
    )
    with using_adapter(bundle.unet, "local"):
        assert torch.equal(predicted(bundle), before)
    with using_adapter(bundle.unet, "global"):
        assert not torch.equal(predicted(bundle), before)


def test_an_adapter_is_the_same_after_saving_and_loading(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    path = save_adapter(
        bundle.unet,
        info_of(bundle, "global"),
        tmp_path,
        dtype=torch.float32,
    )
    with using_adapter(bundle.unet, "global"):
        expected = predicted(bundle)
    fresh = tiny_bundle()
    info = load_adapter(
        fresh.unet,
        path,
        classes=fresh.info.classes,
        base=base_sha256(fresh.unet),
    )
    assert info.name == "global" and info.rank == 4
    with using_adapter(fresh.unet, "global"):
        assert torch.equal(predicted(fresh), expected)


def test_diffusers_itself_can_read_the_file(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    save_adapter(
        bundle.unet,
        info_of(bundle, "global"),
        tmp_path,
        dtype=torch.float32,
    )
    fresh = tiny_bundle()
    fresh.unet.load_lora_adapter(
        str(tmp_path),
        weight_name=ADAPTER_FILE,
        prefix="unet",
        adapter_name="x",
        local_files_only=True,
    )
    with using_adapter(bundle.unet, "global"):
        expected = predicted(bundle)
    torch.testing.assert_close(predicted(fresh), expected)


def test_an_adapter_of_another_base_is_refused_and_nothing_is_loaded(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    path = save_adapter(bundle.unet, info_of(bundle, "global"), tmp_path)
    other = tiny_bundle(seed=1)
    with pytest.raises(AdapterMismatch, match="another base"):
        load_adapter(
            other.unet,
            path,
            classes=other.info.classes,
            base=base_sha256(other.unet),
        )
    assert adapter_names(other.unet) == ()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda tensors: tensors.pop(sorted(tensors)[0]), "1 missing"),
        (
            lambda tensors: tensors.update({"unet.extra.lora_A.weight": torch.zeros(4, 4)}),
            "1 unexpected",
        ),
        (lambda tensors: tensors.update({sorted(tensors)[0]: torch.zeros(1, 1)}), "1 unexpected"),
    ],
)
def test_an_incomplete_adapter_is_refused_whole(tmp_path, spoil, sentence):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    info = info_of(bundle, "global")
    path = save_adapter(bundle.unet, info, tmp_path)
    tensors = load_file(path)
    spoil(tensors)
    from dataclasses import asdict

    save_file(tensors, path, metadata={"histosynth": json.dumps(asdict(info))})
    fresh = tiny_bundle()
    before = predicted(fresh)
    with pytest.raises(AdapterMismatch, match=sentence):
        load_adapter(
            fresh.unet,
            path,
            classes=fresh.info.classes,
            base=base_sha256(fresh.unet),
        )
    assert adapter_names(fresh.unet) == ()
    assert torch.equal(predicted(fresh), before)


def test_other_classes_are_refused(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    path = save_adapter(bundle.unet, info_of(bundle, "global"), tmp_path)
    with pytest.raises(AdapterMismatch, match="nucleus classes"):
        load_adapter(
            tiny_bundle().unet,
            path,
            classes=("tumour",),
            base=base_sha256(tiny_bundle().unet),
        )


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 100])
def test_a_file_that_is_no_adapter_is_refused(tmp_path, content):
    path = tmp_path / ADAPTER_FILE
    path.write_bytes(content)
    with pytest.raises(BadWeights):
        load_adapter(
            tiny_bundle().unet,
            path,
            classes=("x",),
            base=base_sha256(tiny_bundle().unet),
        )


def own_structure(bundle, folder):
    """An adapter folder whose structure encoder is not the base's."""
    save_adapter(
        bundle.unet,
        info_of(bundle, "global"),
        folder,
        dtype=torch.float32,
    )
    encoder = copy.deepcopy(bundle.structure)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1)
    save_part(encoder, folder / "structure", dtype=torch.float32)


def test_an_adapters_own_structure_encoder_is_used_only_while_the_adapter_is_active(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    own_structure(bundle, tmp_path)
    fresh = tiny_bundle()
    alone = predicted(fresh)
    fresh.load_adapter(tmp_path)
    assert torch.equal(predicted(fresh), alone)
    with fresh.using_adapter("global"):
        active = predicted(fresh)
    with bundle.using_adapter("global"):
        assert not torch.equal(active, predicted(bundle)), "the base's own encoder was used"
    assert torch.equal(predicted(fresh), alone)


def test_a_structure_encoder_of_another_shape_is_refused_and_nothing_is_loaded(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    own_structure(bundle, tmp_path)
    other = dict(bundle.structure.config, fine=4)
    encoder = StructureEncoder(
        **{key: value for key, value in other.items() if not key.startswith("_")}
    )
    save_part(encoder, tmp_path / "structure")
    fresh = tiny_bundle()
    with pytest.raises(AdapterMismatch, match="structure encoder"):
        fresh.load_adapter(tmp_path)
    assert adapter_names(fresh.unet) == () and fresh.structures == {}


def test_a_merged_adapter_gives_the_results_of_the_active_one_and_leaves_the_base_unchanged():
    bundle = tiny_bundle()
    train_a_little(bundle, "global")
    alone = predicted(bundle)
    weights = copy.deepcopy(bundle.unet.state_dict())
    with_merged_adapter = bundle.with_merged_adapter("global")
    with bundle.using_adapter("global"):
        torch.testing.assert_close(
            predicted(with_merged_adapter),
            predicted(bundle),
            rtol=1e-4,
            atol=1e-4,
        )
    assert not torch.allclose(predicted(with_merged_adapter), alone, atol=1e-3)
    assert all(torch.equal(value, weights[key]) for key, value in bundle.unet.state_dict().items())
    assert bundle.with_merged_adapter("global") is with_merged_adapter, "merged once"
    assert (
        bundle.with_merged_adapter(None)
        is bundle.with_merged_adapter("an adapter it has not")
        is bundle
    )


def test_an_adapter_loaded_again_generates_with_its_new_weights(tmp_path):
    results = []
    for steps in (1, 4):
        trained = tiny_bundle()
        train_a_little(trained, "global", steps=steps)
        save_adapter(trained.unet, info_of(trained, "global"), tmp_path / str(steps))
        fresh = tiny_bundle()
        fresh.load_adapter(tmp_path / str(steps))
        results.append(predicted(fresh.with_merged_adapter("global")))
    first, second = results
    assert not torch.equal(first, second)
    bundle = tiny_bundle()
    bundle.load_adapter(tmp_path / "1")
    assert torch.equal(predicted(bundle.with_merged_adapter("global")), first)
    bundle.load_adapter(tmp_path / "4")
    assert torch.equal(predicted(bundle.with_merged_adapter("global")), second)


def test_an_adapter_of_a_bundle_in_bf16_fits_the_bundle_it_was_trained_on(tmp_path, bundle_folder):
    trained = load_bundle(bundle_folder)
    info = AdapterInfo(
        "global",
        4,
        4.0,
        TARGETS,
        trained.base_sha256,
        trained.info.classes,
        0.5,
    )
    trained.to(dtype=torch.bfloat16)
    add_adapter(
        trained.unet,
        "global",
        rank=4,
        alpha=4.0,
        targets=TARGETS,
    )
    save_adapter(trained.unet, info, tmp_path / "global")
    opened = hs.open_bundle(bundle_folder, device="cpu", dtype="bf16")
    assert opened.load_adapter(tmp_path / "global").name == "global"
    assert opened.load_adapter(tmp_path / "global").name == "global", (
        "loaded again, it replaces itself"
    )
    assert adapter_names(opened.unet) == ("global",)
    assert {p.dtype for p in adapter_parameters(opened.unet, "global")} == {torch.bfloat16}


@pytest.mark.parametrize(
    "broken", [{"rank": "4"}, {"targets": 3}, {"colour": "red"}, {"classes": [1]}]
)
def test_metadata_of_another_form_is_refused(tmp_path, broken):
    bundle = tiny_bundle()
    train_a_little(bundle, "global", steps=1)
    path = save_adapter(bundle.unet, info_of(bundle, "global"), tmp_path)
    tensors = load_file(path)
    metadata = json.loads(safe_open(path, "pt").metadata()["histosynth"])
    save_file(
        tensors,
        path,
        metadata={"histosynth": json.dumps({**metadata, **broken})},
    )
    with pytest.raises(BadWeights):
        read_adapter(path)


def test_the_same_adapter_is_the_same_bytes_each_time_it_is_written(tmp_path):
    bundle = tiny_bundle()
    train_a_little(bundle, "global", steps=1)
    files = [
        save_adapter(bundle.unet, info_of(bundle, "global"), tmp_path / str(i)).read_bytes()
        for i in range(6)
    ]
    assert len(set(files)) == 1
    info, tensors = read_adapter(tmp_path / "0" / ADAPTER_FILE)
    assert info.name == "global" and all(each.isfinite().all() for each in tensors.values())

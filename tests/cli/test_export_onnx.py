"""`export onnx`: its graphs and its plan paint what the bundle paints; other bundles' files are
refused."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from grain_of_tests import white_grain
from json_contract import check_json
from typer.testing import CliRunner

import histosynth as hs
from histosynth.cli.main import app
from histosynth.core.condition import Condition
from histosynth.core.errors import (
    AdapterMismatch,
    BadOption,
    BadSize,
    BadWeights,
    NeedsExtra,
    NotWritable,
    OnnxMismatch,
    ScaleMismatch,
    SizeMismatch,
    UnknownClasses,
)
from histosynth.core.store import sha256_of
from histosynth.model import onnx_graphs
from histosynth.model.adapters import (
    AdapterInfo,
    FewSteps,
    adapter_parameters,
    add_adapter,
    base_sha256,
)
from histosynth.model.conditioning import style_length
from histosynth.model.families.compact import build_unet
from histosynth.model.parts import save_part
from histosynth.model.structure import StructureEncoder, with_shapes
from histosynth.pipeline import export_onnx
from histosynth.sampling.provenance import condition_key
from histosynth.sampling.solvers import item_generator, item_noise
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import STYLE_NAMES
from histosynth.tissue.nucleus_sizes import LEVELS, ClassSizes

SIZES = ClassSizes(
    tuple(np.linspace(20, 60, len(LEVELS)).tolist()),
    tuple(np.linspace(1.1, 2, len(LEVELS)).tolist()),
)
WIDTHS = (32, 64)
SIZE = (144, 128)
SEED = 5


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A bundle with grain, guidance, and an adapter `global` that follows and draws sizes."""
    bundle = tiny_bundle()
    folder = tmp_path_factory.mktemp("source") / "bundle"
    first = replace(bundle.info.palette[0], scale=(1.0, 1.0, 1.0))
    bundle.info = replace(
        bundle.info,
        name="small",
        steps=3,
        solver="unipc",
        guidance=1.5,
        guidance_span=(0.25, 0.75),
        latent_mean=(0.1, -0.2, 0.0, 0.3),
        latent_std=(0.5, 1.0, 2.0, 1.5),
        palette=(first, *bundle.info.palette[1:]),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        bundle.unet = build_unet(
            latent_channels=4,
            fine=8,
            style=style_length(len(STYLE_NAMES), 1),
            widths=WIDTHS,
            layers=1,
        )
        bundle.structure = StructureEncoder(
            classes=3,
            fine=8,
            widths=(16, 16),
            outputs=WIDTHS,
            strides=(2, 2),
        )
        bundle.grain = white_grain()
        bundle.save(folder)
        sha256 = base_sha256(bundle.unet)
        encoder = with_shapes(bundle.structure)
        for parameter in encoder.parameters():
            torch.nn.init.normal_(parameter, std=0.06)
        add_adapter(bundle.unet, "global", rank=2, alpha=2.0, targets=("to_q", "conv1"))
        for parameter in adapter_parameters(bundle.unet, "global"):
            torch.nn.init.normal_(parameter, std=0.1)
    info = AdapterInfo(
        name="global",
        rank=2,
        alpha=2.0,
        targets=("to_q", "conv1"),
        base_sha256=sha256,
        classes=bundle.info.classes,
        mpp=0.5,
        sizes=(SIZES,) * 3,
    )
    bundle.save_adapter(info, folder / "adapters" / "global")
    save_part(encoder, folder / "adapters" / "global" / "structure")
    return folder


@pytest.fixture(scope="module")
def printed(source, tmp_path_factory):
    """What the verb printed as JSON."""
    out = tmp_path_factory.mktemp("exported") / "out"
    words = ["export", "onnx", str(source), "--out", str(out), "--dtype", "fp32", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    return check_json(done.stdout)


@pytest.fixture
def exported(printed, tmp_path):
    """A copy of the export."""
    return shutil.copytree(printed["out"], tmp_path / "copy")


def nuclei_of(size=SIZE):
    random = np.random.default_rng(2)
    count = 30
    shapes = np.stack(
        [random.uniform(20, 60, count), random.uniform(1, 2, count), random.uniform(0, 180, count)],
        axis=1,
    )
    classes = ("epithelial", "lymphocyte", "stromal")
    names = random.choice(classes, count)
    xy = random.uniform(0, np.array(size) - 1, (count, 2))
    return hs.Nuclei.of(xy, names, size=size, mpp=0.5, classes=classes, shapes=shapes)


def test_graphs_differ_from_torch_by_rounding_alone(printed):
    largest = {"structure.onnx": 1e-4, "denoiser.onnx": 1e-4, "decoder.onnx": 1e-3, "grain.onnx": 0}
    assert printed["differences"].keys() == largest.keys()
    for name, difference in printed["differences"].items():
        assert difference <= largest[name], name
    assert (printed["name"], printed["adapter"]) == ("small", "global")
    assert (printed["solver"], printed["steps"]) == ("unipc", 3)
    assert printed["bytes"] == sum(printed["files"].values())


def test_a_whole_tile_is_the_bundles_own(exported, source):
    nuclei = nuclei_of()
    (tile,) = hs.synthesize(
        nuclei,
        bundle=hs.open_bundle(source, device="cpu", dtype="fp32"),
        seed=SEED,
        grain=False,
        label="breast",
    )
    key = condition_key(Condition(nuclei, nuclei.size, "breast"))
    model = hs.open_onnx(exported, threads=1)
    shape = model.noise_shape(SIZE)
    noise = item_noise(shape, [item_generator(SEED, key, 0)])[0].numpy()
    painted = model.paint(nuclei, noise, label="breast")
    assert painted.shape == (128, 144, 3)
    assert np.abs(painted - tile.pixels).max() <= 1
    assert painted.std() > 5
    other = model.paint(nuclei, noise, label="breast", appearance="stain-3")
    assert np.abs(painted - other).max() > 1


def test_guidance_is_part_of_the_plan(exported):
    calls = hs.open_onnx(exported, threads=1).info.plan.calls
    assert [call.guidance for call in calls] == [
        1.5 if 0.25 <= call.time <= 0.75 else 1.0 for call in calls
    ]
    assert {call.guidance for call in calls} == {1.0, 1.5}


def test_each_file_states_its_bundle_and_what_it_is_not_for(exported):
    info = json.loads((exported / "model.json").read_text())
    assert "not for diagnosis" in info["notice"]
    for name, sha256 in info["hashes"].items():
        assert sha256_of(exported / name) == sha256
        graph = onnx.load(exported / name)
        stated = {each.key: each.value for each in graph.metadata_props}
        assert "not for diagnosis" in stated["notice"]
        assert stated["bundle_sha256"] == info["bundle"]["sha256"]
        assert not graph.graph.doc_string and "/" not in str(stated)


def test_the_file_holds_what_a_page_needs(exported):
    info = json.loads((exported / "model.json").read_text())
    assert info["classes"] == ["epithelial", "lymphocyte", "stromal"]
    assert info["sizes"][1]["area_um2"] == list(SIZES.area_um2)
    assert info["size_levels"] == list(LEVELS)
    assert len(info["palette"]) == 4
    assert info["grain"]["strength"] == [6.0, 6.0, 6.0]
    assert len(info["layouts"]) == 12
    for layout in info["layouts"]:
        assert len(layout["x"]) >= 40
        assert max(*layout["x"], *layout["y"]) < 255.5
        assert set(layout["class_ids"]) <= {0, 1, 2}


def test_weights_in_half_take_half_the_room_and_compute_in_float(exported, printed):
    data = {}
    outputs = {}
    inputs = random_inputs()
    for name in ("whole", "half"):
        graph = onnx.load(exported / "denoiser.onnx")
        if name == "half":
            onnx_graphs._store_in_half(graph, onnx)
        onnx.checker.check_model(graph)
        data[name] = graph.SerializeToString()
        session = onnxruntime.InferenceSession(data[name], providers=["CPUExecutionProvider"])
        (outputs[name],) = session.run(None, inputs)
    assert len(data["half"]) < 0.65 * len(data["whole"])
    # of the network those weights are rounded that an adapter was merged into
    assert 0 < np.abs(outputs["half"] - outputs["whole"]).max() < 0.01


def random_inputs():
    """Of the denoiser, for a tile of 48 x 32 px."""
    random = np.random.default_rng(0)
    shapes = {
        "noisy": (1, 4, 4, 6),
        "style": (1, 15),
        "fine": (1, 8, 4, 6),
        "scale_0": (1, 32, 2, 3),
        "scale_1": (1, 64, 2, 3),
    }
    inputs = {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    return inputs | {"time": np.array([0.4], np.float32)}


def test_an_adapter_of_few_steps_is_taken_with_its_steps(source, tmp_path):
    folder = shutil.copytree(source, tmp_path / "bundle")
    bundle = hs.open_bundle(folder, device="cpu", dtype="fp32")
    learnt = FewSteps(2, "global", bundle.adapter_sha256["global"])
    name = "global-few-steps"
    add_adapter(bundle.unet, name, rank=2, alpha=2.0, targets=("to_q",))
    info = replace(bundle.adapters["global"], name=name, targets=("to_q",), few_steps=learnt)
    bundle.save_adapter(info, folder / "adapters" / name)
    for wanted in ("global", name):
        merged, used, plan = export_onnx._opened(folder, wanted)
        assert used == name
        assert (plan.solver, [call.time for call in plan.calls]) == ("euler", [1.0, 0.5])
        assert {call.guidance for call in plan.calls} == {1.0}
        assert merged.sizes == (SIZES,) * 3
    other = replace(info, few_steps=replace(learnt, teacher_sha256="0" * 64))
    bundle.save_adapter(other, folder / "adapters" / name)
    assert export_onnx._opened(folder, "global")[1] == "global"
    with pytest.raises(AdapterMismatch, match="another adapter 'global'"):
        export_onnx._opened(folder, name)


# what is refused


def test_a_file_of_another_bundle_is_refused(exported):
    path = exported / "decoder.onnx"
    other = onnx.load(path)
    onnx.helper.set_model_props(other, {"bundle": "other", "bundle_sha256": "ab" * 32})
    path.write_bytes(other.SerializeToString())
    with pytest.raises(OnnxMismatch) as error:
        hs.open_onnx(exported)
    assert "it is of bundle 'other' (sha256 abababababab)" in str(error.value)
    assert "model.json is of bundle 'small'" in str(error.value)


def test_a_damaged_file_is_refused(exported):
    path = exported / "structure.onnx"
    path.write_bytes(path.read_bytes()[:-5] + b"abcde")
    with pytest.raises(OnnxMismatch, match=r"structure\.onnx.*its sha256 begins"):
        hs.open_onnx(exported)


def test_a_file_that_is_no_graph_is_refused(exported):
    path = exported / "structure.onnx"
    path.write_bytes(b"no graph")
    change_info(exported, lambda info: info["hashes"].update({path.name: sha256_of(path)}))
    with pytest.raises(OnnxMismatch, match="onnxruntime cannot load it"):
        hs.open_onnx(exported)


def change_info(folder, change):
    path = folder / "model.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda info: info.update(format=2), "format is 2, and this version reads 1"),
        (lambda info: info["hashes"].pop("decoder.onnx"), "hashes names no decoder.onnx"),
        (lambda info: info["plan"]["calls"].pop(), "a number for each estimate before it"),
        (lambda info: info["plan"].update(noise=float("nan")), "nan"),
        (lambda info: info.update(classes=[]), "there must be classes"),
        (lambda info: info["layouts"][0]["x"].pop(), "must be of the same nuclei"),
        (lambda info: info["hashes"].update({"../a": "b"}), "leads out of the folder"),
        (lambda info: info["hashes"].update({"more.onnx": "b"}), "it is missing"),
        (lambda info: info.update(colour="red"), "colour"),
        (lambda info: info.update(mpp=0), "mpp must be above 0"),
        (lambda info: info["style_std"].pop(), "styles need a mean"),
        (lambda info: info["style_std"].__setitem__(0, -1.0), "a positive std"),
        (lambda info: info.update(multiple_px=0), "multiple_px must be a multiple of 8, not 0"),
        (lambda info: info.update(multiple_px=12), "multiple_px must be a multiple of 8, not 12"),
    ],
)
def test_impossible_values_are_refused(exported, change, reason):
    change_info(exported, change)
    with pytest.raises(OnnxMismatch) as error:
        hs.open_onnx(exported)
    assert reason in str(error.value)


@pytest.mark.parametrize("text", [None, "no json", "[" * 100_000, "7"])
def test_a_folder_without_its_card_is_refused(exported, text):
    path = exported / "model.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(OnnxMismatch, match=r"model\.json"):
        hs.open_onnx(exported)


def test_nuclei_and_noise_that_do_not_fit_are_refused(exported):
    model = hs.open_onnx(exported, threads=1)
    noise = np.zeros(model.noise_shape(SIZE), np.float32)
    with pytest.raises(SizeMismatch):
        model.paint(nuclei_of(), noise[:, 1:])
    with pytest.raises(BadSize):
        model.paint(nuclei_of((100, 128)), noise)
    with pytest.raises(UnknownClasses):
        model.paint(hs.Nuclei.none(SIZE, 0.5, ("tumour",)), noise)
    noise[0, 0, 0] = np.nan
    with pytest.raises(BadWeights, match="not all finite"):
        model.paint(nuclei_of(), noise)
    with pytest.raises(UnknownClasses, match="any"):
        model.paint(replace(nuclei_of(), class_ids=np.full(30, 255, np.uint8)), noise)
    with pytest.raises(ScaleMismatch):
        model.paint(replace(nuclei_of(), mpp=0.25), noise)
    with pytest.raises(BadOption, match="stain-1, stain-2"):
        model.paint(nuclei_of(), noise, appearance="blue")
    with pytest.raises(hs.HistosynthError, match="Unknown label"):
        model.paint(nuclei_of(), noise, label="lung")


def test_an_export_is_refused_before_anything_is_written(source, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(BadOption, match="one of the bundle's adapters: global"):
        hs.export_onnx(source, out=out, adapter="local")
    with pytest.raises(BadOption, match="fp16 or fp32"):
        hs.export_onnx(source, out=out, dtype="bf16")
    with pytest.raises(NotWritable, match="it lies in the bundle itself"):
        hs.export_onnx(source, out=source / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(NotWritable, match="something is there already"):
        hs.export_onnx(source, out=tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_bundle_that_does_not_hold_its_base_is_refused(source, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    info = json.loads((source / "bundle.json").read_text())
    info |= {
        "family": "stable-diffusion",
        "prediction": "epsilon",
        "base": {"source": "base", "sha256": "ab"},
        "prompts": ["", "a", "b"],
    }
    (folder / "bundle.json").write_text(json.dumps(info))
    with pytest.raises(hs.HistosynthError, match="only a bundle that holds its base"):
        hs.export_onnx(folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra_is_one_sentence(source, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NeedsExtra) as error:
        hs.export_onnx(source, out=tmp_path / "out")
    assert str(error.value) == (
        "onnx, which an export needs, is not installed. Install it: pip install 'histosynth[onnx]'."
    )
    assert not (tmp_path / "out").exists()


def test_a_reader_without_onnxruntime_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NeedsExtra, match="onnxruntime, which an ONNX export needs"):
        hs.open_onnx(tmp_path)

"""Verbs on bundles: what inspect reports, adapters under other names, the hub."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from bundled import files, whole_bundle
from safetensors.torch import load_file, save_file

from histosynth.core.errors import (
    BadOption,
    BundleMismatch,
    HistosynthError,
    InputError,
    NotWritable,
    UnavailableError,
)
from histosynth.model.adapters import ADAPTER_FILE, read_adapter
from histosynth.model.loading import load_bundle
from histosynth.model.packing import pack
from histosynth.pipeline.bundle import convert, inspect, push


@pytest.fixture(scope="module")
def whole(bundle_folder, tmp_path_factory):
    """Do not change it."""
    return whole_bundle(bundle_folder, tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def test_inspect_reports_what_a_bundle_is_and_holds(whole):
    result = inspect(whole)
    assert (result["name"], result["mpp"], result["labels"]) == ("tiny", 0.5, ("breast",))
    assert result["classes"] == ("epithelial", "lymphocyte", "stromal")
    assert result["family"] == "compact"
    (adapter,) = result["adapters"]
    assert (adapter["rank"], adapter["alpha"], adapter["targets"]) == (2, 3.0, ("to_q",))
    bundle = load_bundle(whole)
    assert adapter["base_sha256"] == bundle.base_sha256
    assert adapter["parameters"] == sum(
        t.numel() for t in read_adapter(whole / "adapters/global" / ADAPTER_FILE)[1].values()
    )
    assert result["parts"]["unet"]["parameters"] == sum(p.numel() for p in bundle.unet.parameters())
    assert result["bytes"] == sum((whole / name).stat().st_size for name in files(whole))
    assert result["verified"] and result["wrong"] == ""
    json.dumps(result)


def test_inspect_reports_hashes_that_do_not_hold(copied):
    (copied / "unet" / "config.json").write_text("{}")
    result = inspect(copied)
    assert (
        not result["verified"]
        and "its sha256 is another than bundle.json states" in result["wrong"]
    )
    with pytest.raises(BundleMismatch, match="its sha256 is another"):
        push(copied, "me/mine", dry=True)


def test_inspect_refuses_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(BundleMismatch, match="the folder is no bundle"):
        inspect(tmp_path)


def test_adapters_are_converted_there_and_back(whole, tmp_path):
    source = whole / "adapters" / "global"
    result = convert(source, "kohya", tmp_path / "k.safetensors")
    assert (result["name"], result["rank"], result["alpha"]) == ("global", 2, 3.0)
    back = convert(
        tmp_path / "k.safetensors",
        "diffusers",
        tmp_path / "d.safetensors",
        base=whole,
    )
    assert back["rank"] == 2 and back["alpha"] == 3.0
    before = read_adapter(source / ADAPTER_FILE)
    after = read_adapter(tmp_path / "d.safetensors")
    assert before[0] == after[0] and all(torch.equal(after[1][k], v) for k, v in before[1].items())
    with pytest.raises(NotWritable, match="something is there already"):
        convert(source, "kohya", tmp_path / "k.safetensors")
    with pytest.raises(BadOption, match=r"ending in \.safetensors"):
        convert(source, "kohya", tmp_path / "k.pt")
    with pytest.raises(BadOption, match="--base"):
        convert(
            source,
            "kohya",
            tmp_path / "l.safetensors",
            base=whole,
        )


def test_an_adapter_of_another_program_is_converted_by_the_bundles_modules(whole, tmp_path):
    convert(whole / "adapters" / "global", "kohya", tmp_path / "k.safetensors")
    save_file(load_file(tmp_path / "k.safetensors"), tmp_path / "other.safetensors")
    with pytest.raises(HistosynthError, match="the network has no such modules"):
        convert(
            tmp_path / "other.safetensors",
            "diffusers",
            tmp_path / "d.safetensors",
        )
    result = convert(
        tmp_path / "other.safetensors",
        "diffusers",
        tmp_path / "d.safetensors",
        base=whole,
    )
    assert (result["name"], result["alpha"]) == ("other", 3.0)


class Hub:
    """A hub that records requests."""

    def __init__(self, private=False, error=None):
        self.private = private
        self.error = error
        self.requests = []
        self.sent = {}

    def create_repo(self, repo, **options):
        self.requests.append((repo, options))
        if self.error:
            raise self.error

    def repo_info(self, repo):
        return SimpleNamespace(private=self.private)

    def create_commit(
        self,
        repo,
        operations,
        *,
        commit_message,
    ):
        self.sent = {each.path_in_repo: each.path_or_fileobj for each in operations}
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo}/commit/1")


@pytest.fixture
def hub(monkeypatch):
    hub_stub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub_stub)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_x")
    return hub_stub


def test_a_bundle_is_pushed_as_it_is_packed_in_one_commit(hub, whole, tmp_path):
    result = push(whole, "me/mine")
    assert result["pushed"] and result["url"].endswith("me/mine/commit/1")
    assert hub.requests == [("me/mine", {"private": None, "exist_ok": True})]
    pack(whole, tmp_path / "out")
    assert set(hub.sent) == set(result["files"]) == files(tmp_path / "out")
    for name, source in hub.sent.items():
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        assert data == (tmp_path / "out" / name).read_bytes()


def test_a_dry_push_sends_nothing_and_needs_no_token(hub, monkeypatch, whole):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    result = push(whole, "me/mine", dry=True)
    assert not result["pushed"] and "unet/config.json" in result["files"] and hub.requests == []
    with pytest.raises(
        UnavailableError, match=r"There is no token .* Run `hf auth login`, or set HF_TOKEN"
    ):
        push(whole, "me/mine")
    assert hub.requests == []


def test_private_is_private_and_a_public_repository_is_not_written(hub, whole):
    with pytest.raises(BadOption, match="--private"):
        push(whole, "me/mine", private=True)
    assert hub.sent == {}
    hub.private = True
    push(whole, "me/mine", private=True)
    assert hub.sent and hub.requests[-1][1]["private"] is True


def test_refusals_of_the_hub_are_one_sentence(hub, whole):
    client = huggingface_hub.errors.HfHubHTTPError.__bases__[0]
    for error in (client("403 Forbidden\nmore"), ConnectionError("no way"), ValueError("bad name")):
        hub.error = error
        with pytest.raises(
            UnavailableError, match="me/mine cannot be written on the hub: "
        ) as caught:
            push(whole, "me/mine")
        assert "\n" not in str(caught.value)
    for repo in ("mine", "a/b/c", "", "me/mi ne"):
        with pytest.raises(BadOption, match="owner/name"):
            push(whole, repo)


def test_nothing_unsafe_is_pushed(hub, copied):
    (copied / "weights.bin").write_bytes(b"\x80\x04")
    with pytest.raises(InputError):
        push(copied, "me/mine")
    assert hub.requests == []

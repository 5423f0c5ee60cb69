"""Bundles packed and unpacked: whole or not at all, the same bytes each time, and nothing
but weights and text in them."""

import json
import shutil
import stat
import zipfile

import pytest
import torch
from bundled import files, left, whole_bundle
from safetensors.torch import save_file

from histosynth.core.errors import BadWeights, BundleMismatch, InputError, NotWritable
from histosynth.core.shipped import COMPACT
from histosynth.model.info import hashed, read_info
from histosynth.model.loading import load_bundle
from histosynth.model.packing import pack, unpack
from histosynth.pipeline.bundle import inspect


@pytest.fixture(scope="module")
def whole(bundle_folder, tmp_path_factory):
    """Do not change it."""
    return whole_bundle(bundle_folder, tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def test_packing_gives_the_same_bytes_and_unpacking_the_same_files(copied, tmp_path):
    before = {name: (copied / name).read_bytes() for name in files(copied)}
    summary = pack(copied, tmp_path / "a.zip")
    assert before == {name: (copied / name).read_bytes() for name in files(copied)}, (
        "the folder is not touched"
    )
    (copied / "unet" / "config.json").touch()
    (copied / ".hidden").write_text("a token")
    pack(copied, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert set(summary["files"]) == {*before, "README.md"}
    unpack(tmp_path / "a.zip", tmp_path / "out" / "put")
    for name in before.keys() - {"bundle.json"}:
        assert (tmp_path / "out" / "put" / name).read_bytes() == before[name]
    assert read_info(tmp_path / "out" / "put").hashes == hashed(copied), (
        "the adapter's sha256 is named now"
    )
    pack(tmp_path / "out" / "put", tmp_path / "c.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "c.zip").read_bytes()
    assert left(tmp_path) == ["a.zip", "b.zip", "bundle", "c.zip", "out"]


def test_a_folder_is_packed_with_what_a_zip_file_holds(whole, tmp_path):
    summary = pack(whole, tmp_path / "out")
    pack(whole, tmp_path / "out.zip")
    unpack(tmp_path / "out.zip", tmp_path / "un")
    assert files(tmp_path / "out") == files(tmp_path / "un") == set(summary["files"])
    for name, size in summary["files"].items():
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "un" / name).read_bytes()
        assert (tmp_path / "out" / name).stat().st_size == size
    load_bundle(tmp_path / "out")


def test_the_card_contains_data_sizes_and_measurements_and_keeps_what_people_wrote(
    copied, tmp_path
):
    (tmp_path / "m.md").write_text("# All\n\n| FD | 0.81 |\n\n## More\n\nText.\n")
    pack(copied, tmp_path / "one", measured=tmp_path / "m.md")
    card = (tmp_path / "one" / "README.md").read_text()
    assert "### All\n\n| FD | 0.81 |\n\n### More" in card and "| adapter global | 0.00 M |" in card
    assert "Which patients it was trained on is not stated." in card and "brca-m2c" not in card
    assert (
        "not for diagnosis" in card
        and "## Limits" in card
        and "Licence of the weights: Apache-2.0." in card
    )
    written = card.replace("Which patients it was trained on is not stated.", "Patients A to F.")
    (tmp_path / "one" / "README.md").write_text(written + "\n## Cite\n\nUs.\n")
    pack(tmp_path / "one", tmp_path / "two")
    again = (tmp_path / "two" / "README.md").read_text()
    assert (
        "Patients A to F." in again
        and again.endswith("## Cite\n\nUs.\n")
        and "| FD | 0.81 |" in again
    )
    assert again.count("Licence of the weights") == again.count("## Measured") == 1
    pack(tmp_path / "two", tmp_path / "three")
    assert (tmp_path / "three" / "README.md").read_text() == again


def test_the_compact_bundles_card_keeps_its_numbers_and_patients(tmp_path):
    pack(COMPACT, tmp_path / "out")
    before, after = ((each / "README.md").read_text() for each in (COMPACT, tmp_path / "out"))
    table = [line for line in before.splitlines() if line.startswith("| ")]
    assert len(table) > 20 and set(table) == {
        line for line in after.splitlines() if line.startswith("| ")
    }
    assert "`brca-m2c/val.txt`" in after
    assert (COMPACT / "bundle.json").read_bytes() == (tmp_path / "out" / "bundle.json").read_bytes()


def test_the_card_of_a_bundle_with_a_named_base_states_it(copied, tmp_path):
    for part in ("unet", "autoencoder"):
        shutil.rmtree(copied / part)
    save_file({"text": torch.zeros(3, 2, 4)}, copied / "prompts.safetensors")
    summary = json.loads((copied / "bundle.json").read_text())
    summary |= {
        "family": "stable-diffusion",
        "prediction": "epsilon",
        "prompts": ["", "tissue", "breast"],
    }
    summary |= {"base": {"source": "someone/sd", "sha256": "ab" * 32}, "hashes": hashed(copied)}
    (copied / "bundle.json").write_text(json.dumps(summary))
    facts = inspect(copied)
    assert facts["verified"] and facts["family"] == "stable-diffusion"
    assert facts["base"]["source"] == "someone/sd" and set(facts["parts"]) == {"structure"}
    pack(copied, tmp_path / "a.zip")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "a base that is not in here" in card and "`someone/sd`" in card and "ab" * 32 in card
    pack(tmp_path / "out", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("text", [b"\xff\xfe", None])
def test_measurements_must_be_text(whole, tmp_path, text):
    if text is not None:
        (tmp_path / "m.md").write_bytes(text)
    with pytest.raises(InputError, match="cannot be read as text"):
        pack(whole, tmp_path / "out", measured=tmp_path / "m.md")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("weights.pt", b"\x80\x04", InputError),
        ("LICENSE", b"text", InputError),
        ("run.py", b"print()", InputError),
        ("notes.txt", b"\x80\x04\xff", InputError),
        ("more.json", b"{", InputError),
        ("deep.json", b"[" * 100_000, InputError),
        ("unread.safetensors", b"\x80\x04", BadWeights),
    ],
)
@pytest.mark.parametrize("out", ["b.zip", "b"])
def test_anything_but_numbers_and_text_is_refused(
    copied,
    tmp_path,
    name,
    content,
    error,
    out,
):
    (copied / "adapters" / name).write_bytes(content)
    with pytest.raises(error, match=name):
        pack(copied, tmp_path / out)
    assert left(tmp_path) == ["bundle"]


def test_links_are_refused(copied, tmp_path):
    (tmp_path / "secret.txt").write_text("mine")
    (copied / "a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InputError, match="it is a link"):
        pack(copied, tmp_path / "b.zip")
    (copied / "a.txt").unlink()
    (copied / "folder").symlink_to(tmp_path)
    with pytest.raises(InputError, match="it is a link"):
        pack(copied, tmp_path / "b.zip")


@pytest.mark.parametrize("verb", ["zip", "folder", "unpack"])
def test_existing_files_are_never_replaced(copied, tmp_path, verb):
    pack(copied, tmp_path / "a.zip")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "mine").write_text("mine")
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(NotWritable, match="something is there already"):
        {
            "zip": lambda: pack(copied, tmp_path / "a.zip"),
            "folder": lambda: pack(copied, tmp_path / "f"),
            "unpack": lambda: unpack(tmp_path / "a.zip", tmp_path / "f"),
        }[verb]()
    assert left(tmp_path / "f") == ["mine"] and (tmp_path / "a.zip").read_bytes() == before
    for out in (copied / "b.zip", copied / "b", copied):
        with pytest.raises(NotWritable, match="in the bundle itself"):
            pack(copied, out)


def entry(name, mode=0o644, file_type=stat.S_IFREG):
    info = zipfile.ZipInfo(name)
    info.external_attr = (file_type | mode) << 16
    return info


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        (entry("../a.json"), "leads elsewhere"),
        (entry("a/../../b.json"), "leads elsewhere"),
        (entry("/a.json"), "leads elsewhere"),
        (entry("a\\b.json"), "leads elsewhere"),
        (entry("C:a.json"), "leads elsewhere"),
        (entry(".a/b.json"), "leads elsewhere"),
        (entry("a//b.json"), "leads elsewhere"),
        (entry("aux.json"), "Windows keeps it for a device"),
        (entry("a./b.json"), "ends with a dot"),
        (entry("a\u202enosj.json"), r"it holds the character \\u202e"),
        (entry("a.json", file_type=stat.S_IFLNK), "it is a link"),
        (entry("a.pkl"), "only files ending in"),
        (entry("README.MD"), "only files ending in"),
        (entry("unet/CONFIG.json"), "there twice"),
    ],
)
def test_archives_with_unsafe_names_or_links_are_refused(
    whole,
    tmp_path,
    added,
    sentence,
):
    pack(whole, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr(added, b"{}")
    with pytest.raises(BundleMismatch, match=sentence):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert left(tmp_path) == ["a.zip"] and not (tmp_path.parent / "a.json").exists()


def test_archives_that_expand_are_refused(whole, tmp_path):
    pack(whole, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", b"\0" * 10_000_000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for index in range(1001):
            archive.writestr(f"{index}.txt", b"")
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"abc")
    for name, sentence in (("a", "are the most"), ("b", "1001 files"), ("c", "it is compressed")):
        with pytest.raises(BundleMismatch, match=sentence):
            unpack(tmp_path / f"{name}.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty", "gone", "hash"])
def test_damaged_archives_leave_nothing_behind(whole, tmp_path, spoil):
    pack(whole, tmp_path / "a.zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    if spoil == "flip":
        data[len(data) // 2] ^= 1
    (tmp_path / "a.zip").write_bytes({"cut": data[:-100], "empty": b""}.get(spoil, data))
    if spoil == "gone":
        (tmp_path / "a.zip").unlink()
    if spoil == "hash":
        summary = json.loads((whole / "bundle.json").read_text())
        summary["hashes"] |= {"../../x.json": "0"}
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in files(whole) - {"bundle.json"}:
                archive.write(whole / name, name)
            archive.writestr("bundle.json", json.dumps(summary))
    with pytest.raises(BundleMismatch):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert left(tmp_path) == ([] if spoil == "gone" else ["a.zip"])

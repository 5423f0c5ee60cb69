"""`histosynth bundle …` as its users meet it."""

import re
import subprocess
import sys

import huggingface_hub
import pytest
from json_contract import check_json
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import HistosynthError
from histosynth.core.shipped import COMPACT


def run(*arguments, code=0):
    """Run in this process; returns stdout's JSON or text, or the refusal."""
    result = CliRunner().invoke(app, ["bundle", *(str(each) for each in arguments)])
    if isinstance(result.exception, HistosynthError):
        assert code == 1, result.exception
        return str(result.exception)
    assert result.exit_code == code, (result.output, result.exception)
    return check_json(result.stdout) if "--json" in arguments else result.output


def test_inspect_shows_what_the_compact_bundle_is():
    said = run("inspect", COMPACT)
    assert "compact" in said and "adapter global     rank 16, alpha 16, on conv1" in said
    assert re.search(r"hashes +\d+, hold\n", said) and "brca-m2c/images" in said
    told = run("inspect", COMPACT, "--json")
    assert told["verified"] and told["has_grain"]
    names = [each["name"] for each in told["adapters"]]
    assert names == ["global", "global-few-steps", "local"]
    assert run("inspect", COMPACT, "--quiet") == ""


def test_inspect_is_exit_one_where_hashes_do_not_hold(bundle_folder, tmp_path):
    run("pack", bundle_folder, "--out", tmp_path / "b")
    (tmp_path / "b" / "unet" / "config.json").write_text("{}")
    said = run("inspect", tmp_path / "b", code=1)
    assert "do not hold" in said and "its sha256 is another" in said


def test_a_bundle_goes_into_a_file_and_comes_out(bundle_folder, tmp_path):
    said = run("pack", bundle_folder, "--out", tmp_path / "b.zip")
    assert "b.zip: 8 files" in said
    assert (
        run(
            "unpack",
            tmp_path / "b.zip",
            "--out",
            tmp_path / "b",
            "--json",
        )["name"]
        == "tiny"
    )
    assert "something is there already" in run(
        "unpack",
        tmp_path / "b.zip",
        "--out",
        tmp_path / "b",
        code=1,
    )
    assert "the folder is no bundle" in run("pack", tmp_path / "x", "--out", tmp_path / "c", code=1)


def test_an_adapter_is_converted(tmp_path):
    kohya = tmp_path / "k.safetensors"
    back = tmp_path / "d.safetensors"
    assert "global, rank 16, alpha 16" in run(
        "convert",
        COMPACT / "adapters/global",
        "--to",
        "kohya",
        "--out",
        kohya,
    )
    assert (
        run(
            "convert",
            kohya,
            "--to",
            "diffusers",
            "--out",
            back,
            "--json",
        )["rank"]
        == 16
    )
    run(
        "convert",
        kohya,
        "--to",
        "onnx",
        "--out",
        tmp_path / "o.safetensors",
        code=2,
    )


def test_a_dry_push_lists_files_and_a_push_without_a_token_says_so(bundle_folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    said = run("push", bundle_folder, "--repo", "me/mine", "--dry-run")
    assert "unet/config.json" in said and "would go to me/mine" in said
    assert run("push", bundle_folder, "--repo", "me/mine", code=1).count(".") <= 3


@pytest.mark.parametrize("verb", ["", "inspect", "push"])
def test_help_loads_no_torch(verb):
    code = (
        "import sys, typer.testing as t; from histosynth.cli.main import app; "
        f"r = t.CliRunner().invoke(app, ['bundle', *'{verb}'.split(), '--help']); "
        "print(r.exit_code, [m for m in ('torch', 'diffusers', 'huggingface_hub') if m in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0 []"

"""Several processes, and processes that are killed: an adapter of a tiny bundle, trained for
real."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small import write_recipe
from toy import losses_of, rows_of

from histosynth.model.adapters import ADAPTER_FILE

KILLED = -9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def ends(folder, tissue, bundle_folder):
    """How each process of each job ended, by the name of the job."""
    jobs = {}

    def add(run, processes, *, at=None, breaks=False, **loop):
        recipe = folder / f"{run}.toml"
        text = write_recipe(
            folder,
            tissue,
            "local",
            start=bundle_folder,
            steps=4,
            every=4,
        ).read_text()
        for key, value in {"trackers": [], **loop}.items():
            text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
            text = text.replace("[loop]", f"[loop]\n{key} = {json.dumps(value)}")
        recipe.write_text(text)
        name = run + (f" killed at {at}" if at else "")
        jobs[name] = {
            "recipe": str(recipe),
            "run": str(folder / run),
            "processes": processes,
        }
        jobs[name] |= {"killed_at": at, "breaks": breaks}

    half = {"precision": "fp16", "accumulate": 2}
    pair = {"batch": 4, "accumulate": 2}
    add("one", 1)
    add("two", 2)
    add("broken", 2, breaks=True)
    add("half", 1, **half)
    for kill in (1, 3, None):
        add("half, cut", 1, at=kill, **half)
    add("pair", 2, **pair)
    for kill in (3, None):
        add("pair, cut", 2, at=kill, **pair)
    (folder / "jobs.json").write_text(json.dumps(list(jobs.values())))
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "support" / "forked.py"),
        str(folder / "jobs.json"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(jobs, map(json.loads, done.stdout.splitlines()), strict=True))


def weights_of(run):
    """sha256 of each file of weights, whatever order its metadata were written in."""
    found = {}
    for path in sorted(run.rglob(f"*/{ADAPTER_FILE}")):
        whole = path.read_bytes()
        end = 8 + int.from_bytes(whole[:8], "little")
        header = json.dumps(json.loads(whole[8:end]), sort_keys=True).encode()
        found[path.relative_to(run)] = hashlib.sha256(header + whole[end:]).hexdigest()
    return found


def test_two_processes_train_what_one_trains(folder, ends):
    assert [code for code, _ in ends["one"] + ends["two"]] == [0, 0, 0], ends
    one = losses_of(folder / "one")
    two = losses_of(folder / "two")
    assert len(one) == 4 and two == pytest.approx(one, rel=1e-5)
    first, second = (load_file(folder / run / "state.safetensors") for run in ("one", "two"))
    moved = [
        float((first[key] - second[key]).abs().max()) for key in first if key.startswith("master/")
    ]
    changed = [
        float(first[key].abs().max())
        for key in first
        if "lora_B" in key and key.startswith("master/")
    ]
    assert max(moved) < 1e-2 * max(changed)


def test_one_process_alone_writes(folder, ends):
    assert ends["two"] == [[0, ""], [0, ""]]
    assert [row["step"] for row in rows_of(folder / "two")] == [1, 2, 3, 4, 4]  # each line once
    names = {path.name for path in (folder / "two").iterdir()}
    assert names == {
        "recipe.json",
        "inputs.json",
        "log.jsonl",
        "state.safetensors",
        "weights",
        "best",
        "best.json",
        "pictures",
    }


def test_a_failure_of_the_first_process_ends_the_others(ends):
    (first, message), (second, received) = ends["broken"]
    assert (first, second) == (1, 1) and message == "OSError: no room"
    assert "Process 1 stops because process 0 did: OSError: no room" in received


@pytest.mark.parametrize(("run", "kills"), [("half", (1, 3)), ("pair", (3,))])
def test_a_run_whose_processes_are_killed_is_the_run_that_never_was(
    folder,
    ends,
    run,
    kills,
):
    cut = f"{run}, cut"
    for step in kills:
        (code, _), *others = ends[f"{cut} killed at {step}"]
        assert code == KILLED
        assert all(
            end == 1 and "Process 1 of 2 lost the others" in message for end, message in others
        )
    assert [code for code, _ in ends[run] + ends[cut]] == [0] * 2 * len(ends[run]), ends
    assert losses_of(folder / cut) == losses_of(folder / run)
    assert (
        weights_of(folder / cut) == weights_of(folder / run) and len(weights_of(folder / run)) == 2
    )
    through, resumed = (load_file(folder / each / "state.safetensors") for each in (run, cut))
    assert through.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in through.items())

"""Bundles, bases, adapters, detectors and encoders of strangers, altered, opened in this process.

`run(trials)` opens as many. The hashes in `bundle.json` are made to fit, as a stranger would.
Memory is bounded from outside, and an input that reaches the bound is a fault: our guards must act
before.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SECONDS = 10.0
MAX_GROWTH_MB = 1500
"""Memory that one input may take, far above that of the whole one."""
_LENGTH_BYTES = 8
_SCALARS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 5, 7, 64, 1000, 65_536, 10**6, 10**9, 10**12, 2**63, 10**30),
    *(0.0, -0.5, 0.1, 1e-30, 1e30, 1e300, float("nan"), float("inf")),
    *(None, True, False, "", "x", "../../../etc/passwd", "/etc/passwd", "a\0b", "\x1b[31mred"),
    *("builtins.eval", "os.system", "y" * 5000, "\ud800", "UpBlock2D", "CrossAttnDownBlock2D"),
    *([], [[]], {}, {"a": {}}, [1] * 2000, [10**6] * 4, [4] * 8, [None], ["DownBlock2D"] * 40),
)
_CODE: dict[str, Any] = {
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "auto_map": {"AutoModel": "owner/name--code.Model"},
    "trust_remote_code": True,
    "_name_or_path": "owner/name",
    "_class_name": "os.system",
    "_attn_implementation": "owner/kernels",
    "attn_implementation": "owner/kernels",
    "torch_dtype": "float8_e4m3fn",
    "dtype": "os",
    "transformers_weights": "../../weights.bin",
    "fusion_config": {"patch_embeddings": True},
    "_use_default_values": ["in_channels"],
    "architectures": ["Evil"],
    "pretrained": True,
    "num_layers": 10**7,
    "num_hidden_layers": 10**7,
    "layers_per_block": 10**6,
    "sample_size": 10**6,
    "block_out_channels": [10**6] * 4,
    "widths": [10**6] * 3,
    "cell": 10**6,
    "vocab_size": 10**9,
    "patch_size": 10**4,
    "num_train_timesteps": 10**12,
    "beta_end": float("nan"),
    "tokenizer_file": "/etc/passwd",
    "init_inputs": ["/etc/passwd"],
    "model_max_length": -5,
    "rank": 10**9,
}
"""Keys that stranger's files have tried, with their values."""


@dataclass(frozen=True)
class Subject:
    """One sort of input.

    Attributes:
        name: of it.
        make: writes a whole one into a folder.
        open: opens it as a verb would.
    """

    name: str
    make: Callable[[Path], None]
    open: Callable[[Path], object]


def _make_bundle(folder: Path) -> None:
    from grain_of_tests import white_grain

    from histosynth.model.adapters import AdapterInfo, add_adapter
    from histosynth.testing import tiny_bundle

    bundle = tiny_bundle()
    bundle.grain = white_grain()
    bundle.save(folder)
    bundle = _reloaded(folder)
    add_adapter(bundle.unet, "global", rank=2, alpha=3.0, targets=("to_q",))
    info = AdapterInfo(
        "global", 2, 3.0, ("to_q",), bundle.base_sha256, bundle.info.classes, bundle.info.mpp
    )
    bundle.save_adapter(info, folder / "adapters" / "global")


def _reloaded(folder: Path) -> Any:
    from histosynth.model.loading import load_bundle

    return load_bundle(folder)


def _open_bundle(folder: Path) -> object:
    from histosynth.model.opening import open_bundle
    from histosynth.model.packing import bundle_contents

    _fit_hashes(folder)
    open_bundle(folder, device="cpu", dtype="fp32")
    return bundle_contents(folder)


def _fit_hashes(folder: Path) -> None:
    """Make the hashes in `bundle.json` those of its files, where it can be read at all."""
    from histosynth.model.info import hashed

    path = folder / "bundle.json"
    try:
        values = json.loads(path.read_text())
        values["hashes"] = hashed(folder)
        path.write_text(json.dumps(values))
    except (OSError, ValueError, TypeError, RecursionError):
        return


def _make_base(which: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from histosynth.testing_bases import tiny_base

        tiny_base(folder, which)

    return make


def _open_base(folder: Path) -> object:
    from histosynth.model.families.opening import BaseLocation, embed, open_base

    location = BaseLocation(str(folder), folder)
    base = open_base(location)
    return embed(location, base.family, ["", "tissue"])


def _make_detector(folder: Path) -> None:
    from histosynth.detectors.info import SHIPPED_DETECTOR

    shutil.copytree(SHIPPED_DETECTOR, folder, dirs_exist_ok=True)


def _open_detector(folder: Path) -> object:
    from histosynth.detectors.centroids import load_detector

    _fit_card(folder / "detector.json")
    return load_detector.__wrapped__(folder)


def _make_encoder(folder: Path) -> None:
    from histosynth.encoders.info import SHIPPED_ENCODER

    shutil.copytree(SHIPPED_ENCODER, folder, dirs_exist_ok=True)


def _open_encoder(folder: Path) -> object:
    from histosynth.encoders.histo import load_encoder

    _fit_card(folder / "encoder.json")
    return load_encoder.__wrapped__(folder)


def _fit_card(card: Path) -> None:
    """Make the sha256 in a card that of the weights next to it, where it can be read at all."""
    from histosynth.core.store import sha256_of

    try:
        values = json.loads(card.read_text())
        values["sha256"] = sha256_of(card.parent / "model.safetensors")
        card.write_text(json.dumps(values))
    except (OSError, ValueError, TypeError, RecursionError):
        return


def _make_dinov2(folder: Path) -> None:
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)


def _open_dinov2(folder: Path) -> object:
    from histosynth.encoders.dinov2 import load_dinov2

    return load_dinov2(str(folder))


def _make_kohya(folder: Path) -> None:
    import torch

    from histosynth.tensors.files import write_tensors

    flat = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q"
    tensors = {
        f"{flat}.lora_down.weight": torch.ones(4, 1280),
        f"{flat}.lora_up.weight": torch.ones(1280, 4),
        f"{flat}.alpha": torch.tensor(2.0),
    }
    metadata = {"ss_network_dim": "4", "ss_output_name": "a", "ss_tag_frequency": "{}"}
    write_tensors(folder / "a.safetensors", tensors, metadata)


def _open_kohya(folder: Path) -> object:
    from histosynth.model.kohya import write_diffusers
    from histosynth.model.layer_shapes import stable_diffusion_shapes

    target = folder / "out" / "b.safetensors"
    return write_diffusers(folder / "a.safetensors", target, networks=stable_diffusion_shapes())


SUBJECTS = (
    Subject("bundle", _make_bundle, _open_bundle),
    Subject("sd", _make_base("sd15"), _open_base),
    Subject("pixart", _make_base("pixart"), _open_base),
    Subject("detector", _make_detector, _open_detector),
    Subject("encoder", _make_encoder, _open_encoder),
    Subject("dinov2", _make_dinov2, _open_dinov2),
    Subject("kohya", _make_kohya, _open_kohya),
)


def _alter(folder: Path, draw: random.Random) -> str:
    """Alter one file of a folder, or two; returns what was done."""
    done = []
    for _ in range(draw.choice((1, 1, 1, 2))):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            break
        settings = [path for path in files if path.suffix == ".json"]
        weights = [path for path in files if path.suffix == ".safetensors"]
        if settings and draw.random() < 0.6:
            path = draw.choice(settings)
            done.append(f"{path.relative_to(folder)}: {_alter_json(path, draw)}")
        elif weights and draw.random() < 0.8:
            path = draw.choice(weights)
            done.append(f"{path.relative_to(folder)}: {_alter_weights(path, draw)}")
        else:
            path = draw.choice(files)
            done.append(f"{path.relative_to(folder)}: {_alter_files(path, draw)}")
    return "; ".join(done)


def _alter_json(path: Path, draw: random.Random) -> str:
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return _alter_bytes(path, draw)
    way = draw.random()
    if way < 0.1 or not isinstance(values, dict) or not values:
        path.write_text(draw.choice(("[]", "null", "{", "3", "[" * 5000, '{"a":' * 400, "{}")))
        return "another text"
    if way < 0.35:
        key = draw.choice(sorted(_CODE))
        values[key] = _CODE[key]
    elif way < 0.45:
        key = draw.choice(sorted(values))
        del values[key]
    else:
        key = draw.choice(sorted(values))
        values[key] = _altered_value(values[key], draw)
    path.write_text(json.dumps(values))
    return f"{key} = {str(values.get(key, 'absent'))[:60]}"


def _altered_value(value: Any, draw: random.Random) -> Any:
    if isinstance(value, list) and value and draw.random() < 0.6:
        index = draw.randrange(len(value))
        changed = _altered_value(value[index], draw)
        return [*value[:index], changed, *value[index + 1 :], *([changed] * draw.choice((0, 0, 3)))]
    if isinstance(value, dict) and value and draw.random() < 0.6:
        key = draw.choice(sorted(value))
        return {**value, key: _altered_value(value[key], draw)}
    if type(value) in (int, float) and draw.random() < 0.5:
        return draw.choice((value + 1, value - 1, value * 2, value * 1000, -value, value // 2))
    return draw.choice(_SCALARS)


def _alter_weights(path: Path, draw: random.Random) -> str:
    data = path.read_bytes()
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        names = sorted(name for name in header if name != "__metadata__")
        name = draw.choice(names)
    except (ValueError, IndexError, AttributeError):
        return _alter_bytes(path, draw)
    way = draw.randrange(8)
    if way == 0:
        header[name]["shape"] = _altered_value(header[name]["shape"], draw)
    elif way == 1:
        header[name]["dtype"] = draw.choice(("F64", "F8_E4M3", "I64", "C64", "BOOL", "", 7, None))
    elif way == 2:
        header[name]["data_offsets"] = _altered_value(header[name]["data_offsets"], draw)
    elif way == 3:
        other = draw.choice((name + "x", "../" + name, name.upper(), "\x1b[2J", "a" * 10_000, ""))
        header[other] = header.pop(name)
    elif way == 4:
        del header[name]
    elif way == 5:
        header["__metadata__"] = _altered_metadata(header.get("__metadata__"), draw)
    elif way == 6:
        first, last = header[name]["data_offsets"]
        count = (last - first) // 2
        header[name] = {"dtype": "F16", "shape": [count], "data_offsets": [first, last]}
    else:
        return _alter_bytes(path, draw)
    text = json.dumps(header).encode()
    rest = data[_LENGTH_BYTES + length :]
    path.write_bytes(len(text).to_bytes(_LENGTH_BYTES, "little") + text + rest)
    return f"header of {name}, way {way}"


def _altered_metadata(metadata: Any, draw: random.Random) -> Any:
    if not metadata or draw.random() < 0.3:
        return draw.choice((None, [], "x", {"a": 1}, {"histosynth": "["}, {"x": "y" * 100_000}))
    key = draw.choice(sorted(metadata))
    try:
        values = json.loads(metadata[key])
    except ValueError:
        return {**metadata, key: str(draw.choice(_SCALARS))}
    if isinstance(values, dict) and values:
        name = draw.choice([*sorted(values), "rank", "alpha", "targets", "name"])
        values[name] = _altered_value(values.get(name, 1), draw)
    return {**metadata, key: json.dumps(values)}


def _alter_bytes(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    way = draw.randrange(4)
    if way == 0:
        data = data[: draw.randrange(len(data) + 1)]
    elif way == 1:
        data += bytes(draw.randrange(256) for _ in range(20))
    elif way == 2 and len(data) >= _LENGTH_BYTES:
        length = draw.choice((0, 1, 2**31, 2**40, 2**63, 2**64 - 1, 100_000_001, len(data)))
        data[:_LENGTH_BYTES] = length.to_bytes(_LENGTH_BYTES, "little")
    else:
        for _ in range(min(len(data), 8)):
            data[draw.randrange(min(len(data), 400))] = draw.randrange(256)
    path.write_bytes(bytes(data))
    return f"bytes, way {way}"


def _alter_files(path: Path, draw: random.Random) -> str:
    way = draw.randrange(5)
    if way == 0:
        path.unlink()
    elif way == 1:
        path.unlink()
        path.mkdir()
    elif way == 2:
        path.rename(path.with_suffix(".bin"))
    elif way == 3:
        index = {"weight_map": {"a": draw.choice(("../x.safetensors", "/etc/passwd", 3, "a.bin"))}}
        stem = path.stem
        path.with_name(f"{stem}.safetensors.index.json").write_text(json.dumps(index))
        path.unlink()
    else:
        return _alter_bytes(path, draw)
    return f"file, way {way}"


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Bound the address space, so that a guard that fails ends in an error and not in the swap."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + (6 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (bound, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """Open altered inputs of every sort in turn.

    Args:
        trials: inputs in all.
        seed: of all changes.

    Returns:
        One row: what, tried, refused, accepted, tracebacks, hangs, half_written, seconds, worst_s,
        peak_mb, and failures.
    """
    row: dict[str, Any] = dict.fromkeys(
        ("tried", "refused", "accepted", "tracebacks", "hangs", "half_written"), 0
    )
    row.update(what="bundles", format="bundles", worst_s=0.0, failures=[])
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-bundles-") as name, _bounded_memory():
        place = Path(name)
        for subject in SUBJECTS[: max(1, trials)]:
            subject.make(place / subject.name)
            subject.open(shutil.copytree(place / subject.name, place / "whole"))
            shutil.rmtree(place / "whole")
        for index in range(trials):
            subject = SUBJECTS[index % len(SUBJECTS)]
            draw = random.Random(f"{subject.name} {seed} {index}")
            folder = Path(shutil.copytree(place / subject.name, place / "altered"))
            what = _alter(folder, draw)
            _try(subject, folder, f"{subject.name} {seed} {index}: {what}", row)
            shutil.rmtree(folder)
    row["seconds"] = round(time.monotonic() - begin, 1)
    row["worst_seconds"] = row["worst_s"]
    row["peak_mb"] = _peak_mb()
    return [row]


def _try(subject: Subject, folder: Path, what: str, row: dict[str, Any]) -> None:
    from histosynth.core.errors import HistosynthError

    row["tried"] += 1
    memory = _peak_mb()
    begin = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            subject.open(folder)
        row["accepted"] += 1
    except HistosynthError as error:
        row["refused"] += 1
        if "alloc" in str(error) or "memory" in str(error).lower():
            row["hangs"] += 1
            row["failures"].append({"input": what, "outcome": f"memory: {error}"})
    except Exception:  # noqa: BLE001 - any other one is the fault that is looked for
        row["tracebacks"] += 1
        row["failures"].append({"input": what, "outcome": traceback.format_exc()[-3000:]})
    seconds = time.monotonic() - begin
    row["worst_s"] = max(row["worst_s"], round(seconds, 1))
    growth = _peak_mb() - memory
    if seconds > MAX_SECONDS or growth > MAX_GROWTH_MB:
        row["hangs"] += 1
        row["failures"].append({"input": what, "outcome": f"{seconds:.1f} s, {growth:.0f} MB"})
    out = folder / "out"
    if out.is_dir() and any(path.name.startswith(".") for path in out.iterdir()):
        row["half_written"] += 1
        row["failures"].append({"input": what, "outcome": "a temporary file is left"})


if __name__ == "__main__":
    found = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps(found, indent=1))

"""Does a change of the code change what is computed? Every verb is run, and what it wrote is
compared.

python benchmarks/same_outputs.py collect --source OLD/src --out before
python benchmarks/same_outputs.py collect --source NEW/src --out after --old before
python benchmarks/same_outputs.py compare before/digests.json after/digests.json

`collect` makes small inputs of the shared tissue, runs the command line of the code in `--source`,
a command at a time, and keeps digests of pixels, numbers, columns and tensors. `--only NAME` runs
some cases again. With `--old` this code reads what the other code left: its tile set, bundle,
unfinished runs and report.

`compare` prints a line a case and exits 1 if anything that is computed differs. Keys of JSON may
have other names, their values may not be others. Words, pictures with words in them and hashes of
whole files are only noted. It takes a quarter of an hour on one core, and 1.3 GB.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Entry = dict[str, Any]
Numbers = list[tuple[str, Any]]

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(10)
KINDS = ("epithelial", "lymphocyte", "stromal")
SIDE = 192
"""Of most inputs, px."""
FIXED = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "HISTOSYNTH_DTYPE": "bf16",
    "HISTOSYNTH_DEVICE": "cpu",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "COLUMNS": "120",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""Environment of every run: the working type is otherwise chosen by a measurement of speed."""
LOADED = (
    "numpy",
    "scipy.ndimage",
    "scipy.spatial",
    "scipy.stats",
    "PIL.Image",
    "torch",
    "diffusers",
    "peft",
    "transformers",
    "accelerate",
    "safetensors.torch",
    "pyarrow.parquet",
    "sklearn.neighbors",
    "matplotlib.figure",
    "jinja2",
    "tifffile",
    "imagecodecs",
    "typer",
    "rich.progress",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_dc",
)
"""What others wrote, loaded once; each run is a fork that loads histosynth itself."""
UNTOLD = re.compile(r"seconds|hours|per_s$|_s$|bf16_gain|^(bytes|version|schema|cpu_cores)$")
"""Last names of numbers that are times, speeds, sizes of files or versions."""
WORDY = re.compile(r"/(contact\.png$|look/|pictures/)|^agreement ")
"""Pictures that words are drawn in, by run and name."""
PASSED_OVER = (".html", ".md", ".lock", ".toml")
HEX = re.compile(r"[0-9a-f]{16,64}")


# -- what was written, as digests ---------------------------------------------------------------


def sha(data: bytes) -> str:
    """Short sha256."""
    return hashlib.sha256(data).hexdigest()[:24]


def array_digest(values: np.ndarray) -> str:
    """Of type, shape and bytes."""
    values = np.ascontiguousarray(values)
    return sha(f"{values.dtype}{values.shape}".encode() + values.tobytes())


def walk(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a JSON value with their paths, in order."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from walk(each, f"{at}/{key}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from walk(each, f"{at}/{place}")
    else:
        yield at, value


def last_name(path: str) -> str:
    """The last part of a path that is no number."""
    names = [part for part in path.split("/") if not part.isdigit()]
    return names[-1] if names else ""


def json_entry(value: Any) -> Entry:
    """Numbers by path, how many strings, and the hashes among the strings."""
    numbers: Numbers = []
    strings, hashes = 0, []
    for path, leaf in walk(value):
        if isinstance(leaf, str):
            strings += 1
            hashes += [leaf] if HEX.fullmatch(leaf) else []
        elif not UNTOLD.search(last_name(path)):
            numbers.append((path, leaf))
    return {"kind": "numbers", "numbers": numbers, "strings": strings, "hashes": hashes}


def picture_entry(data: bytes) -> Entry:
    """Decoded pixels, and the numbers of what the file says of itself."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        pixels = np.asarray(image)
        said = [each for each in getattr(image, "text", {}).values() if isinstance(each, str)]
        said += [str(image.tag_v2.get(270, ""))] if hasattr(image, "tag_v2") else []
    inside = []
    for text in said:
        try:
            inside.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    entry = {"kind": "pixels", "shape": list(pixels.shape), "sha256": array_digest(pixels)}
    return entry | {"inside": json_entry(inside)}


def column_digest(name: str, values: Sequence[Any]) -> str:
    """Of a column's values; of reasons only which gate, and the numbers."""
    if re.search(r"refused|reason", name):
        values = [
            [str(v or "").partition(":")[0], re.findall(r"\d[\d.]*", str(v or ""))] for v in values
        ]
    return sha(json.dumps(values, default=repr).encode())


def parquet_entry(path: Path) -> Entry:
    """Names, types and values of each column; pictures as pixels."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = []
    for part in table.schema:
        values = table[part.name].to_pylist()
        if part.name == "image":
            values = [None if v is None else [_pixels_of(v["bytes"]), v["path"]] for v in values]
        columns.append(
            [
                part.name,
                f"{part.type}{'' if part.nullable else ' not null'}",
                column_digest(part.name, values),
            ]
        )
    keys = sorted(
        key.decode() for key in (table.schema.metadata or {}) if not key.startswith(b"ARROW")
    )
    return {"kind": "table", "rows": table.num_rows, "columns": columns, "keys": keys}


def _pixels_of(data: bytes | None) -> str:
    if data is None:
        return ""
    with Image.open(io.BytesIO(data)) as image:
        return array_digest(np.asarray(image))


def csv_entry(data: bytes) -> Entry:
    """Values of each column."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    columns = [
        [
            name,
            "text",
            column_digest(name, [row[place] if place < len(row) else "" for row in body]),
        ]
        for place, name in enumerate(header)
    ]
    return {"kind": "table", "rows": len(body), "columns": columns, "keys": []}


def tensors_entry(data: bytes) -> Entry:
    """Each tensor's type, shape and bytes, by its name."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts = header.pop("__metadata__", {})
    tensors = {}
    for name in sorted(header):
        low, high = header[name]["data_offsets"]
        tensors[name] = [
            header[name]["dtype"],
            header[name]["shape"],
            sha(data[end + low : end + high]),
        ]
    return {"kind": "tensors", "tensors": tensors, "facts": sorted(facts)}


def file_entry(name: str, data: bytes, path: Path | None = None) -> Entry | None:
    """Digest of one file by its ending; None for what is only words."""
    ending = Path(name).suffix.lower()
    if ending in PASSED_OVER or Path(name).name.startswith("."):
        return None
    if ending in (".png", ".tif", ".tiff", ".jpg"):
        return picture_entry(data)
    if ending in (".json", ".geojson"):
        return json_entry(json.loads(data))
    if ending == ".jsonl":
        return json_entry([json.loads(line) for line in data.decode().splitlines()])
    if ending == ".csv":
        return csv_entry(data)
    if ending == ".safetensors":
        return tensors_entry(data)
    if ending == ".parquet" and path:
        return parquet_entry(path)
    if ending == ".zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {each: file_entry(each, archive.read(each)) for each in archive.namelist()}
        return {"kind": "folder", "files": {each: entry for each, entry in found.items() if entry}}
    return {"kind": "bytes", "sha256": sha(data)}


def folder_entries(place: Path) -> dict[str, Entry]:
    """Digests of all files in a folder, or of one file; hidden ones are nobody's business."""
    if place.is_file():
        found = [(place.name, place)]
    else:
        found = [(path.relative_to(place).as_posix(), path) for path in sorted(place.rglob("*"))]
    entries = {}
    for name, path in found:
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if path.is_file() and not hidden and "trackers/" not in name:
            entry = file_entry(name, path.read_bytes(), path)
            if entry:
                entries[name] = entry
    return entries


# -- comparing ----------------------------------------------------------------------------------


@dataclass
class Found:
    """Differences that count, and notes that do not."""

    different: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_numbers(one: Entry, two: Entry, at: str, found: Found, *, strict: bool = False) -> None:
    """Equal names have equal values; what was renamed has the same values as before, in any
    order."""
    first, second = dict(map(tuple, one["numbers"])), dict(map(tuple, two["numbers"]))
    for path in first.keys() & second.keys():
        if repr(first[path]) != repr(second[path]):
            changed = next(p for p in first if p in second and repr(first[p]) != repr(second[p]))
            found.different.append(f"{at}{changed}: {first[changed]!r} became {second[changed]!r}")
            return
    gone = [(path, first[path]) for path in first if path not in second and first[path] is not None]
    new = [
        (path, second[path]) for path in second if path not in first and second[path] is not None
    ]
    if gone or new:
        kept = {last_name(path) for path, _ in gone} & {last_name(path) for path, _ in new}

        def signs(side: Numbers) -> Counter[tuple[str, str]]:
            names = [(last_name(path), repr(value)) for path, value in side]
            return Counter((name if name in kept else "", value) for name, value in names)

        if only := signs(gone) - signs(new):
            lost = next(each for each in gone if signs([each]) <= only)
            found.different.append(f"{at}{lost[0]}: {lost[1]!r} is gone")
            return
        if only := signs(new) - signs(gone):
            more = next(each for each in new if signs([each]) <= only)
            found.different.append(f"{at}{more[0]}: {more[1]!r} is new")
            return
        found.notes.append(
            f"{at}: {len(gone)} numbers under other names, {gone[0][0]} -> {new[0][0]}"
        )
    if one["strings"] != two["strings"]:
        text = f"{at}: {one['strings']} strings became {two['strings']}"
        (found.different if strict else found.notes).append(text)
    if one["hashes"] != two["hashes"]:
        found.notes.append(f"{at}: hashes told inside differ")


def compare_pictures(
    one: Entry, two: Entry, at: str, found: Found, files: tuple[Path, Path] | None
) -> None:
    """Pixels, then what the files say."""
    if one["sha256"] != two["sha256"]:
        text = f"{at}: pixels differ{_how_far(files)}"
        (found.notes if WORDY.search(at) else found.different).append(text)
    compare_numbers(one["inside"], two["inside"], f"{at}[recipe]", found)


def _how_far(files: tuple[Path, Path] | None) -> str:
    if not files or not all(path.is_file() for path in files):
        return ""
    one, two = (np.asarray(Image.open(path)).astype(int) for path in files)
    if one.shape != two.shape:
        return f": {one.shape} became {two.shape}"
    return f": {(one != two).mean():.2%} of values, at most {np.abs(one - two).max()} grey levels"


def compare_tables(one: Entry, two: Entry, at: str, found: Found) -> None:
    """Rows, columns in order with names and types, values."""
    if (
        one["rows"] != two["rows"]
        or len(one["columns"]) != len(two["columns"])
        or one["keys"] != two["keys"]
    ):
        found.different.append(f"{at}: another number of rows or columns")
        return
    for before, after in zip(one["columns"], two["columns"], strict=True):
        if before != after:
            what = "name or type" if before[:2] != after[:2] else "values"
            text = f"{at}: {what} of column {before[0]}, {after[0]}"
            words = before[2] == after[2] and at.endswith(".csv")
            (found.notes if words else found.different).append(text)
            return


def compare_tensors(one: Entry, two: Entry, at: str, found: Found) -> None:
    """Names, types, shapes, values."""
    first, second = one["tensors"], two["tensors"]
    if first == second:
        return
    name = next((n for n in first if first[n] != second.get(n)), "") or next(
        n for n in second if n not in first
    )
    count = sum(first.get(n) != second.get(n) for n in first.keys() | second.keys())
    found.different.append(f"{at}: {count} of {len(first)} tensors, first {name}")


def compare_entries(
    one: Entry, two: Entry, at: str, found: Found, files: tuple[Path, Path] | None
) -> None:
    """One file."""
    if one["kind"] != two["kind"]:
        found.different.append(f"{at}: another kind of file")
    elif one["kind"] == "numbers":
        compare_numbers(one, two, at, found, strict=at.endswith("report.json"))
    elif one["kind"] == "pixels":
        compare_pictures(one, two, at, found, files)
    elif one["kind"] == "table":
        compare_tables(one, two, at, found)
    elif one["kind"] == "tensors":
        compare_tensors(one, two, at, found)
    elif one["kind"] == "folder":
        compare_folders(one["files"], two["files"], at, found, None)
    elif one != two:
        found.different.append(f"{at}: other bytes")


def compare_folders(
    one: Mapping[str, Entry],
    two: Mapping[str, Entry],
    at: str,
    found: Found,
    places: tuple[Path, Path] | None,
) -> None:
    """All files of a run; a file of another name and the same content was renamed."""
    gone, new = [n for n in one if n not in two], [n for n in two if n not in one]
    for name in list(gone):
        if twin := next((n for n in new if one[name] == two[n]), None):
            found.notes.append(f"{at}/{name} is now {twin}")
            gone.remove(name)
            new.remove(twin)
    found.different += [f"{at}: {name} is no longer written" for name in gone]
    found.different += [f"{at}: {name} is new" for name in new]
    for name in one:
        if name in two:
            files = (places[0] / name, places[1] / name) if places else None
            compare_entries(one[name], two[name], f"{at}/{name}", found, files)


def compare(before: Path, after: Path, *, notes: int) -> int:
    """Print a table of both collections; returns the exit code."""
    one, two = (json.loads(path.read_text()) for path in (before, after))
    shared = [name for name in one["cases"] if name in two["cases"]]
    alone = sorted(set(one["cases"]) ^ set(two["cases"]))
    print(f"{'case':22} {'runs':>4} {'seeds':>5} {'files':>6} {'numbers':>8}  result")
    different, noted = 0, []
    for name in shared:
        found = Found()
        first, second = one["cases"][name]["runs"], two["cases"][name]["runs"]
        if set(first) != set(second):
            found.different.append(f"other runs: {sorted(set(first) ^ set(second))}")
        for label in first.keys() & second.keys():
            if first[label]["rc"] != second[label]["rc"]:
                said = second[label].get("said", "")
                codes = f"{first[label]['rc']} became {second[label]['rc']}"
                found.different.append(f"{label}: exit code {codes}. {said}")
                continue
            places = (before.parent / first[label]["out"], after.parent / second[label]["out"])
            compare_folders(first[label]["files"], second[label]["files"], label, found, places)
        seeds = {int(part) for label in first for part in re.findall(r"seed-(\d+)", label)}
        files = sum(len(run["files"]) for run in first.values())
        result = "equal" if not found.different else f"DIFFERENT ({len(found.different)})"
        first_one = f"  {sorted(found.different)[0]}" if found.different else ""
        count = sum(_count(entry) for run in first.values() for entry in run["files"].values())
        print(
            f"{name:22} {len(first):4} {len(seeds) or 1:5} {files:6} {count:8}  {result}{first_one}"
        )
        different += bool(found.different)
        noted += [f"{name}: {note}" for note in sorted(found.notes)]
    if noted:
        print(
            f"\n{len(noted)} notes, not counted as differences (words, names, hashes of whole "
            "files):"
        )
        print("\n".join(f"  {note}" for note in noted[: notes or None]))
    if alone:
        print(f"\nOnly in one of the two: {', '.join(alone)}")
    print(f"\n{len(shared) - different} of {len(shared)} cases equal.")
    return int(bool(different))


def _count(entry: Entry) -> int:
    """Numbers, columns, tensors or pictures that were compared."""
    if entry["kind"] == "folder":
        return sum(map(_count, entry["files"].values()))
    inside: int = len(entry.get("inside", {}).get("numbers", ()))
    longest: int = max(len(entry.get(key, ())) for key in ("numbers", "columns", "tensors"))
    return longest + inside + int(entry["kind"] == "pixels")


# -- running ------------------------------------------------------------------------------------


def serve() -> None:
    """Run command lines of histosynth from stdin, each in a fork of this process; answer on
    stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in LOADED:
        if find_spec(name.partition(".")[0]):
            import_module(name)
    place = find_spec("histosynth")
    print(json.dumps({"histosynth": str(place and place.origin)}), file=answers, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        child = os.fork()
        if not child:
            _run_here(ask)
        _, status, _ = os.wait4(child, 0)
        print(json.dumps({"rc": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _run_here(ask: dict[str, Any]) -> None:
    """In the fork: become `python -m histosynth`, or a line of Python."""
    code = 99
    try:
        for number, path in ((1, ask["stdout"]), (2, ask["stderr"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(ask["cwd"])
        os.environ.update(ask["env"])
        sys.argv = ["histosynth", *ask["argv"]]
        try:
            if ask["python"]:
                exec(ask["python"], {"__name__": "__main__"})
            else:
                runpy.run_module("histosynth", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        except BaseException:  # noqa: BLE001  # it is told, and the fork ends
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class Runs:
    """Runs of the code under test, and what they wrote.

    Args:
        python: interpreter with the packages that histosynth needs.
        source: folder that holds the package `histosynth`.
        out: everything is written below it.
        data: the shared tissue.
        old: folder that another `collect` wrote.
    """

    def __init__(self, python: str, source: Path, out: Path, data: Path, old: Path | None) -> None:
        self.python, self.source, self.out, self.data = (
            python,
            source.resolve(),
            out.resolve(),
            data.resolve(),
        )
        self.old = old.resolve() if old else None
        self.work, self.inputs, self.kept = (self.out / name for name in ("work", "inputs", "kept"))
        self.shipped = quote(self.source / "histosynth" / "bundles" / "compact")
        self.case = ""
        self.runs: dict[str, Any] = {}
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *error: object) -> None:
        if self._server and self._server.stdin:
            self._server.stdin.close()
            self._server.wait()

    def _ask(self, **ask: Any) -> dict[str, Any]:
        """Let the server do something; it is started, and what others wrote loaded, at the first
        time."""
        if self._server is None:
            environment = {**os.environ, **FIXED, "PYTHONPATH": str(self.source)}
            command = ["nice", self.python, "-P", str(Path(__file__).resolve()), "_serve"]
            self._server = subprocess.Popen(
                command,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self.out / "server.log").open("w"),
            )
            where = self._answer()["histosynth"]
            if not Path(where).is_relative_to(self.source):
                raise SystemExit(f"histosynth is {where}, not that of {self.source}")
        assert self._server.stdin
        self._server.stdin.write(json.dumps(ask) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._server and self._server.stdout
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def begin(self, case: str) -> None:
        """A case starts with an empty folder."""
        self.case, self.runs = case, {}
        shutil.rmtree(self.work / case, ignore_errors=True)
        (self.work / case / "said").mkdir(parents=True)

    def place(self, name: str) -> str:
        """A place of this case, as runs name it: from the folder that they run in."""
        return f"work/{self.case}/{name}"

    def run(
        self,
        label: str,
        line: str = "",
        to: str | None = None,
        *,
        env: Mapping[str, str] | None = None,
        expect: int = 0,
        python: str = "",
    ) -> str:
        """Run a command line in the collection's folder; digests of what it said and wrote are
        kept.

        Args:
            label: of the run; `seed-N` in it is counted.
            line: after `histosynth`; `--out` and `--json` are added.
            to: where in the case's folder it writes; None: at the label; empty: it has no `--out`.
            env: more of the environment.
            expect: another exit code than this one is told.
            python: run this instead.

        Returns:
            What was given as `--out`.
        """
        out = self.place(slug(label) if to is None else to) if to != "" else ""
        argv = [*shlex.split(line), *(["--out", out] if out else []), "--json"]
        said = self.work / self.case / "said" / slug(label)
        ask = {
            "cwd": str(self.out),
            "env": dict(env or {}),
            "stdout": f"{said}.out",
            "stderr": f"{said}.err",
        }
        began = time.monotonic()
        code = self._ask(argv=argv, python=python, **ask)["rc"]
        seconds = round(time.monotonic() - began, 2)
        root = "/".join(out.split("/")[:3])  # a picture's folder, with the recipe beside it
        files = folder_entries(self.out / root) if out and (self.out / root).exists() else {}
        text = Path(f"{said}.out").read_text().strip()
        if text:
            files["(stdout)"] = json_entry(json.loads(text.splitlines()[-1]))
        words = (Path(f"{said}.err").read_text().strip().splitlines() or [""])[-1]
        if code != expect:
            print(f"    {self.case}, {label}: exit code {code}, not {expect}: {words}", flush=True)
        told = {"said": words} if code else {}
        self.runs[label] = {"rc": code, "out": root, "seconds": seconds, "files": files} | told
        return out

    def keep(self, what: str, name: str) -> None:
        """Copy something of this case, where it was made, to where a later collection looks for
        it."""
        if (self.out / what).exists():
            copy(self.out / what, self.kept / name)

    def fetch(self, name: str, to: str) -> str:
        """Copy what was kept, by the old code if there is one, to a place of this case."""
        origin = (self.old / "kept" if self.old else self.kept) / name
        if not origin.exists():
            raise SystemExit(f"{origin} is not there: collect the case that makes it first")
        copy(origin, self.out / self.place(to))
        return self.place(to)

    def write(self, name: str, text: str) -> str:
        """A text file of this case, say a recipe."""
        path = self.out / self.place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self.place(name)


def slug(text: str) -> str:
    """A label as a file name."""
    return re.sub(r"[^\w.-]+", "-", text)


def quote(path: Path) -> str:
    """A path as a part of a command line."""
    return shlex.quote(str(path))


def copy(origin: Path, to: Path) -> None:
    """A file or folder, in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, to)
    else:
        shutil.copy2(origin, to)


# -- inputs, made without histosynth ------------------------------------------------------------


def make_inputs(runs: Runs) -> None:
    """Small inputs of the shared tissue and of random numbers; the same each time."""
    done = runs.inputs / "done"
    if done.exists():
        return
    shutil.rmtree(runs.inputs, ignore_errors=True)
    cut_tiles(runs, "val.txt", "real", "nuclei", tiles=8, each=3)
    cut_tiles(runs, "train.txt", "train", "train-nuclei", tiles=12, each=2)
    for side, name in (
        ("train", "train"),
        ("validation", "real"),
    ):  # eight and two tiles to train on
        names = (
            (runs.inputs / f"{name}.txt").read_text().split()[::3][: 8 if side == "train" else 2]
        )
        (runs.inputs / f"few-{side}.txt").write_text("\n".join(names) + "\n")
    masks(runs)
    labelled(runs)
    for number, dyes in enumerate([(1.0, 1.0), (0.8, 1.2), (1.1, 0.9), (0.9, 1.0)]):
        name = f"TCGA-AA-000{number}-01Z-00-DX1"
        write_slide(runs.inputs / "slides" / f"{name}.tiff", seed=number, dyes=dyes)
    (runs.inputs / "real-slide").mkdir()
    shutil.copyfile(
        runs.data / "slides" / "cmu-1-small-region.svs",
        runs.inputs / "real-slide" / "TCGA-ZZ-0001.svs",
    )
    annotators(runs)
    tables(runs)
    large_tiles(runs.inputs / "large-tiles" / "set.parquet")
    done.write_text("")


def short_name(name: str, part: int) -> str:
    """Patient and tile of a TCGA tile's name, and which crop."""
    return f"{name[:20].replace('_', '-')}-{part}"


def cut_tiles(
    runs: Runs, members: str, pictures: str, points: str, *, tiles: int, each: int
) -> None:
    """Crops with their nuclei."""
    root = runs.data / "brca-m2c"
    names = (root / members).read_text().split()
    patients: dict[str, str] = {}
    for name in names:
        patients.setdefault(name[:12], name)
    for folder in (pictures, points):
        (runs.inputs / folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    kept = []
    for name in list(patients.values())[:tiles]:
        stem = Path(name).stem
        pixels = np.asarray(Image.open(root / "images" / f"{stem}.png").convert("RGB"))
        rows = list(csv.DictReader((root / "points" / f"{stem}.csv").open()))
        for part in range(each):
            left = int(random.integers(0, pixels.shape[1] - SIDE))
            top = int(random.integers(0, pixels.shape[0] - SIDE))
            crop = short_name(stem, part)
            kept.append(f"{crop}.png")
            Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(
                runs.inputs / pictures / f"{crop}.png"
            )
            lines = ["x,y,class"]
            for row in rows:
                x, y = float(row["x"]) - left, float(row["y"]) - top
                if 0 <= x <= SIDE - 1 and 0 <= y <= SIDE - 1:
                    lines.append(f"{x:g},{y:g},{row['class']}")
            (runs.inputs / points / f"{crop}.csv").write_text("\n".join(lines) + "\n")
    (runs.inputs / f"{pictures}.txt").write_text("\n".join(kept) + "\n")


def random_nuclei(seed: int, width: int, height: int, count: int) -> list[tuple[float, float, str]]:
    """Places that keep some distance from each other, with classes."""
    random = np.random.default_rng(seed)
    found: list[tuple[float, float, str]] = []
    while len(found) < count:
        x, y = random.uniform(0, width - 1), random.uniform(0, height - 1)
        if all((x - a) ** 2 + (y - b) ** 2 > 12**2 for a, b, _ in found):
            found.append((round(x, 1), round(y, 1), KINDS[int(random.integers(3))]))
    return found


def points_csv(rows: Sequence[tuple[float, float, str]]) -> str:
    """As `x,y,class`."""
    return "\n".join(["x,y,class", *(f"{x:g},{y:g},{name}" for x, y, name in rows)]) + "\n"


def feature(shape: str, coordinates: list[Any], name: str) -> dict[str, Any]:
    """One annotation as QuPath writes it."""
    return {
        "type": "Feature",
        "geometry": {"type": shape, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def points_geojson(rows: Sequence[tuple[float, float, str]]) -> str:
    """As QuPath writes points."""
    features = [feature("Point", [x, y], name) for x, y, name in rows]
    return json.dumps({"type": "FeatureCollection", "features": features})


def masks(runs: Runs) -> None:
    """Holes: a disc, a rectangle at the border, everything."""
    folder = runs.inputs / "masks"
    folder.mkdir()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number, path in enumerate(sorted((runs.inputs / "real").glob("*.png"))):
        shape = [
            np.hypot(rows - 90 - number, columns - 100) < 40,
            (rows < 70) & (columns > 60 + number),
            np.abs(rows - columns) < 14,
        ][number % 3]
        Image.fromarray((shape * 255).astype(np.uint8)).save(folder / path.name)


def labelled(runs: Runs) -> None:
    """Good tiles and spoilt ones."""
    from scipy import ndimage

    for name in ("good", "artefact"):
        (runs.inputs / "labelled" / name).mkdir(parents=True)
    for number, path in enumerate(sorted((runs.inputs / "train").glob("*.png"))):
        pixels = np.asarray(Image.open(path))
        spoilt = number % 2
        if spoilt:
            pixels = ndimage.gaussian_filter(pixels, (4, 4, 0))
        Image.fromarray(pixels).save(
            runs.inputs / "labelled" / ("good", "artefact")[spoilt] / path.name
        )


def stained(width: int, height: int, *, seed: int, dyes: tuple[float, float]) -> Any:
    """H&E-like pixels (H, W, 3) uint8: fibres and nuclei."""
    from scipy import ndimage

    random = np.random.default_rng(seed)
    fibres: Any = ndimage.gaussian_filter(random.standard_normal((height, width)), (1.5, 5))
    eosin = (0.45 + 0.12 * fibres / fibres.std()).clip(0.05)
    marks = np.zeros((height, width))
    for y in range(14, height - 10, 24):
        for x in range(14, width - 10, 24):
            marks[y + int(random.integers(-5, 6)), x + int(random.integers(-5, 6))] = 1
    blue: Any = ndimage.gaussian_filter(marks, 3.5)
    grain: Any = ndimage.gaussian_filter(random.standard_normal((height, width)), 1)
    blue = blue / blue.max() * (0.9 + 0.25 * grain)
    density = dyes[0] * blue[..., None] * np.array([0.95, 1.03, 0.42]) * 1.1
    density = density + dyes[1] * eosin[..., None] * np.array([0.20, 0.92, 0.46]) * 0.8
    noise = random.normal(0, 2, (height, width, 3))
    return (246 * np.exp(-density) + noise).clip(0, 255).round().astype(np.uint8)


def write_slide(
    path: Path, *, seed: int, dyes: tuple[float, float], width: int = 1100, height: int = 900
) -> None:
    """Tissue on glass, a tiled TIFF of two levels at 0.5 um/px; one slide is blurred, one
    penned."""
    import tifffile
    from scipy import ndimage

    path.parent.mkdir(parents=True, exist_ok=True)
    glass: Any = np.full((height, width, 3), 244, np.uint8)
    left, top = width // 8, height // 8
    glass[top : height - top, left : width - left] = stained(
        width - 2 * left, height - 2 * top, seed=seed, dyes=dyes
    )
    if seed == 1:
        glass[:, :400] = ndimage.gaussian_filter(glass[:, :400], (5, 5, 0))
    if seed == 2:
        glass[300:420, 200:900] = (20, 120, 40)
    with tifffile.TiffWriter(path) as file:
        for level in range(2):
            size = (width >> (2 * level), height >> (2 * level))
            image = np.asarray(Image.fromarray(glass).resize(size, Image.Resampling.BOX))
            file.write(
                image,
                photometric="rgb",
                tile=(256, 256),
                compression="deflate",
                metadata=None,
                subfiletype=int(level > 0),
                resolution=(1e4 / 0.5 / 4**level,) * 2,
                resolutionunit=3,
            )


def annotators(runs: Runs) -> None:
    """Two people's nuclei and regions of six pictures."""
    for number, path in enumerate(sorted((runs.inputs / "real").glob("*.png"))[:6]):
        random = np.random.default_rng(number)
        rows = random_nuclei(number, SIDE, SIDE, 60)
        for who in ("anna", "ben"):
            marks = [
                (round(x + random.normal(0, 2), 1), round(y + random.normal(0, 2), 1), name)
                if random.random() < 0.8
                else (x, y, KINDS[int(random.integers(3))])
                for x, y, name in rows
                if random.random() < 0.9
            ]
            marks = [
                (min(max(x, 0), SIDE - 1), min(max(y, 0), SIDE - 1), name) for x, y, name in marks
            ]
            regions = []
            for name in ("tumour", "stroma"):
                x, y = random.integers(5, 40, 2).tolist()
                side = int(random.integers(60, 120))
                corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
                regions.append(feature("Polygon", [corners], name))
            value = json.loads(points_geojson(marks))
            value["features"] += regions
            for suffix, text in ((".geojson", json.dumps(value)), (".csv", points_csv(marks))):
                place = runs.inputs / f"{who}-{suffix[1:]}" / f"{path.stem}{suffix}"
                place.parent.mkdir(exist_ok=True)
                place.write_text(text)
    names = [path.stem for path in sorted((runs.inputs / "real").glob("*.png"))[:6]]
    for name in names:
        copy(runs.inputs / "real" / f"{name}.png", runs.inputs / "annotated" / f"{name}.png")
    lines = ["slide,patient", *(f"{name},P{number // 2}" for number, name in enumerate(names))]
    (runs.inputs / "annotated.csv").write_text("\n".join(lines) + "\n")


def tables(runs: Runs) -> None:
    """Tables, class maps and nuclei for `synthesize`."""
    random = np.random.default_rng(0)
    labels = [("lms", "ups", "gist")[each] for each in random.integers(0, 3, 30)]
    lines = ["slide,patient,label", *(f"slide-{n},P{n // 2},{labels[n // 2]}" for n in range(60))]
    (runs.inputs / "slides.csv").write_text("\n".join(lines) + "\n")
    plain = [f"TCGA-{'AB'[n % 2]}A-{n // 3:04d}-01Z-00-DX{n % 3 + 1}" for n in range(45)]
    (runs.inputs / "plain.csv").write_text("\n".join(["slide", *plain]) + "\n")
    lines = [f"TCGA-AA-000{n}-01Z-00-DX1,TCGA-AA-000{n},{'ab'[n % 2]}" for n in range(4)]
    (runs.inputs / "slides" / "table.csv").write_text(
        "\n".join(["slide,patient,label", *lines]) + "\n"
    )
    cells = runs.inputs / "cells"
    cells.mkdir()
    (cells / "a.csv").write_text(points_csv(random_nuclei(1, 256, 256, 90)))
    (runs.inputs / "small.csv").write_text(points_csv(random_nuclei(5, 128, 128, 30)))
    (runs.inputs / "pair").mkdir()
    (runs.inputs / "pair" / "c.csv").write_text(points_csv(random_nuclei(2, 192, 136, 40)))
    (runs.inputs / "pair" / "d.geojson").write_text(points_geojson(random_nuclei(3, 192, 136, 45)))
    (runs.inputs / "looks").mkdir()
    real = sorted((runs.inputs / "real").glob("*.png"))
    for stem, path in (("c", real[0]), ("d", real[5])):
        shutil.copyfile(path, runs.inputs / "looks" / f"{stem}.png")
    foreign = [
        (x, y, {"stromal": "Fibre"}.get(name, "Tumour"))
        for x, y, name in random_nuclei(4, 128, 128, 30)
    ]
    (runs.inputs / "foreign.csv").write_text(points_csv(foreign))
    (runs.inputs / "map.toml").write_text('Tumour = "epithelial"\nFibre = "stromal"\n')


GATES = ("tissue", "blur", "pen", "fold", "air", "saturation", "artefact")
COLUMNS = {
    **dict.fromkeys(("tile_id", "slide", "patient"), "string not null"),
    **dict.fromkeys(("x", "y", "width", "height"), "int64 not null"),
    "mpp": "double not null",
    "label": "string",
    "split": "string",
    "image": "picture",
    "nuclei_x": "floats",
    "nuclei_y": "floats",
    "nuclei_kind": "strings",
    **{f"quality_{gate}": "float" for gate in GATES},
    "refused": "string",
}
"""Of a tile set on disk."""


def large_tiles(path: Path) -> None:
    """A tile set of six patients for the presets, 1,024 px, written as its schema says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random, rows = np.random.default_rng(0), []
    for number in range(6):
        block = random.integers(120, 230, (32, 32, 3), np.uint8).repeat(32, 0).repeat(32, 1)
        packed = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(block)).save(packed, "PNG")
        places = random.uniform(20, 1000, (40, 2)).astype(np.float32)
        name, split = f"S{number}_0_0", "train" if number < 4 else "validation"
        values: list[Any] = [
            name,
            f"S{number}",
            f"P{number}",
            0,
            0,
            1024,
            1024,
            0.5,
            "Leiomyosarcoma",
            split,
            {"bytes": packed.getvalue(), "path": f"{name}.png"},
            places[:, 0].tolist(),
            places[:, 1].tolist(),
            [KINDS[each % 3] for each in range(40)],
            *[None] * len(GATES),
            "",
        ]
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "float": pa.float32(),
        "floats": pa.list_(pa.float32()),
        "strings": pa.list_(pa.string()),
        "picture": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    fields = [
        pa.field(name, kinds[k.split()[0]], nullable="not" not in k) for name, k in COLUMNS.items()
    ]
    path.parent.mkdir(parents=True)
    schema = pa.schema(fields, metadata={b"histosynth": b'{"version": 1}'})
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


# -- training recipes ---------------------------------------------------------------------------

LOOP = """[loop]
steps = {steps}
batch = {batch}
learning_rate = 1e-3
warmup = 2
ema = 0.9
validate_every = {steps}
checkpoint_every = 2
log_every = 1
precision = "{precision}"
"""
DATA = """[data]
root = "{root}"
mpp = 0.5
{crop}stain_jitter = 0.1
{kinds}"""
SOURCE = """[[data.{side}]]
images = "{images}"
{points}members = "few-{side}.txt"
patient = "^(.{{12}})"
mpp = 0.5
label = "breast"
"""
AUTOENCODER = """[model]
latent_channels = 4
anchored = 2
widths = [16, 16, 32, 32]
encoder_layers = [0, 1, 1, 1]
decoder_layers = [0, 1, 1, 1]
"""
DECODER = """[model]
latent_channels = 16
anchored = 8
latent_noise = 0.02
halved = 0.0
anchor_weight = 0.0
decoder_only = true
"""
DETECTOR = "[model]\nwidths = [8, 16]\nblocks = [1, 1]\naside = 0.25\n"
ENCODER = "[model]\nwidths = [8, 16]\nblocks = [1, 1]\nproject = 16\n"
CONDITIONS = """[conditions]
hole_share = {holes}
full_share = 0.25
crops = [128]
crop_shares = [1.0]
drop_nuclei = 0.1
drop_kinds = 0.2
nucleus_weights = {{ epithelial = 1.5, lymphocyte = 2.0, stromal = 2.0 }}
"""
BASE = """[base]
widths = [32, 32, 64]
layers = 1
fine = 8
structure_widths = [16, 16, 16]
labels = ["breast"]
"""
ADAPTER = '[adapter]\nrank = 4\nalpha = 8.0\ntargets = ["conv1", "to_q"]\n'
GUIDED = """[adapter]
rank = 16
alpha = 16.0
[adapter.guided]
nuclei = 0.7
kinds = 1.0
span = [0.2, 0.85]
"""
HOLES = {"base": 0.35, "global": 0.0, "local": 1.0}
TASKS = ("autoencoder", "detector", "encoder", "base", "global", "local")
STARTS = {"base": "autoencoder", "global": "bundle", "local": "bundle"}
MODELS = {
    "autoencoder": AUTOENCODER,
    "detector": DETECTOR,
    "encoder": ENCODER,
    "base": BASE,
    "global": ADAPTER,
    "local": ADAPTER,
}


def recipe(
    task: str,
    *,
    seed: int,
    steps: int,
    start: str = "",
    base: str = "",
    model: str = "",
    precision: str = "fp32",
    root: str = "../../inputs",
    sources: str = "",
) -> str:
    """A training recipe of few steps; written into a folder two below the collection's."""
    kinds = "" if task == "autoencoder" else f"kinds = {json.dumps(KINDS)}\n"
    crop = "views = 2\n" if task in HOLES else "crop = 64\n"
    parts = [f'task = "{task}"\nseed = {seed}\n', f'start = "{start}"\n' if start else ""]
    parts.append(f'base = "{base}"\nlabels = ["breast"]\n' if base else "")
    parts.append(LOOP.format(steps=steps, batch=8 if task == "encoder" else 2, precision=precision))
    parts.append(DATA.format(root=root, crop=crop, kinds=kinds))
    for side, images, points in (
        ("train", "train", "train-nuclei"),
        ("validation", "real", "nuclei"),
    ):
        named = "" if task == "autoencoder" else f'points = "{points}"\n'
        if not sources:
            parts.append(SOURCE.format(side=side, images=images, points=named))
    parts.append(sources)
    if task in HOLES:
        parts.append(CONDITIONS.format(holes=HOLES[task]))
    return "".join([*parts, model or MODELS[task]])


# -- cases --------------------------------------------------------------------------------------


def case_synthesize(runs: Runs) -> None:
    """Whole tiles: 256 px in every palette stain, 192 x 136 px with a given appearance, two of
    each."""
    for seed in SEEDS:
        look = f"stain-{seed % 8 + 1}"
        square = f"synthesize --nuclei inputs/cells/a.csv --appearance {look} --seed {seed}"
        runs.run(f"square seed-{seed}", square)
        oblong = (
            "synthesize --nuclei inputs/pair --size 192x136 --appearance inputs/looks -n "
            "2 --steps 6"
        )
        runs.run(f"oblong seed-{seed}", f"{oblong} --guidance 1.5 --label breast --seed {seed}")
    plain = "synthesize --nuclei inputs/foreign.csv --size 128 --seed 3 --steps 8"
    mapped = f"{plain} --kinds inputs/map.toml"
    runs.run("foreign classes", mapped)
    runs.run("fp32", f"{mapped} --batch 1 -n 3", env={"HISTOSYNTH_DTYPE": "fp32"})
    runs.run("scale", f"{mapped} --mpp 0.5 --label colorectum")
    runs.run("refused", plain, expect=1)


def case_complete(runs: Runs) -> None:
    """Holes in a tile, with and without copied tissue, with and without nuclei."""
    name = sorted((runs.inputs / "real").glob("*.png"))[4].stem
    one = f"complete --image inputs/real/{name}.png --hole inputs/masks/{name}.png --steps 8"
    for seed in SEEDS:
        for start in ("exemplar", "no-exemplar"):
            for told, more in (("nuclei", f"--nuclei inputs/nuclei/{name}.csv"), ("unknown", "")):
                label = f"{start} {told} seed-{seed}"
                runs.run(
                    label, f"{one} --{start} {more} --seed {seed}", f"{slug(label)}/mended.png"
                )
    for part in ("real", "masks", "nuclei"):
        for path in sorted((runs.inputs / part).iterdir())[:3]:
            copy(path, runs.out / runs.place(f"in/{part}/{path.name}"))
    where = [runs.place(f"in/{part}") for part in ("real", "masks", "nuclei")]
    all_three = "complete --image {} --hole {} --nuclei {} --label breast --guidance 1.5".format(
        *where
    )
    runs.run("folder", all_three)
    runs.run("folder fp32", all_three, env={"HISTOSYNTH_DTYPE": "fp32"})


def case_demo(runs: Runs) -> None:
    """One demo on the shipped bundle, ten on a tiny one."""
    tiny = runs.fetch("bundle", "bundle")
    runs.run("shipped seed-0", "demo --seed 0")
    for seed in SEEDS:
        runs.run(f"tiny seed-{seed}", f"demo --bundle {tiny} --seed {seed}")


PREPARE = {
    "plain": """slides = ["../../inputs/slides/*.tiff"]
[tiles]
size = 192
[split]
train = 0.5
validation = 0.25
test = 0.25
""",
    "vahadane": """slides = ["../../inputs/slides/*-0000-*.tiff",
    "../../inputs/slides/*-0002-*.tiff"]
[tiles]
size = 256
[stain]
method = "vahadane"
sample_tiles = 4
[nuclei]
source = "none"
""",
    "other": """slides = ["../../inputs/slides/*.tiff"]
table = "../../inputs/slides/table.csv"
seed = 4
[tiles]
size = 160
stride = 128
edge = "shift"
tissue = 0.5
[stain]
fit = "tile"
[nuclei]
source = "blobs"
least_per_mm2 = 100.0
[quality]
blur = 0.02
""",
    "reinhard": """slides = ["../../inputs/slides/*.tiff"]
[tiles]
size = 256
edge = "pad"
mpp = 1.0
[stain]
method = "reinhard"
[nuclei]
source = "none"
""",
    "real": """slides = ["../../inputs/real-slide/*.svs"]
label = "colon"
[tiles]
size = 512
""",
}


def case_prepare_run(runs: Runs) -> None:
    """Five recipes; the first one's set is kept. Another seed is another deal of patients."""
    for name, text in PREPARE.items():
        path = runs.write(f"{name}.toml", text)
        runs.run(f"{name} dry", f"prepare run {path} --dry-run")
        runs.run(name, f"prepare run {path} --engine local")
    runs.keep(runs.place("plain"), "tiles")
    for seed in SEEDS:
        path = runs.write(f"deal-{seed}.toml", f"seed = {seed}\n{PREPARE['reinhard']}")
        runs.run(f"deal seed-{seed}", f"prepare run {path} --engine local")


def case_prepare_steps(runs: Runs) -> None:
    """Tiles, stain, quality, nuclei, split and agreement, each alone."""
    for edge in ("drop", "shift", "pad"):
        cut = (
            "prepare tiles inputs/slides/*.tiff --size 192 --stride 160 --tissue 0.3 --engine local"
        )
        runs.run(f"tiles {edge}", f"{cut} --edge {edge}")
    runs.run(
        "tiles real",
        "prepare tiles inputs/real-slide/*.svs --size 256 --tile-mpp 1.0 --engine local",
    )
    target = sorted((runs.inputs / "train").glob("*.png"))[2].name
    for method in ("macenko", "vahadane", "reinhard"):
        images = "inputs/looks" if method == "vahadane" else "inputs/real"  # it is slow
        for goal, more in (("medoid", ""), ("target", f"--target inputs/train/{target}")):
            runs.run(f"stain {method} {goal}", f"prepare stain {images} --method {method} {more}")
    for folder in ("real", "labelled/artefact"):
        runs.run(f"quality {folder}", f"prepare quality check inputs/{folder} --mpp 0.5")
    for detector in ("centroids", "blobs"):
        for form in ("csv", "geojson"):
            find = f"prepare nuclei inputs/real --mpp 0.5 --detector {detector} --format {form}"
            runs.run(f"nuclei {detector} {form}", find)
    for seed in SEEDS:
        for table, more in (("slides", ""), ("plain", "--train 0.6 --validation 0.2 --test 0.2")):
            deal = f"prepare split inputs/{table}.csv --seed {seed} {more}"
            runs.run(f"split {table} seed-{seed}", deal, f"{table}-{seed}.csv")
    for form in ("geojson", "csv"):
        agree = f"prepare agreement inputs/anna-{form} inputs/ben-{form} --mpp 0.5"
        runs.run(f"agreement {form} files", agree)
        drawn = f"{agree} --table inputs/annotated.csv --images inputs/annotated"
        runs.run(f"agreement {form} patients", drawn)


ARTEFACT = """task = "artefact"
seed = {seed}
{loop}[data]
root = "../../inputs/labelled"
patient = "^(.{{12}})"
mpp = 0.5
crop = 64
held_out = 0.34
[model]
widths = [8, 16]
depths = [1, 1]
"""


def case_quality_train(runs: Runs) -> None:
    """The classifier of artefacts: five steps of a small one over ten seeds, one step of the usual
    one."""
    for seed in SEEDS:
        text = ARTEFACT.format(seed=seed, loop=LOOP.format(steps=5, batch=8, precision="fp32"))
        path = runs.write(f"artefact-{seed}.toml", text)
        runs.run(f"small seed-{seed}", f"train {path}")
    runs.run(
        "usual", "prepare quality train inputs/labelled --patient '^(.{12})' --mpp 0.5 --steps 1"
    )


def case_train(runs: Runs) -> None:
    """Three steps of each task over ten seeds, tiny networks; runs and bundle are kept for other
    cases."""
    for task in TASKS:
        for seed in SEEDS:
            precision = "bf16" if seed % 2 else "fp32"
            text = recipe(task, seed=seed, steps=3, start=STARTS.get(task, ""), precision=precision)
            path = runs.write(f"{task}-{seed}.toml", text)
            runs.run(f"{task} seed-{seed}", f"train {path}")
        if task == "autoencoder":
            copy(
                runs.out / runs.place("autoencoder-seed-0/weights"),
                runs.out / runs.place("autoencoder"),
            )
        if task == "base":
            copy(runs.out / runs.place("base-seed-0/weights"), runs.out / runs.place("bundle"))
    runs.keep(runs.place("autoencoder"), "start/autoencoder")
    runs.keep(runs.place("bundle"), "start/bundle")
    for task in ("global", "local"):
        weights = runs.out / runs.place(f"{task}-seed-0/weights")
        copy(weights, runs.out / runs.place(f"bundle/adapters/{task}"))
    runs.keep(runs.place("bundle"), "bundle")
    for task in TASKS:
        runs.keep(runs.place(f"{task}-seed-0"), f"unfinished/{task}")


def case_resume(runs: Runs) -> None:
    """Runs of three steps that the old code left go on to six."""
    runs.fetch("start/autoencoder", "autoencoder")
    runs.fetch("start/bundle", "bundle")
    for task in TASKS:
        runs.fetch(f"unfinished/{task}", f"run-{task}")
        path = runs.write(f"{task}.toml", recipe(task, seed=0, steps=6, start=STARTS.get(task, "")))
        runs.run(task, f"train {path}", f"run-{task}")


def case_train_shipped(runs: Runs) -> None:
    """Two steps on the networks that ship: guided adapters, a base on their latents, a decoder."""
    for task, model in (
        ("global", GUIDED),
        ("local", GUIDED),
        ("base", ""),
        ("autoencoder", DECODER),
    ):
        text = recipe(task, seed=2, steps=2, start="compact", model=model, precision="bf16")
        runs.run(task, f"train {runs.write(f'{task}.toml', text)}")


def case_train_tiles(runs: Runs) -> None:
    """Training on a tile set that the old code wrote."""
    runs.fetch("tiles", "tiles")
    sides = [
        f'[[data.{side}]]\nimages = "."\nsplit = "{side}"\n' for side in ("train", "validation")
    ]
    for task in ("autoencoder", "detector", "encoder"):
        text = recipe(task, seed=1, steps=3, root="tiles", sources="".join(sides))
        path = runs.write(f"{task}.toml", text)
        runs.run(f"{task} dry", f"train {path} --dry-run")
        runs.run(task, f"train {path}")


TINY = """from pathlib import Path
from histosynth.testing_bases import tiny_base
tiny_base(Path({folder!r}), {which!r}, width={width})
"""
STABLE = """[prompts]
template = "H&E, {label}, {site}"
facts = { site = "chest" }
[adapter]
rank = 4
alpha = 8.0
targets = ["cross-attention"]
structure = true
"""


def base_folder(runs: Runs, which: str) -> str:
    """A stand-in for a public base, made by the code under test, or by the old code."""
    if runs.old:
        return runs.fetch(f"bases/{which}", f"bases/{which}")
    folder, width = runs.place(f"bases/{which}"), None if which == "pixart" else 64
    runs.run("make", python=TINY.format(folder=folder, which=which, width=width))
    del runs.runs["make"]  # another collection may be given it
    runs.keep(folder, f"bases/{which}")
    return folder


def case_stable(runs: Runs) -> None:
    """Adapters on bases of another make, and tiles made with them."""
    for task, which, size in (
        ("global", "sd15", 128),
        ("local", "sd15-inpainting", 0),
        ("global", "pixart", 512),
    ):
        base_folder(runs, which)
        text = recipe(task, seed=3, steps=3, base=f"bases/{which}", model=STABLE)
        path = runs.write(f"{which}.toml", text)
        runs.run(which, f"train {path}")
        if size:
            bundle = f"{runs.place(which)}/weights"
            paint = (
                f"synthesize --nuclei inputs/small.csv --size {size} --steps 2 --bundle {bundle}"
            )
            runs.run(f"{which} synthesize", paint)


PRESETS = {
    "sarcodiff": "sd21",
    "dual-global": "sd15",
    "dual-local": "sd15-inpainting",
    "pixart-global": "pixart",
}


def case_dry_runs(runs: Runs) -> None:
    """What presets and recipes of the source tree would do."""
    tree = runs.source.parent
    for preset, which in PRESETS.items():
        old, base = tree / "presets" / f"{preset}.toml", base_folder(runs, which)
        path = quote(old) if old.is_file() else preset  # recipes ship in the package now
        runs.run(preset, f"train {path} --base {base} --root inputs/large-tiles --dry-run")
    shipped = tree / "src" / "histosynth" / "recipes"
    for each in sorted([*(tree / "recipes").glob("*.toml"), *shipped.glob("compact-*.toml")]):
        name = each.stem.removeprefix("compact-")
        runs.run(name, f"train {quote(each)} --root {quote(runs.data)} --dry-run")


def case_bundles(runs: Runs) -> None:
    """Look into bundles, pack, unpack and convert them; the packed one is kept."""
    shipped, tiny = runs.shipped, runs.fetch("bundle", "tiny")
    runs.run("inspect shipped", f"bundle inspect {shipped}", "")
    runs.run("inspect tiny", f"bundle inspect {tiny}", "")
    runs.run("push", f"bundle push {shipped} --repo nobody/nothing --dry-run", "")
    packed = runs.run("pack tiny", f"bundle pack {tiny}", "packed.zip")
    runs.keep(packed, "packed.zip")
    runs.run("pack shipped", f"bundle pack {shipped}")
    for name in ("global", "local"):
        kohya = f"bundle convert {tiny}/adapters/{name} --to kohya"
        there = runs.run(f"convert {name}", kohya, f"kohya-{name}.safetensors")
        back = f"bundle convert {there} --to diffusers --base {tiny}"
        runs.run(f"convert back {name}", back, f"back-{name}.safetensors")
    unpacked = runs.run("unpack old", f"bundle unpack {runs.fetch('packed.zip', 'old.zip')}")
    for seed in SEEDS:
        paint = "synthesize --nuclei inputs/pair/c.csv --size 192x136"
        runs.run(f"paint seed-{seed}", f"{paint} --seed {seed} --bundle {unpacked}")


def case_doctor(runs: Runs) -> None:
    """What it says, but for times and versions."""
    runs.run("shipped", "doctor", "")
    runs.run("tiny", f"doctor --bundle {runs.fetch('bundle', 'bundle')}", "")


JUDGE = "--mpp 0.5 --engine local"
BESIDE = "--reference inputs/train --conditions inputs/nuclei"


def case_evaluate(runs: Runs) -> None:
    """All judges on 24 real tiles of eight patients, and on what was made of their nuclei."""
    made = runs.run("make tiles", f"synthesize --nuclei inputs/nuclei --size {SIDE} --steps 6")
    whole = f"evaluate inputs/real {made} {BESIDE} {JUDGE}"
    runs.run("dry", f"{whole} --dry-run")
    judged = runs.run("all judges", f"{whole} --bundle {runs.shipped}")
    runs.keep(judged, "judged")
    runs.keep(made, "made")
    mended = runs.run("mend tiles", "complete --image inputs/real --hole inputs/masks --steps 4")
    runs.run("holes", f"evaluate inputs/real {mended} --holes inputs/masks {BESIDE} {JUDGE}")
    for seed in SEEDS:
        few = f"{whole} --judges structure,stain,layout --detectors blobs --crop 160 --seed {seed}"
        runs.run(f"intervals seed-{seed}", few)
    alone = f"evaluate inputs/real {made} --bf16 --judges realism,quality,morphology {JUDGE}"
    runs.run("no reference, bf16", alone)


def case_old(runs: Runs) -> None:
    """Tile set, report, made tiles and preparation of the old code, read and gone on with."""
    tiles, made = runs.fetch("tiles", "tiles"), runs.fetch("made", "made")
    judges = "realism,structure,morphology,layout,copying,quality,stain"
    of_tiles = f"evaluate inputs/real {tiles} --reference inputs/train --judges {judges} {JUDGE}"
    runs.run("evaluate tile set", of_tiles)
    runs.fetch("judged", "judged")
    whole = f"evaluate inputs/real {made} {BESIDE} {JUDGE} --bundle {runs.shipped}"
    runs.run("evaluate again", whole, "judged")
    path = runs.write("plain.toml", PREPARE["plain"])
    runs.run("prepare again", f"prepare run {path} --engine local", "tiles")
    one = sorted((runs.inputs / "nuclei").glob("*.csv"))[0].name
    paint = f"synthesize --nuclei inputs/nuclei/{one} --size {SIDE} --steps 6"
    runs.run("synthesize again", paint, "made")


CASES: dict[str, Callable[[Runs], None]] = {
    "train": case_train,
    "synthesize": case_synthesize,
    "complete": case_complete,
    "demo": case_demo,
    "prepare-run": case_prepare_run,
    "prepare-steps": case_prepare_steps,
    "quality-train": case_quality_train,
    "train-shipped": case_train_shipped,
    "train-tiles": case_train_tiles,
    "stable": case_stable,
    "dry-runs": case_dry_runs,
    "bundles": case_bundles,
    "doctor": case_doctor,
    "evaluate": case_evaluate,
    "resume": case_resume,
    "old": case_old,
}
"""In order: `train` and `prepare-run` leave what others read."""


def collect(runs: Runs, only: Sequence[str]) -> None:
    """Run the cases, and write digests of what they wrote after each."""
    runs.out.mkdir(parents=True, exist_ok=True)
    make_inputs(runs)
    path = runs.out / "digests.json"
    cases = json.loads(path.read_text())["cases"] if path.exists() else {}
    began = time.monotonic()
    for name in only or CASES:
        start = time.monotonic()
        runs.begin(name)
        CASES[name](runs)
        seconds = time.monotonic() - start
        cases[name] = {"seconds": round(seconds, 1), "runs": runs.runs}
        path.write_text(
            json.dumps({"cases": {each: cases[each] for each in CASES if each in cases}})
        )
        print(f"{name:16} {len(runs.runs):4} runs {seconds:7.1f} s", flush=True)
    print(f"{'in all':16} {time.monotonic() - began:17.1f} s   {path}")


def main() -> None:
    """Parse and do."""
    if sys.argv[1:] == ["_serve"]:
        serve()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    doors = parser.add_subparsers(dest="door", required=True)
    one = doors.add_parser("collect", help="run everything and keep digests")
    one.add_argument(
        "--python", default=sys.executable, help="interpreter with histosynth's packages"
    )
    one.add_argument(
        "--source", type=Path, default=ROOT / "src", help="folder that holds the package histosynth"
    )
    one.add_argument("--out", type=Path, required=True)
    one.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="the shared tissue"
    )
    one.add_argument("--old", type=Path, help="folder that collect wrote with the old code")
    one.add_argument(
        "--only", action="append", choices=CASES, default=[], help="this case; may be repeated"
    )
    two = doors.add_parser("compare", help="exit code 1 if anything that is computed differs")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.add_argument("--notes", type=int, default=20, help="so many notes at most; 0: all")
    ask = parser.parse_args()
    if ask.door == "compare":
        raise SystemExit(compare(ask.before, ask.after, notes=ask.notes))
    with Runs(ask.python, ask.source, ask.out, ask.data, ask.old) as runs:
        collect(runs, ask.only)


if __name__ == "__main__":
    main()

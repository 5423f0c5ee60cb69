"""How fast are adapters trained, and in how much memory? Ratios within one run, against the usual
loop.

    python benchmarks/train.py [--data ../shared/data] [--out FOLDER] [--rounds 8] [--threads 1]
    python benchmarks/train.py --processes [--repeats 3]

The usual loop has the structure of diffusers' text-to-image LoRA example (train_reference.py):
pixels and words go through autoencoder and text encoder at every step. Ours is `histosynth train`
on the same base: latents and prompts are made once; on top come the structure encoder, which learns
too, and the loss that weighs nuclei. Base, LoRA layers and rank, batch, crop and precision are the
same. Each side is a process of its own, and so is its peak memory; ours encodes and validates in it
too. They take turns step by step, so that what else the machine does falls on all alike. A ratio is
of the least times; beside it stands the median of the rounds' own ratios.

Bases are of random weights: `tiny` (testing_bases), and `middle`, which has 0.3 times the channels
of Stable Diffusion 1.5 and nearly its proportions of products between U-Net, autoencoder and text
encoder; those stand beside the true ones. It has about as many channels a head as the true one;
`middle, 8 heads` has its 8 heads, of few channels each. `--bases true` is the true shape, 0.86
billion parameters, one crop a step; it takes 5 GB of disk.

`--processes`: two processes of one thread and BATCH crops each against one that takes all of them;
losses must be the same. Each way writes its part of train.json.

This file imports nothing large: a child's peak memory starts from its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CROP = 256
BATCH = 4
RANK = 16
WARM = 2
"""Steps of a process that do not count."""
BASES = ("tiny", "middle", "middle, 8 heads")
BATCH_OF = {"true": 1}
"""Of bases that are too large for `BATCH`."""
MINIMAL = [8, 8, 8, 8]
"""Widths of the least structure encoder that can be asked for."""
THEIRS = "the usual loop"
SIDES = ("ours", "ours, least structure encoder", THEIRS)


def gpu_mb() -> float:
    """Most memory of a GPU that this process has held so far; 0 without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0.0
    return torch.cuda.max_memory_allocated() / 1e6


def peak_mb() -> float:
    """Most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Turns:
    """A process' part in taking turns: it says what a step took, and waits for a line before the
    next."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def stepped(self, loss: float) -> None:
        took = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        print(
            json.dumps(
                {
                    "s": took[0],
                    "cpu_s": took[1],
                    "loss": loss,
                    "mb": peak_mb(),
                    "gpu_mb": gpu_mb(),
                }
            ),
            flush=True,
        )
        sys.stdin.readline()
        self.began = time.perf_counter(), time.process_time()


class Side:
    """A process that trains."""

    def __init__(
        self,
        script: str,
        ask: dict,
        *,
        turns: bool = True,
        env: dict | None = None,
    ) -> None:
        self.rows: list[dict] = []
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        command = [sys.executable, str(ROOT / "benchmarks" / script), json.dumps(ask)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(ask.get("threads", 1)),
            **(env or {}),
        }
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE if turns else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
        )

    def hear(self) -> dict:
        """What it says next."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise self.failed()

    def failed(self) -> RuntimeError:
        code = self.process.wait()
        self.said.seek(0)
        return RuntimeError(f"a side ended with {code}:\n{self.said.read().decode()[-2000:]}")

    def step(self) -> None:
        """Let it take a step, the first of which it takes unasked."""
        if self.rows:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self.rows.append(self.hear())

    def end(self) -> dict:
        """Let it go on to its end; what it says of itself."""
        if self.process.stdin:
            self.process.stdin.close()
        while "whole_mb" not in (said := self.hear()):
            self.rows.append(said)
        if self.process.wait():
            raise self.failed()
        return said

    @property
    def counted(self) -> list[float]:
        """Seconds of the steps that count."""
        return [row["s"] for row in self.rows[WARM:]]


def compare(ask: dict, work: Path) -> dict[str, dict]:
    """All sides on one base in one precision."""
    ours = {**ask, "work": str(work / f"{ask['name']} runs")}
    sides = {SIDES[0]: Side("train_ours.py", {**ours, "name": f"{ask['name']} ours"})}
    sides[SIDES[0]].step()  # it has encoded what the next one reads
    sides[SIDES[1]] = Side(
        "train_ours.py",
        {
            **ours,
            "name": f"{ask['name']} least",
            "widths": MINIMAL,
        },
    )
    sides[THEIRS] = Side("train_reference.py", ask)
    for turn in range(ask["steps"]):
        for side in sides.values():
            if len(side.rows) <= turn:
                side.step()
    ends = {name: side.end() for name, side in sides.items()}
    theirs = sides[THEIRS]
    table = {}
    for name, side in sides.items():
        if ends[name]["trained"]["unet"] != ends[THEIRS]["trained"]["unet"]:
            raise RuntimeError(
                f"the adapters differ: {ends[name]['trained']}, {ends[THEIRS]['trained']}"
            )
        pairs = zip(theirs.counted, side.counted, strict=True)
        best = min(side.counted)
        table[name] = {
            "images_per_s": round(ask["batch"] / best, 3),
            "ratio": round(min(theirs.counted) / best, 3),
            "ratio_median": round(statistics.median(their / own for their, own in pairs), 3),
            "steps_mb": round(side.rows[-1]["mb"]),
            "whole_mb": round(ends[name]["whole_mb"]),
            "of_a_core": round(
                statistics.median(row["cpu_s"] / row["s"] for row in side.rows[WARM:]), 2
            ),
            "trained": ends[name]["trained"],
        }
    table[SIDES[0]] |= {
        "encode_s_per_tile": round(ends[SIDES[0]]["encode_s"], 3),
        "encoding_mb": round(ends[SIDES[0]]["encoded_mb"]),
    }
    return table


def speed(args: argparse.Namespace, work: Path, facts: dict) -> dict:
    table = {}
    for base in args.bases:
        for precision in ("fp32", "bf16"):
            name = f"{base}, {precision}"
            ask = asked(
                work,
                base,
                precision,
                steps=args.rounds + WARM,
                threads=args.threads,
            )
            table[name] = compare({**ask, "name": name.replace(", ", "-").replace(" ", "-")}, work)
            show(name, table[name])
            table[name] |= {
                "batch": ask["batch"],
                "threads": args.threads,
                "rounds": args.rounds,
            }
            table[name] |= {"load_average_before": args.load}
    return {"gflop": facts["gflop"], "table": table}


def show(name: str, rows: dict[str, dict]) -> None:
    print(
        f"\n{name:32}{'images/s':>9}{'ratio':>8}{'median':>8}"
        f"{'MB steps':>10}{'MB whole':>10}{'core':>6}"
    )
    for side, row in rows.items():
        numbers = f"{row['images_per_s']:9.2f}{row['ratio']:8.2f}{row['ratio_median']:8.2f}"
        print(
            f"  {side:30}{numbers}{row['steps_mb']:10}{row['whole_mb']:10}{row['of_a_core']:6.2f}"
        )
    own = rows[SIDES[0]]
    print(
        f"  encoded once: {own['encode_s_per_tile']} s a tile, in {own['encoding_mb']} MB",
        flush=True,
    )


def asked(
    work: Path,
    base: str,
    precision: str,
    *,
    steps: int,
    threads: int = 1,
) -> dict:
    return {
        "base": str(work / base),
        "tissue": str(work / "tissue"),
        "precision": precision,
        "steps": steps,
        "threads": threads,
        "batch": BATCH_OF.get(base, BATCH),
        "crop": CROP,
        "rank": RANK,
    }


def together(ask: dict, processes: int) -> Side:
    """The first of several processes that have trained together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    sides = []
    for process in range(processes):
        env = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "WORLD_SIZE": str(processes),
        }
        env |= {
            "RANK": str(process),
            "LOCAL_RANK": str(process),
            "LOCAL_WORLD_SIZE": str(processes),
        }
        told = {**ask, "process": process}
        sides.append(
            Side(
                "train_ours.py",
                told,
                turns=False,
                env=env if processes > 1 else None,
            )
        )
    for side in sides:
        side.end()
    return sides[0]


def processes(args: argparse.Namespace, work: Path) -> dict:
    """Two processes against one, run by run in turns."""
    table = {}
    for precision in ("fp32", "bf16"):
        ask = {
            **asked(work, "middle", precision, steps=args.rounds + WARM),
            "work": str(work / "runs"),
        }
        ask["batch"] *= 2
        together({**ask, "name": f"{precision}-first", "steps": 1}, 1)
        seconds: dict[int, list[float]] = {1: [], 2: []}
        losses = {}
        for repeat in range(args.repeats):
            for count in seconds:
                side = together({**ask, "name": f"{precision}-{count}-{repeat}"}, count)
                seconds[count].append(statistics.mean(side.counted))
                losses[count] = [row["loss"] for row in side.rows]
        apart = max(abs(a - b) / abs(a) for a, b in zip(losses[1], losses[2], strict=True))
        one, two = (ask["batch"] / min(seconds[count]) for count in (1, 2))
        table[precision] = {
            "images_per_s_one": round(one, 3),
            "images_per_s_two": round(two, 3),
            "ratio": round(two / one, 3),
            "losses_apart": float(f"{apart:.2e}"),
        }
        print(
            f"{precision}: one {one:.2f}, two {two:.2f} images/s: {two / one:.2f} x; losses "
            f"{apart:.1e} apart"
        )
    facts = {
        "base": "middle",
        "batch": 2 * BATCH,
        "threads_each": 1,
        "load_average_before": args.load,
    }
    return {
        **facts,
        "repeats": args.repeats,
        "steps": args.rounds + WARM,
        "table": table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument(
        "--rounds",
        type=int,
        default=8,
        help="steps of each process that count",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="runs of one and of two processes",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bases",
        nargs="+",
        default=BASES,
        choices=(*BASES, "true"),
    )
    parser.add_argument("--processes", action="store_true")
    args = parser.parse_args()
    args.load = round(os.getloadavg()[0], 2)
    print(f"load average of the last minute {args.load}, {os.cpu_count()} cores")
    bases = ["middle"] if args.processes else args.bases
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ask = {
            "make": folder,
            "bases": bases,
            "data": str(args.data.resolve()),
            "crop": CROP,
        }
        facts = Side("train_ours.py", ask).hear()
        part = processes(args, work) if args.processes else speed(args, work, facts)
    file = args.out / "train.json"
    result = json.loads(file.read_text()) if file.is_file() else {}
    name = "two processes" if args.processes else "against the usual loop"
    before = result.get(name, {})
    for key in ("gflop", "table"):  # other bases keep what was measured before
        if not args.processes:
            part[key] = before.get(key, {}) | part[key]
    result |= {
        "tissue": facts["tissue"],
        "crop": CROP,
        "rank": RANK,
        "cores": os.cpu_count(),
        name: part,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

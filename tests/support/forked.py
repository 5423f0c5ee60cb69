"""Trains recipes in processes of their own: `python forked.py jobs.json`, run by test_processes.py.

Everything is imported once; each job then forks as many processes as it wants, with the environment
that `accelerate launch` and `torchrun` would give them. What ended each is said as one JSON list a
job.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import torch

from histosynth.pipeline.train import train
from histosynth.training.tasks.diffusion.train_task import DiffusionTrainTask

LIMIT_S = 120


def run_one(
    job,
    process,
    port,
    said,
):
    """Be one process of a job; returns an exit code."""
    torch.set_num_threads(1)
    if job["processes"] > 1:
        os.environ.update(
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            WORLD_SIZE=str(job["processes"]),
            RANK=str(process),
            LOCAL_RANK=str(process),
            LOCAL_WORLD_SIZE=str(job["processes"]),
        )
    if job.get("breaks"):
        DiffusionTrainTask.picture = lambda task: (_ for _ in ()).throw(OSError("no room"))

    def report(step, numbers):
        if step == job.get("killed_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        train(
            Path(job["recipe"]),
            Path(job["run"]),
            on_step=report,
            device="cpu",
        )
    except Exception as error:  # noqa: BLE001
        said.write_text(f"{type(error).__name__}: {error}")
        return 1
    return 0


def run_job(job):
    """Each process' end: its code (negative: the signal that killed it) and what it said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    notes = [Path(f"{job['run']}-{process}.txt") for process in range(job["processes"])]
    children = []
    for process, said in enumerate(notes):
        said.write_text("")
        if not (child := os.fork()):
            code = 1
            try:
                code = run_one(job, process, port, said)
            finally:
                os._exit(code)
        children.append(child)
    ends = {}
    until = time.monotonic() + LIMIT_S
    while len(ends) < len(children):
        for child in set(children) - ends.keys():
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                ends[child] = os.waitstatus_to_exitcode(status)
            elif (
                time.monotonic() > until
            ):  # a process that waits for ever is what the tests look for
                os.kill(child, signal.SIGTERM)
        time.sleep(0.01)
    return [(ends[child], said.read_text()) for child, said in zip(children, notes, strict=True)]


def main(path):
    """Run the jobs one after the other."""
    for job in json.loads(Path(path).read_text()):
        print(json.dumps(run_job(job)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

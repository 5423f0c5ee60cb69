"""One process or several that train together, and what they tell each other.

`accelerate launch` and `torchrun` start the processes and say so in the environment; accelerate
sets them up (NCCL between GPUs, gloo between CPUs). A process that trains alone sets up nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ...core.errors import BadOption, UnavailableError

PATIENCE = timedelta(hours=12)
"""How long a process waits for the first one, which may validate or encode a whole data set
meanwhile. One that died is not waited for: gloo says so at once, and the launcher ends those that
wait on NCCL."""

CPU = torch.device("cpu")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Topology:
    """Which of how many processes this is.

    Attributes:
        process: 0 is the one that writes, validates and shows.
        processes: how many train together.
        device: where messages to the others lie.
    """

    process: int = 0
    processes: int = 1
    device: torch.device = CPU

    def refuse_elsewhere(self, device: torch.device) -> None:
        """Refuse networks that lie on another process' GPU.

        Raises:
            BadOption: naming where they should lie.
        """
        if self.processes > 1 and device != self.device:
            raise BadOption("the device", device, f"{self.device} for process {self.process}")

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.process == 0

    def mean_(self, values: Tensor) -> None:
        """Replace float32 values by their mean over the processes; all get the same bits.

        Raises:
            UnavailableError: another process is gone.
        """
        if self.processes == 1:
            return
        sums = values.to(self.device)
        self._meet(lambda: dist.all_reduce(sums))
        values.copy_(sums / self.processes)

    def broadcast(self, text: str) -> str:
        """What the first process says; the others' own text is not looked at.

        Raises:
            UnavailableError: another process is gone.
        """
        if self.processes == 1:
            return text
        content = list(text.encode()) if self.first else []
        length = torch.tensor([len(content)], device=self.device)
        self._meet(lambda: dist.broadcast(length, 0))
        letters = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.first:
            letters.copy_(torch.tensor(content, dtype=torch.uint8))
        if len(letters):
            self._meet(lambda: dist.broadcast(letters, 0))
        return bytes(letters.tolist()).decode()

    def on_first_process(self, work: Callable[[], Result]) -> Result | None:
        """Let the first process work while the others wait; they are told whether it went well.

        Returns:
            What `work` gave; None in the other processes.

        Raises:
            UnavailableError: in the other processes, where `work` failed in the first, which raises
                what `work` raised.
        """
        if self.processes == 1:
            return work()
        done: Result | None = None
        if self.first:
            try:
                done = work()
            except BaseException as error:
                with suppress(UnavailableError):  # they are gone: what happened here is what counts
                    self.broadcast(f"{type(error).__name__}: {error}")
                raise
        if failure := self.broadcast(""):
            raise UnavailableError(
                f"Process {self.process} stops because process 0 did: {failure}",
                "Do what process 0 says; every process is started again.",
            )
        return done

    def agree(self, what: str, say: Callable[[], str]) -> None:
        """Stop all processes if one of them says something else than the first.

        Raises:
            UnavailableError: in every process.
        """
        if self.processes == 1:
            return
        own = say()
        others = torch.tensor([float(self.broadcast(own) != own)])
        self.mean_(others)
        if float(others):
            count = round(float(others) * self.processes)
            raise UnavailableError(
                f"{count} of {self.processes} processes have another {what} than process 0.",
                "Let all of them see the same run folder, recipe, tiles and version of histosynth.",
            )

    def _meet(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            raise UnavailableError(
                f"Process {self.process} of {self.processes} lost the others: {error}",
                "See what they said, and start all again: the run goes on from its last "
                "checkpoint.",
            ) from error


def join_processes(device: torch.device | str | None = None) -> Topology:
    """This process among those it was started with.

    Called before anything is put on a GPU, so that `cuda` means each process' own.

    Args:
        device: where to compute; None: a GPU if there is one.
    """
    said = [os.environ.get(name, "") for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")]
    if not all(each.isdigit() for each in said) or int(said[2]) < 2:
        return Topology()
    from accelerate import PartialState

    where = (
        torch.device(device)
        if device
        else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    state = PartialState(cpu=where.type == "cpu", timeout=PATIENCE)
    # accelerate numbers CPUs too, torch's modules do not
    place = CPU if state.device.type == "cpu" else state.device
    return Topology(state.process_index, state.num_processes, place)

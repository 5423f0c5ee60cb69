"""One process or several that train together, and the messages between them.

`accelerate launch` and `torchrun` start the processes and describe them in the environment;
accelerate sets them up (NCCL between GPUs, gloo between CPUs). A process that trains alone sets up
nothing.
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

_TIMEOUT = timedelta(hours=12)
"""How long a process waits for the first one, which may validate or encode a whole data set
meanwhile. A process that died is not waited for: gloo reports it at once, and the launcher ends
those that wait on NCCL."""

_CPU = torch.device("cpu")
_FIRST = 0
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Topology:
    """Which of how many processes this is.

    Attributes:
        process: number of this one; 0 is the one that writes, validates and shows.
        processes: how many train together.
        device: where messages between processes lie.
    """

    process: int = _FIRST
    processes: int = 1
    device: torch.device = _CPU

    def check_device(self, device: torch.device) -> None:
        """Refuse networks that lie on another process' GPU.

        Raises:
            BadOption: naming where they should lie.
        """
        if self.processes > 1 and device != self.device:
            raise BadOption("the device", device, f"{self.device} for process {self.process}")

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.process == _FIRST

    def mean_(self, values: Tensor) -> None:
        """Replace float32 values by their mean over the processes; all get the same bits.

        Raises:
            UnavailableError: another process is gone.
        """
        if self.processes == 1:
            return
        sums = values.to(self.device)
        self._communicate(lambda: dist.all_reduce(sums))
        values.copy_(sums / self.processes)

    def broadcast(self, text: str) -> str:
        """The text of the first process, in all of them; the others' own text is ignored.

        Raises:
            UnavailableError: another process is gone.
        """
        if self.processes == 1:
            return text
        content = list(text.encode()) if self.is_first else []
        length = torch.tensor([len(content)], device=self.device)
        self._communicate(lambda: dist.broadcast(length, _FIRST))
        letters = torch.zeros(
            int(length),
            dtype=torch.uint8,
            device=self.device,
        )
        if self.is_first:
            letters.copy_(torch.tensor(content, dtype=torch.uint8))
        if len(letters):
            self._communicate(lambda: dist.broadcast(letters, _FIRST))
        return bytes(letters.tolist()).decode()

    def on_first_process(self, work: Callable[[], _Result]) -> _Result | None:
        """Let the first process work while the others wait for it and learn whether it succeeded.

        Returns:
            The result of `work`; None in the other processes.

        Raises:
            UnavailableError: in the other processes, where `work` failed in the first, which raises
                what `work` raised.
        """
        if self.processes == 1:
            return work()
        result: _Result | None = None
        if self.is_first:
            try:
                result = work()
            except BaseException as error:
                with suppress(UnavailableError):  # this process' own error is the one that counts
                    self.broadcast(f"{type(error).__name__}: {error}")
                raise
        failure = self.broadcast("")
        if failure:
            raise UnavailableError(
                f"Process {self.process} stops because process 0 did: {failure}",
                "Follow the message of process 0; every process is started again.",
            )
        return result

    def agree(self, what: str, digest: Callable[[], str]) -> None:
        """Stop all processes if the digest of one of them differs from that of the first.

        Args:
            what: that must be equal, for the message.
            digest: computes this process' digest.

        Raises:
            UnavailableError: in every process.
        """
        if self.processes == 1:
            return
        own = digest()
        is_different = self.broadcast(own) != own
        share = torch.tensor([float(is_different)])
        self.mean_(share)
        if float(share):
            count = round(float(share) * self.processes)
            raise UnavailableError(
                f"{count} of {self.processes} processes have another {what} than process 0.",
                "Give all of them the same run folder, recipe, tiles and version of histosynth.",
            )

    def _communicate(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            raise UnavailableError(
                f"Process {self.process} of {self.processes} lost the others: {error}",
                "Read their messages, and start all again: the run goes on from its last "
                "checkpoint.",
            ) from error


def join_processes(device: torch.device | str | None = None) -> Topology:
    """This process among those it was started with.

    Called before anything is put on a GPU, so that `cuda` means each process' own.

    Args:
        device: where to compute; None: a GPU if there is one.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    values = [os.environ.get(name, "") for name in names]
    if not all(value.isdigit() for value in values):
        return Topology()
    if int(os.environ["WORLD_SIZE"]) < 2:
        return Topology()
    from accelerate import PartialState

    if not device:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    is_cpu = torch.device(device).type == "cpu"
    state = PartialState(cpu=is_cpu, timeout=_TIMEOUT)
    # accelerate numbers CPUs too, torch's modules do not
    message_device = _CPU if state.device.type == "cpu" else state.device
    return Topology(
        state.process_index,
        state.num_processes,
        message_device,
    )

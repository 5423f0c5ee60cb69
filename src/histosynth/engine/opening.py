"""Engines by name. Only the one that is needed is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..core.errors import BadOption
from .engine import Engine

MAX_WORKERS = 10_000


@dataclass(frozen=True)
class EngineOptions:
    """Which engine a run uses.

    Attributes:
        name: `local`, `pool` (processes of this machine) or `ray` (a cluster, extra
            `histosynth[ray]`).
        workers: pieces of work at a time; None: one a core, or all that the cluster has.
        address: of a running Ray cluster; None: one on this machine, for this run.
    """

    name: str = "local"
    workers: int | None = None
    address: str | None = None

    def open(self) -> Engine:
        """The engine; see `open_engine`."""
        return open_engine(
            self.name,
            workers=self.workers,
            address=self.address,
        )


def _open_local(options: EngineOptions) -> Engine:
    from .local import LocalEngine

    return LocalEngine()


def _open_pool(options: EngineOptions) -> Engine:
    from .pool import PoolEngine

    return PoolEngine(options.workers or os.cpu_count() or 1)


def _open_ray(options: EngineOptions) -> Engine:
    from .cluster import RayEngine

    return RayEngine(options.workers, options.address)


ENGINES: Mapping[str, Callable[[EngineOptions], Engine]] = {
    "local": _open_local,
    "pool": _open_pool,
    "ray": _open_ray,
}
"""Every engine by its name. A new one is one more line."""


def open_engine(
    name: str = "local",
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Engine:
    """The engine of that name.

    Args:
        name: `local`, `pool` (processes of this machine) or `ray` (a cluster, extra
            `histosynth[ray]`).
        workers: how many at a time; None: one a core, or all that the cluster has.
        address: of a running Ray cluster; None: one on this machine, for this run.

    Raises:
        BadOption: another name, or fewer than one worker.
        NeedsExtra: Ray is not installed.
    """
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise BadOption("--workers", workers, "from 1 to 10,000")
    if name not in ENGINES:
        raise BadOption("--engine", name, "local, pool or ray")
    return ENGINES[name](EngineOptions(name, workers, address))

"""What `doctor` finds without opening a bundle: packages, memory, disks, GPU, extras, caches."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import psutil
import torch

from ..core.plain_files import read_plain_text
from ..encoders.weight_files import cache_folder

PACKAGES = (
    "histosynth",
    "torch",
    "diffusers",
    "peft",
    "safetensors",
    "numpy",
    "scipy",
    "pillow",
)
_NOT_FOR_USERS = ("dev", "mutation", "site")
"""Extras for those who change histosynth."""
_CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_MIN_FREE_GB = 1.0
_MIN_MEMORY_GB = 4.0
_MAX_DIGITS = 20
_VARIABLES = re.compile(r"HISTOSYNTH_\w+|HF_(?:HOME|HUB_OFFLINE|ENDPOINT)|HTTPS?_PROXY|NO_PROXY")
_EXTRA = re.compile(r"""^([\w.-]+).*;.*\bextra\s*==\s*['"]([\w-]+)['"]""")


def package_facts() -> dict[str, Any]:
    """Versions of Python and of the packages that do the work."""
    facts = {"python": platform.python_version()}
    for name in PACKAGES:
        facts[name] = _version_of(name) or "not installed"
    return facts


def machine_facts() -> dict[str, Any]:
    """Cores, memory, free space, GPU, OpenSlide, extras, caches, and variables that are set."""
    return {
        "cpu_cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gb": _memory_facts(),
        "disk_free_gb": _disk_facts(),
        "cuda": _cuda_facts(),
        "openslide": _openslide_version(),
        "extras": _extra_facts(),
        "caches": _cache_facts(),
        "variables": sorted(name for name in os.environ if _VARIABLES.fullmatch(name.upper())),
    }


def examine_machine() -> dict[str, Any]:
    """All of them, and `problems`: what will go wrong, with the next step. No network is opened."""
    found = machine_facts()
    return package_facts() | found | {"problems": problems_of(found)}


def problems_of(facts: Mapping[str, Any]) -> list[str]:
    """What will go wrong on this machine, each with the next step.

    Args:
        facts: from `machine_facts`.
    """
    problems = []
    available = facts["memory_gb"]["available"]
    if available < _MIN_MEMORY_GB:
        problems.append(
            f"{available:g} GB of memory are available, training needs {_MIN_MEMORY_GB:g} or more: "
            "use smaller batches, or end other programs."
        )
    for folder, free in facts["disk_free_gb"].items():
        if free is not None and free < _MIN_FREE_GB:
            problems.append(f"{folder} has {free:g} GB of free space: make room, or use another.")
    for folder, state in facts["caches"].items():
        if not state["writable"]:
            problems.append(
                f"{folder} cannot be written, and fetched weights go there: set HISTOSYNTH_CACHE "
                "or HF_HOME to a folder that can."
            )
    if facts["openslide"] is None:
        problems.append(
            "The library OpenSlide cannot be loaded, so most slides cannot be read: "
            "pip install --force-reinstall openslide-bin."
        )
    if facts["cuda"]["problem"]:
        problems.append(facts["cuda"]["problem"])
    return problems


def _gigabytes(count: float) -> float:
    return round(count / 1e9, 1)


def _memory_facts() -> dict[str, float | None]:
    """Memory of this machine, and the limit of a container."""
    memory = psutil.virtual_memory()
    limit = _container_limit(memory.total)
    available = memory.available if limit is None else min(memory.available, limit)
    return {
        "total": _gigabytes(memory.total),
        "available": _gigabytes(available),
        "container_limit": None if limit is None else _gigabytes(limit),
    }


def _container_limit(total: int) -> int | None:
    """Bytes that a container may use; None where that is all."""
    for name in _CONTAINER_LIMITS:
        try:
            text = read_plain_text(Path(name)).strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdigit() and len(text) < _MAX_DIGITS and int(text) < total:
            return int(text)
    return None


def _disk_facts() -> dict[str, float | None]:
    """Free space of the folders that are written to, in GB; None where that is not known."""
    folders = [Path.cwd(), Path(tempfile.gettempdir()), cache_folder()]
    found: dict[str, float | None] = {}
    for folder in folders:
        try:
            found[str(folder)] = _gigabytes(shutil.disk_usage(_existing(folder)).free)
        except OSError:
            found[str(folder)] = None
    return found


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    for each in (folder, *folder.parents):
        if each.exists():
            return each
    return Path.cwd()


def _cuda_facts() -> dict[str, Any]:
    """The GPUs that torch can use; `problem` where there is one that it cannot use."""
    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            gpus.append({"name": facts.name, "memory_gb": _gigabytes(facts.total_memory)})
    problem = ""
    if not gpus and Path("/proc/driver/nvidia/version").exists():
        build = torch.version.cuda
        problem = (
            f"The driver of an NVIDIA GPU is there, but torch {torch.__version__} cannot use it"
        )
        remedy = f", built for CUDA {build}: update the driver, or give the container the GPU."
        if build is None:
            remedy = ", which is built for CPUs: install the CUDA build, see pytorch.org."
        problem += remedy
    return {"built_for": torch.version.cuda, "gpus": gpus, "problem": problem}


def _openslide_version() -> str | None:
    """Of the library; None where it cannot be loaded."""
    try:
        import openslide
    except (ImportError, OSError):
        return None
    return str(openslide.__library_version__)


def _extra_facts() -> dict[str, str]:
    """For each extra the version of its package, or how to install it."""
    packages: dict[str, list[str]] = {}
    for requirement in _requirements():
        found = _EXTRA.match(requirement)
        if found and found.group(2) not in _NOT_FOR_USERS:
            packages.setdefault(found.group(2), []).append(found.group(1))
    facts = {}
    for extra, names in sorted(packages.items()):
        versions = [_version_of(name) for name in names]
        if all(versions):
            pairs = zip(names, versions, strict=True)
            facts[extra] = ", ".join(f"{name} {number}" for name, number in pairs)
        else:
            facts[extra] = f"not installed: pip install 'histosynth[{extra}]'"
    return facts


def _requirements() -> list[str]:
    """What the installed package requires; nothing where it is not installed."""
    try:
        return requires("histosynth") or []
    except PackageNotFoundError:
        return []


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cache_facts() -> dict[str, dict[str, Any]]:
    """Folders of fetched weights: their size, and whether they can be written."""
    from huggingface_hub.constants import HF_HUB_CACHE

    facts = {}
    for folder in (cache_folder(), Path(HF_HUB_CACHE)):
        facts[str(folder)] = {
            "gb": _gigabytes(_bytes_in(folder)),
            "writable": os.access(_existing(folder), os.W_OK),
        }
    return facts


def _bytes_in(folder: Path) -> int:
    """Bytes of the files in a folder; links count nothing, and 0 where it is absent."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                facts = os.lstat(os.path.join(at, name))
            except OSError:
                continue
            total += facts.st_size
    return total

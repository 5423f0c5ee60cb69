"""`histosynth doctor`: facts about this machine and the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ..core.errors import BadOption
from .options import BundlePath, Device, Dtype, Json, Quiet
from .output import Output

Quick = Annotated[
    bool,
    typer.Option("--quick", help="This machine alone: open no bundle, measure no speed."),
]


def doctor(
    bundle: BundlePath = None,
    quick: Quick = False,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show this machine's devices, memory, disks and extras, the bundle, and how fast it samples.

    What will go wrong on this machine is shown last, with the next step.
    """
    output = Output(as_json, quiet)
    if quick:
        given = {"--bundle": bundle, "--device": device, "--dtype": dtype}
        for option, value in given.items():
            if value is not None:
                raise BadOption(option, value, "left out with --quick, which opens no bundle")
        from ..pipeline.doctor_machine import examine_machine

        facts = examine_machine()
        output.done(facts, _lines(facts), part="quick")
        return
    from ..pipeline.doctor import examine

    facts = examine(bundle, device=device, dtype=dtype)
    output.done(facts, _lines(facts))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """Facts as aligned lines, and the problems."""
    lines = []
    for name, value in facts.items():
        if name == "problems":
            continue
        values = value if isinstance(value, Mapping) else {"": value}
        title = name
        for key, each in values.items():
            shown = f"{key}: {_text(each)}" if key else _text(each)
            lines.append(f"{title:24} {shown}")
            title = ""
    lines += [f"! {problem}" for problem in facts["problems"]]
    return lines


def _text(value: Any) -> str:
    """A fact in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

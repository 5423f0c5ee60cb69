"""The model card: what a bundle is, what it was trained on, how it measured, and what it is not
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.markdown import escaped_markdown, front_matter_text, markdown_code
from .families import FAMILIES
from .info import BundleInfo

_CARD = """---
license: {licence_id}
library_name: histosynth
tags: [histopathology, H&E, diffusion, lora, synthetic-data]
---

# {name}

Generates and completes H&E tissue from nuclei centroids, at {mpp:g} um/px, tiles of {least_px} to
{most_px} px.
**For research use; not for diagnosis.** Everything it generates is synthetic and marked so.

| part | parameters |
|---|---|
{parts}

Nucleus classes: {classes}. {any_class}Labels: {labels}.
Default: {steps} steps of {solver}{completion}, guidance {guidance:g}
at noise levels {span_low:g} to {span_high:g} (1 is all noise).
That guidance is for the base without an adapter; an adapter that has learnt guidance uses none.
{few_steps}Weights are float16 safetensors; their sha256 and those of the networks'
`config.json` are in `bundle.json` and are checked on loading.
{adapter_use}
## Trained on

{data}

Validation patients (`brca-m2c/val.txt`) were never trained on; patients are disjoint, and training
refuses otherwise. Licence of the weights: {licence}.

## Measured

{measured}

## Limits

- Trained on little data (see above). Other organs, rare entities, mitoses, necrosis and artefacts
  are not covered unless the data states so.
- Nucleus classes are coarse. Nothing finer is promised: no grade, no subtype, no mutation.
- The patients of the training data do not represent any clinic's patients.
- The patients are few: read each number with its interval, and audit for copies before releasing
  generated pictures.
- A mask is filled with copied tissue of its own tile wherever no nucleus is near (each recipe
  states the share). Such tissue is not new, and must not be counted or measured.
  `--no-exemplar` copies nothing.
{grain}- Not validated for any clinical purpose.
"""

_GRAIN = """- Grain, the finest texture, is synthetic: what the autoencoder loses of patches of
  training tissue, 12 px wide, put where the picture looks alike, stronger where the reference's is.
  It shows no structure of cells, and must not be measured. `--no-grain` leaves it out.
"""


def write_card(
    info: BundleInfo,
    sizes: Mapping[str, int],
    measured: str,
    few_steps: Mapping[str, int] | None = None,
) -> str:
    """The card's text.

    Args:
        info: `bundle.json`.
        sizes: parameters of each part.
        measured: Markdown of what was measured, on what, with n and intervals.
        few_steps: steps of each adapter that has learnt few of them, by its name.
    """
    parts = []
    for name, count in sizes.items():
        parts.append(f"| {escaped_markdown(name)} | {count / 1e6:.2f} M |")
    any_class = "Class `any` leaves the class to the model. " if info.any_class else ""
    span_low, span_high = info.guidance_span
    adapter_use = FAMILIES[info.family].adapter_use
    return _CARD.format(
        name=escaped_markdown(info.name),
        adapter_use=f"\n{adapter_use}\n" if adapter_use else "",
        mpp=info.mpp,
        least_px=info.least_px,
        most_px=info.most_px,
        parts="\n".join(parts),
        classes=_listed(info.classes),
        any_class=any_class,
        labels=_listed(info.labels) or "none",
        steps=info.steps,
        solver=markdown_code(info.solver),
        completion=_completion(info),
        guidance=info.guidance,
        span_low=span_low,
        span_high=span_high,
        few_steps=_few_steps_lines(few_steps or {}),
        data=data_list(info),
        measured=measured or "Nothing yet.",
        grain=_GRAIN if info.grain else "",
        licence=escaped_markdown(info.licence),
        licence_id=front_matter_text(info.licence.lower()),
    )


def _completion(info: BundleInfo) -> str:
    if not info.completion_steps:
        return ""
    return f" ({info.completion_steps} for completions that begin with copied tissue)"


def _few_steps_lines(few_steps: Mapping[str, int]) -> str:
    lines = [
        f"The adapter {markdown_code(name)} samples in {steps} steps. Beside the adapter that it "
        "has learnt from it is taken\nwhere steps, solver and guidance are left to the bundle.\n"
        for name, steps in few_steps.items()
    ]
    return "".join(lines)


def data_list(info: BundleInfo) -> str:
    """The training data as a Markdown list."""
    return "\n".join(f"- {escaped_markdown(line)}" for line in info.data) or "- not stated"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(escaped_markdown, names))

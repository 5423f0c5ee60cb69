"""The model card: what a bundle is, what it was trained on, how it measured, and what it is not
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .info import BundleInfo

_CARD = """---
license: {licence_id}
library_name: histosynth
tags: [histopathology, H&E, diffusion, lora, synthetic-data]
---

# {name}

Makes and completes H&E tissue from nuclei centroids, at {mpp:g} um/px, tiles of {least_px} to
{most_px} px.
**For research use; not for diagnosis.** Everything it makes is synthetic and marked so.

| part | parameters |
|---|---|
{parts}

Nucleus classes: {classes}. {any_class}Labels: {labels}.
Default: {steps} steps of `{solver}`, guidance {guidance:g}
at noise levels {span[0]:g} to {span[1]:g} (1 is all noise).
That guidance is the bare base's; an adapter that has learnt guidance paints with none of its own.
Weights are float16 safetensors; their sha256 and those of the networks' `config.json` stand in
`bundle.json` and are checked on loading.

## Trained on

{data}

Validation patients (`brca-m2c/val.txt`) were never trained on; patients are disjoint, and training
refuses otherwise. Licence of the weights: {licence}.

## Measured

{measured}

## Limits

- Trained on little (see above). Other organs, rare entities, mitoses, necrosis and artefacts are
not in it
  unless the data says so.
- Nucleus classes are coarse. Nothing finer is promised: no grade, no subtype, no mutation.
- Patients of the training data are no sample of anybody's clinic; who is missing there is missing
here.
- Few patients: read each number with its interval, and audit for copies before releasing what you
make.
- A hole is filled with copied tissue of its own tile wherever no nucleus is near (each recipe says
what
  share): it mends a picture, and is no new tissue to count or to measure. `--no-exemplar` copies
  nothing.
- Not validated for any clinical purpose.
"""


def write_card(info: BundleInfo, sizes: Mapping[str, int], measured: str) -> str:
    """The card's text.

    Args:
        info: `bundle.json`.
        sizes: parameters of each part.
        measured: Markdown of what was measured, on what, with n and intervals.
    """
    values: dict[str, Any] = {
        "licence_id": info.licence.lower(),
        "parts": "\n".join(f"| {name} | {count / 1e6:.2f} M |" for name, count in sizes.items()),
        "classes": ", ".join(info.classes),
        "any_class": "Class `any` leaves the class to the model. " if info.any_class else "",
        "span": info.guidance_span,
        "labels": ", ".join(info.labels) or "none",
        "data": "\n".join(f"- {line}" for line in info.data) or "- not stated",
        "measured": measured or "Nothing yet.",
    }
    plain = {
        key: getattr(info, key)
        for key in ("name", "mpp", "least_px", "most_px", "steps", "solver", "guidance", "licence")
    }
    return _CARD.format(**plain, **values)

"""A small slide to paint, and a tiny bundle that has all that a bundle can have."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from grain_of_tests import white_grain

from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.core.store import digest
from histosynth.model.adapters import AdapterInfo, adapter_parameters, add_adapter, save_adapter
from histosynth.model.loading import load_bundle
from histosynth.model.structure import with_shapes
from histosynth.testing import tiny_bundle
from histosynth.tissue.alignment import ClassAlignment
from histosynth.tissue.nucleus_sizes import LEVELS, ClassSizes
from histosynth.tissue.orientation_statistics import OrientationStatistics

CLASSES = ("epithelial", "lymphocyte", "stromal")
TARGETS = ("to_q",)


def write_full_bundle(folder):
    """A tiny bundle with grain, and an adapter that follows sizes and fibres."""
    tiny = tiny_bundle()
    tiny.grain = white_grain()
    tiny.structure = with_shapes(tiny.structure)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        for parameter in tiny.structure.parameters():
            if not parameter.any():  # new layers are zero, and would show nothing
                torch.nn.init.normal_(parameter, std=0.3)
    tiny.save(folder)
    bundle = load_bundle(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        add_adapter(bundle.unet, "global", rank=2, alpha=3.0, targets=TARGETS)
        for parameter in adapter_parameters(bundle.unet, "global"):
            torch.nn.init.normal_(parameter, std=0.1)
    typical = ClassSizes(
        tuple(np.linspace(15, 70, len(LEVELS))),
        tuple(np.linspace(1, 2.5, len(LEVELS))),
    )
    info = AdapterInfo(
        "global",
        2,
        3.0,
        TARGETS,
        bundle.base_sha256,
        bundle.info.classes,
        0.5,
        sizes=(typical,) * len(CLASSES),
        mask_share=0.5,
        orientation=OrientationStatistics(
            (0.4, 0.2, 0.1, 0.1),
            (-1.0, -0.3, 0.0, 0.2),
            0.2,
            (ClassAlignment(),) * len(CLASSES),
        ),
    )
    save_adapter(bundle.unet, info, folder / "adapters" / "global")
    return folder


def random_slide(size, *, seed=0, per_mm2=3000, mpp=0.5):
    """Nuclei at random places of a slide, in whole hundredths of a pixel."""
    random = np.random.default_rng(seed)
    width, height = size
    count = round(width * height * (mpp / 1000) ** 2 * per_mm2)
    xy = np.floor(random.uniform(0, 1, (count, 2)) * 100 * np.array([width, height])) / 100 - 0.49
    class_ids = random.integers(0, len(CLASSES), count).astype(np.uint8)
    return Nuclei(xy.astype(np.float32), class_ids, CLASSES, Size(*size), mpp)


@dataclass(frozen=True, eq=False)
class PlainLayout:
    """See `SlideLayout`.

    Attributes:
        nuclei: of the slide.
        tissue_from: column where tissue begins; None: no regions without tissue are known.
    """

    nuclei: Nuclei
    tissue_from: int | None = None

    @property
    def classes(self):
        return self.nuclei.classes

    @property
    def mpp(self):
        return self.nuclei.mpp

    @property
    def size(self):
        return self.nuclei.size

    @property
    def digest(self):
        nuclei = self.nuclei
        values = [nuclei.xy.tolist(), nuclei.class_ids.tolist(), self.tissue_from, *nuclei.size]
        return digest(values)

    def window(self, box):
        return self.nuclei.crop(box)

    def empty(self, box):
        if self.tissue_from is None:
            return None
        is_empty = np.arange(box.x, box.right) < self.tissue_from
        return np.broadcast_to(is_empty, box.size.shape).copy()

    def without(self, chosen):
        """The same slide without some nuclei (N,) bool."""
        return replace(self, nuclei=self.nuclei.where(~chosen))


def halved(layout):
    """The same slide whose left half holds no tissue."""
    middle = layout.size.width // 2
    return replace(layout.without(layout.nuclei.xy[:, 0] < middle), tissue_from=middle)
